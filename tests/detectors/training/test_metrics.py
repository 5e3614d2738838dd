"""Figures of a detector against values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from detectors.training.metrics import (
    Seen,
    at_confidence,
    average_precision,
    best_confidence,
    log_average_miss_rate,
    match,
    mean_average_precisions,
    recall_at_precision,
    summarise,
)


def square(x: float, side: float = 10.0) -> list[float]:
    return [x, 0.0, x + side, side]


def seen(truth: list[list[float]], found: list[tuple[list[float], float]]) -> Seen:
    boxes = np.array([box for box, _ in found], np.float64).reshape(-1, 4)
    return Seen(np.array(truth, np.float64).reshape(-1, 4), boxes, np.array([score for _, score in found], np.float64))


# Four cells in two pictures; found in the order of their scores: right, right, wrong, right, wrong. One cell is missed.
FIRST = seen([square(0), square(100)], [(square(0), 0.9), (square(50), 0.7), (square(100), 0.6)])
SECOND = seen([square(0), square(100)], [(square(0), 0.8), (square(300), 0.5)])


def test_each_cell_is_hit_once_and_by_the_surest() -> None:
    matched = match([seen([square(0)], [(square(1), 0.6), (square(0), 0.9)])])
    assert matched.scores.tolist() == [0.9, 0.6]
    assert matched.hits.tolist() == [True, False], "the second box of the same cell is a false alarm"
    assert matched.cells == 1


def test_a_hit_needs_the_overlap() -> None:
    # Shifted by 3 of 10: 70 / 130 = 0.538. By 4: 60 / 140 = 0.43.
    assert match([seen([square(0)], [(square(3), 0.9)])]).hits.tolist() == [True]
    assert match([seen([square(0)], [(square(4), 0.9)])]).hits.tolist() == [False]
    assert match([seen([square(0)], [(square(3), 0.9)])], 0.55).hits.tolist() == [False]


def test_a_detection_takes_the_free_cell_that_it_overlaps_most() -> None:
    # Both boxes overlap both cells by half or more; the surer takes the nearer one and leaves the other.
    matched = match([seen([square(0), square(2)], [(square(2), 0.9), (square(1), 0.8)])])
    assert matched.hits.tolist() == [True, True]


def test_precision_and_recall_along_the_list() -> None:
    matched = match([FIRST, SECOND])
    assert matched.hits.tolist() == [True, True, False, True, False]
    assert matched.recalls.tolist() == [0.25, 0.5, 0.5, 0.75, 0.75]
    np.testing.assert_allclose(matched.precisions, [1, 1, 2 / 3, 3 / 4, 3 / 5])


def test_average_precision_by_hand() -> None:
    # Recalls 0 .. 0.50 (51 steps) at precision 1, 0.51 .. 0.75 (25 steps) at 3/4, the other 25 are never reached.
    assert average_precision(match([FIRST, SECOND])) == pytest.approx((51 * 1 + 25 * 0.75) / 101)
    assert average_precision(match([seen([square(0)], [(square(0), 0.4)])])) == 1.0
    assert average_precision(match([seen([square(0)], [])])) == 0.0
    assert math.isnan(average_precision(match([seen([], [(square(0), 0.4)])])))


def test_map_50_95_is_the_mean_over_stricter_overlaps() -> None:
    # IoU 70 / 130 = 0.538 counts at 0.50 alone of the ten limits.
    found = mean_average_precisions([seen([square(0)], [(square(3), 0.9)])])
    assert found == (1.0, pytest.approx(0.1))


def test_recall_at_precision_by_hand() -> None:
    matched = match([FIRST, SECOND])
    assert recall_at_precision(matched, 0.95) == 0.5
    assert recall_at_precision(matched, 0.7) == 0.75
    assert recall_at_precision(match([seen([square(0)], [(square(50), 0.9)])]), 0.95) == 0.0


def test_equal_scores_are_kept_or_left_together() -> None:
    tied = match([seen([square(0)], [(square(0), 0.5), (square(50), 0.5)])])
    assert recall_at_precision(tied, 0.95) == 0.0, "no confidence keeps the one and leaves the other"
    assert recall_at_precision(tied, 0.5) == 1.0


def test_log_average_miss_rate_by_hand() -> None:
    # Two pictures: the first false alarm makes 0.5 a picture, the second 1.0. Of the nine limits 10^-2 .. 10^-0.5 = 0.32 (seven) allow
    # none, so half of the cells is missed; 10^-0.25 = 0.56 allows one (a quarter missed), 1 allows both (a quarter).
    expected = math.exp((7 * math.log(0.5) + 2 * math.log(0.25)) / 9)
    assert log_average_miss_rate(match([FIRST, SECOND])) == pytest.approx(expected)
    assert log_average_miss_rate(match([seen([square(0)], [(square(0), 0.9)])])) == pytest.approx(1e-4)
    assert log_average_miss_rate(match([seen([square(0)], [])])) == 1.0


def test_at_one_confidence() -> None:
    found = at_confidence(match([FIRST, SECOND]), 0.65)
    assert (found.precision, found.recall) == (pytest.approx(2 / 3), 0.5)
    assert found.f1 == pytest.approx(4 / 7)
    assert at_confidence(match([FIRST]), 0.95).precision == 1.0


def test_the_best_confidence_lies_midway_to_the_next_detection() -> None:
    # F1 along the list: 2/5, 4/6, 4/7, 6/8, 6/9: best after the fourth (0.6), before the fifth (0.5).
    assert best_confidence(match([FIRST, SECOND])) == 0.55
    assert best_confidence(match([seen([square(0)], [])])) == 0.25


def test_by_size_other_cells_neither_count_nor_cost() -> None:
    large = [200.0, 0.0, 260.0, 60.0]
    picture = seen([square(0), large], [(square(0), 0.9), (large, 0.8), (square(500, 12.0), 0.7), ([600.0, 0.0, 680.0, 80.0], 0.6)])
    small = match([picture], across=(5, 20))
    assert (small.cells, small.hits.tolist(), small.scores.tolist()) == (1, [True, False], [0.9, 0.7])
    wide = match([picture], across=(20, 100))
    assert (wide.cells, wide.hits.tolist(), wide.scores.tolist()) == (1, [True, False], [0.8, 0.6])


def test_the_summary_names_every_figure() -> None:
    figures = summarise([FIRST, SECOND], 0.55)
    assert figures["cells"] == 4 and figures["pictures"] == 2
    assert figures["recall"] == 0.75 and figures["precision"] == 0.75
    assert set(figures) == {
        "pictures",
        "cells",
        "map50",
        "map50_95",
        "recall_at_precision_95",
        "log_average_miss_rate",
        "precision",
        "recall",
        "f1",
    }


def test_nothing_at_all_has_no_figures_but_no_error_either() -> None:
    figures = summarise([seen([], [])], 0.5)
    assert figures["cells"] == 0 and figures["map50"] is None and figures["precision"] == 1.0
