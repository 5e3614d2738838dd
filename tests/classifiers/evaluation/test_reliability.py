"""The calibration error: bins of equal mass, whatever the order and the number of cells."""

from __future__ import annotations

import numpy as np
import pytest

from classifiers.evaluation.reliability import BINS, Reliability, expected_error, reliability_bins


def test_fifteen_bins_of_two_by_hand() -> None:
    """Where 15 divides the number of cells, the bins are simply the sorted cells two by two."""
    rng = np.random.default_rng(1)
    chances, true = rng.random(30), rng.integers(2, size=30)
    order = np.argsort(chances)
    by_hand = sum(abs(chances[pair].mean() - true[pair].mean()) * 2 / 30 for pair in np.split(order, 15))
    assert BINS == 15
    assert expected_error(chances, true) == pytest.approx(by_hand)


def test_two_bins_with_a_cell_on_the_edge() -> None:
    """Three cells, two bins of 1.5 cells: 0 and half of 0.5, then the other half and 1."""
    found = reliability_bins([0.0, 0.5, 1.0], [0, 1, 1], bins=2)
    assert [each.cells for each in found] == pytest.approx([1.5, 1.5])
    assert [each.mean_probability for each in found] == pytest.approx([0.25 / 1.5, 1.25 / 1.5])
    assert [each.share_right for each in found] == pytest.approx([0.5 / 1.5, 1.0])
    assert expected_error([0.0, 0.5, 1.0], [0, 1, 1], bins=2) == pytest.approx((0.25 + 0.25) / 3)


def test_equal_probabilities_share_what_became_of_them() -> None:
    """Sorted by chance, the four cells at 0.5 could fall into bins that look badly calibrated; they are not."""
    for true in ([0, 0, 1, 1], [1, 1, 0, 0], [0, 1, 0, 1]):
        assert expected_error([0.5] * 4, true, bins=2) == pytest.approx(0)


def test_perfect_and_worst() -> None:
    assert expected_error([0, 0, 1, 1], [0, 0, 1, 1]) == 0
    assert expected_error([1] * 16 + [0] * 14, [0] * 16 + [1] * 14) == 1
    assert np.isnan(expected_error([], []))


def test_a_cell_of_weight_two_counts_as_two_cells() -> None:
    rng = np.random.default_rng(2)
    chances, true = rng.random(40), rng.integers(2, size=40)
    weights = rng.integers(0, 3, 40)
    found = Reliability(chances, true)
    assert found.error(weights[found.order].astype(float)) == pytest.approx(expected_error(chances.repeat(weights), true.repeat(weights)))
