"""What `benchmarks/accuracy.py` makes of the folds' networks and of what they say."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from classifiers import networks
from classifiers.base import ClassifierError
from classifiers.card import StainReference
from classifiers.datasets import Samples
from classifiers.folder import WEIGHTS_FILE, read_card, read_model, write_model
from classifiers.splits import cross_splits
from smearscan.reports.card_text import card_text
from smearscan.reports.card_view import view_card
from smearscan.testing.classifiers import fake_card

ROOT = Path(__file__).parents[2]
STAIN = StainReference((250.0, 250.0, 250.0), (1.4, 2.3, 1.2))


@pytest.fixture(scope="module")
def cells_module(benchmark_module: Callable[[str], ModuleType]) -> ModuleType:
    return benchmark_module("accuracy_cells")


@pytest.fixture(scope="module")
def fold_models(benchmark_module: Callable[[str], ModuleType]) -> ModuleType:
    return benchmark_module("fold_models")


@pytest.fixture(scope="module")
def accuracy(benchmark_module: Callable[[str], ModuleType]) -> ModuleType:
    return benchmark_module("accuracy")


def said_of(module: ModuleType, blast: list[int], called: list[int], groups: list[str], files: list[str] | None = None) -> Any:
    truth = np.array(blast, bool)
    named = tuple(files or [f"{row}.png" for row in range(len(blast))])
    cells = module.Cells("here", np.zeros((len(blast), 8, 8, 3), np.uint8), truth, tuple(groups), named)
    answer = np.array(called, bool)
    return module.Said(cells, np.ones(len(blast), np.intp), np.where(answer, 0.9, 0.1), answer, np.zeros(len(blast), bool))


def test_a_share_is_of_cells_and_its_interval_of_groups(cells_module: ModuleType) -> None:
    hit = np.array([True] * 30 + [False] * 30)
    of_few = cells_module.share(hit, ["a", "b"] * 30)
    alike = cells_module.share(hit, [f"g{row % 6}" for row in range(60)])
    torn = cells_module.share(hit, [f"g{row // 10}" for row in range(60)])
    assert of_few.value == alike.value == torn.value == 0.5
    assert of_few.low == pytest.approx(0.377, abs=1e-3)  # Wilson's: two groups are too few to draw
    assert torn.high - torn.low > 2 * (alike.high - alike.low)  # groups that are all right or all wrong say less
    assert cells_module.share(np.zeros(0, bool), []).value is None


def test_flips_are_counted_cell_by_cell_of_one_truth(cells_module: ModuleType) -> None:
    files = ["a", "b", "c", "d"]
    black = said_of(cells_module, [1, 1, 0, 0], [1, 0, 0, 1], ["x"] * 4, files)
    # Blast a keeps its call once and loses it once, b gains one; c flips; e is on no black picture.
    laid = said_of(cells_module, [1, 1, 1, 0, 0], [1, 0, 1, 1, 1], ["x"] * 5, ["a", "a", "b", "c", "e"])
    assert cells_module.flips(black, laid, True).value == pytest.approx(2 / 3)
    assert cells_module.flips(black, laid, False).value == 1.0


def test_cells_take_each_others_size_and_stay_where_they_are(cells_module: ModuleType) -> None:
    crops = np.zeros((2, 64, 64, 3), np.uint8)
    crops[0, 16:48, 16:48] = 200  # a blast of 32 px
    crops[1, 24:40, 24:40] = 200  # a normal cell of 16 px
    cells = cells_module.Cells("black", crops, np.array([True, False]), ("a", "b"), ("a", "b"))
    changed = cells_module.in_each_others_size(cells, np.array([32.0**2, 16.0**2])).crops
    for crop, side in ((changed[0], 16), (changed[1], 32)):
        rows, columns = np.nonzero(crop[..., 0] > 100)
        assert side - 2 <= np.ptp(rows) + 1 <= side + 2
        assert abs(rows.mean() - 31.5) < 1 and abs(columns.mean() - 31.5) < 1


def test_the_cells_that_it_gets_most_wrong_are_named_surest_first(cells_module: ModuleType, accuracy: ModuleType) -> None:
    said = said_of(cells_module, [1, 1, 0, 0], [1, 1, 0, 0], ["x", "y", "x", "y"])
    said = replace(said, probability=np.array([0.2, 0.7, 0.9, 0.3]))
    rows = accuracy.worst_table(said)["rows"]
    assert [(row["true"], row["file"]) for row in rows] == [
        ("blast", "0.png"),
        ("blast", "1.png"),
        ("normal", "2.png"),
        ("normal", "3.png"),
    ]


def test_counts_by_subject_leave_out_what_is_called_no_cell(cells_module: ModuleType, accuracy: ModuleType) -> None:
    said = said_of(cells_module, [1, 1, 0, 0], [1, 0, 1, 0], ["A", "A", "H", "H"])
    said = replace(said, called_nothing=np.array([False, True, False, False]))
    found = {(each.subject, each.role): (each.cells, each.called_blast) for each in accuracy.counts_of(said)}
    assert found == {("A", "blast"): (1, 1), ("H", "other"): (2, 1)}


@pytest.fixture
def samples(tmp_path: Path) -> Samples:
    groups = [f"A{row % 10}" if row % 2 else f"H{row % 10}" for row in range(60)]
    return Samples(
        name="some",
        root=tmp_path,
        classes=("other", "blast"),
        roles={"other": "other", "blast": "blast"},
        positive_class="blast",
        files=tuple(f"{row}.png" for row in range(60)),
        labels=np.array([row % 2 for row in range(60)], np.int64),
        subjects=tuple(f"{group}-one" for group in groups),
        groups=tuple(groups),
        parts=("",) * 60,
    )


def test_kept_folds_say_which_network_never_saw_a_group(fold_models: ModuleType, samples: Samples, tmp_path: Path) -> None:
    trained, kept = tmp_path / "trained", tmp_path / "kept"
    card = replace(fake_card(("other", "blast"), {"other": "other", "blast": "blast"}), network={"name": "small-cnn"})
    for number in (1, 2, 3):
        torch.manual_seed(number)
        write_model(trained / str(number), card, networks.build_for(card).state_dict())
    fold_models.keep_folds(samples, trained, kept, 3, seed=0, stain=STAIN)
    found = fold_models.read_folds(kept)
    assert found.numbers == (1, 2, 3)
    (_, network), (kept_card, kept_network) = read_model(trained / "2"), read_model(found.folder_of(2))
    assert kept_card == replace(card, stain=STAIN, sha256=kept_card.sha256)
    for own, other in zip(network.parameters(), kept_network.parameters(), strict=True):
        torch.testing.assert_close(own, other, rtol=1e-3, atol=1e-4)
    assert (kept / "2" / WEIGHTS_FILE).stat().st_size < 0.6 * (trained / "2" / WEIGHTS_FILE).stat().st_size
    for number, split in enumerate(cross_splits(samples, 3, 0), start=1):
        groups = [samples.groups[row] for row in split.rows("test")]
        assert set(found.folds(groups).tolist()) == {number}
        assert set(found.subjects[number]) == {f"{group}-one" for group in groups}
    with pytest.raises(ClassifierError, match="does not know the group 'Z9'"):
        found.folds(["A1", "Z9"])


def test_folds_that_are_not_there_are_missed_by_name(fold_models: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(ClassifierError, match=r"groups\.csv cannot be read"):
        fold_models.read_folds(tmp_path)


def test_numbers_go_on_both_cards_and_can_be_read_there(
    accuracy: ModuleType, cells_module: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, folder in (("CLASSIFIER", ROOT / "classifiers/bundled/drawn-cells"), ("DETECTOR", ROOT / "detectors/bundled/white-cells")):
        shutil.copytree(folder, tmp_path / name)
        monkeypatch.setattr(accuracy, name, tmp_path / name)
    blasts = [1] * 8 + [0] * 8
    said = said_of(
        cells_module, blasts, [1] * 7 + [0] * 8 + [1], [f"A{row % 4}" if one else f"H{row % 4}" for row, one in enumerate(blasts)]
    )
    judged = cells_module.judge(said)
    tables = [accuracy.worst_table(said), accuracy.subject_table(judged, judged)]
    extra = {"metrics": accuracy.numbers_of(judged, "black"), "tables": tables, "test": accuracy.tested(judged, 16, 5)}
    row = {"mode": "yolo", "recall": "98 %", "crops per cell": "1.1", "s per slide": "2", "MB": "800"}
    proposals = [{"mode": "yolo", "recall of proposals": "99 %"}]
    found = {
        "cells": {"extra": extra, "subjects": accuracy.counts_of(said)},
        "slides": {
            "composed": [row],
            "proposals": proposals,
            "tables": [{"title": "Negative", "rows": [row]}],
            "blank_fractions": (0.1, 0.2),
        },
        "fields": {"figures": {}, "side_by_side": [{"mode": "yolo", "recall": accuracy.rate(9, 10)}], "through_run": [{"fields": 44}]},
    }
    for _ in range(2):  # written over, not added to
        accuracy.write_classifier(found)
        accuracy.write_detector(found)
    card = read_card(tmp_path / "CLASSIFIER")
    assert {each.subject for each in card.subjects} == {f"A{n}" for n in range(4)} | {f"H{n}" for n in range(4)}
    assert card.blank_fractions == (0.1, 0.2)
    assert card.extra["test"]["sensitivity"]["value"] == pytest.approx(7 / 8)
    written = json.loads((tmp_path / "CLASSIFIER" / "card.json").read_text())
    text = card_text(view_card("classifier", written, lambda name: True), 100)
    assert text.count("What it gets most wrong") == text.count("Negative") == 1
    assert "Median subject's specificity" in text
    detector = json.loads((tmp_path / "DETECTOR" / "card.json").read_text())
    text = card_text(view_card("detector", detector, lambda name: True), 100)
    assert text.count("The same fields, each way to propose cells") == 1
    assert "90 % (" in text
    assert "Recall of proposals" in text
