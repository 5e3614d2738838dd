"""What size alone tells: worked by hand, and on cells whose size is all that differs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from classifiers.datasets import load
from classifiers.evaluation.records import Question
from classifiers.evaluation.sizes import cell_areas, compare_sizes


def make_question(truth: list[int], scores: list[float], groups: list[int]) -> Question:
    positive = np.array(scores)
    return Question(
        name="blast",
        classes=("other", "blast"),
        roles=("other", "blast"),
        rule="",
        truth=np.array(truth),
        called=(positive >= 0.5).astype(np.intp),
        scores=np.stack([1 - positive, positive], axis=1),
        groups=np.array(groups),
        rows=np.arange(len(truth)),
    )


def test_a_model_that_knows_size_and_nothing_else_is_no_better_than_chance_among_cells_of_the_same_size() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 6000)
    areas = rng.normal(10 + 2 * truth, 1.5)
    question = make_question(truth.tolist(), (1 / (1 + np.exp(-(areas - 11)))).tolist(), rng.integers(0, 30, 6000).tolist())
    found = compare_sizes(question, areas, 200, 0)
    assert found is not None
    assert found.area.value == pytest.approx(found.model.value)
    assert found.area.value is not None and found.area.value > 0.8
    # Within a tenth of all areas size still differs a little, so some of it is left.
    assert found.model_same_size.value == pytest.approx(0.5, abs=0.08)


def test_a_model_that_looks_elsewhere_keeps_what_it_knows() -> None:
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 2, 4000)
    scores = np.clip(rng.normal(0.35 + 0.3 * truth, 0.2), 0, 1)
    question = make_question(truth.tolist(), scores.tolist(), rng.integers(0, 20, 4000).tolist())
    found = compare_sizes(question, rng.normal(10, 2, 4000), 200, 0)
    assert found is not None
    assert found.area.value == pytest.approx(0.5, abs=0.03)
    assert found.model.value == pytest.approx(found.model_same_size.value, abs=0.01)
    assert found.model.low is not None and found.model.high is not None
    assert found.model.low < found.model.value < found.model.high  # type: ignore[operator]


def test_pairs_are_counted_as_by_hand() -> None:
    # Two sizes, ten bins: small cells (area 1) and large ones (area 9). Small: blast .6 over others .2, .6 -> 1.5 of 2 pairs.
    # Large: blasts .9, .1 over other .5 -> 1 of 2 pairs. Together 2.5 of 4; of all pairs 1.5 + .5 + 2 + 1 of 9.
    truth, scores = [1, 0, 0, 1, 1, 0], [0.6, 0.2, 0.6, 0.9, 0.1, 0.5]
    found = compare_sizes(make_question(truth, scores, [0, 1, 2, 3, 4, 5]), np.array([1.0, 1, 1, 9, 9, 9]), 0, 0)
    assert found is not None
    assert found.model_same_size.value == pytest.approx(2.5 / 4)
    won = sum((p > n) + (p == n) / 2 for p in (0.6, 0.9, 0.1) for n in (0.2, 0.6, 0.5))
    assert found.model.value == pytest.approx(won / 9)


def test_nothing_is_said_where_most_cells_lie_in_a_field() -> None:
    question = make_question([1, 0, 1, 0], [0.9, 0.1, 0.8, 0.2], [0, 1, 2, 3])
    assert compare_sizes(question, np.array([np.nan, np.nan, np.nan, 3.0]), 0, 0) is None


def test_areas_are_those_of_cells_on_black(tmp_path: Path) -> None:
    for name, radius, ground in (("a", 20, 0), ("b", 30, 0), ("c", 20, 200)):
        picture = np.full((100, 100, 3), ground, np.uint8)
        cv2.circle(picture, (50, 50), radius, (140, 60, 120), -1)
        cv2.imwrite(str(tmp_path / f"{name}.png"), picture)
    (tmp_path / "cells.csv").write_text("file,label,role\na.png,blast,blast\nb.png,normal,other\nc.png,normal,other\n", encoding="utf-8")
    areas = cell_areas(replace(load(tmp_path), name="drawn"))
    assert areas[:2] == pytest.approx([np.pi * 20**2, np.pi * 30**2], rel=0.05)
    assert np.isnan(areas[2])
