"""The matching of cells equals a brute-force one, and is fast where there are many."""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from smearscan.compare import matching
from smearscan.compare.matching import match

Floats = NDArray[np.float64]


def brute_force(first: Floats, second: Floats, first_reach: Floats, second_reach: Floats, allowance: float) -> tuple[int, float]:
    """Return how many pairs can be and their least sum of distances, by trying every choice of partners."""
    apart = np.linalg.norm(first[:, None] - second[None], axis=2)
    allowed = apart <= np.minimum(first_reach[:, None], second_reach[None]) + allowance
    best = (0, 0.0)
    partners = [*range(len(second)), *[None] * len(first)]
    for choice in set(itertools.permutations(partners, len(first))):
        pairs = [(row, column) for row, column in enumerate(choice) if column is not None]
        if all(allowed[pair] for pair in pairs):
            best = min(best, (-len(pairs), float(sum(apart[pair] for pair in pairs))))
    return -best[0], best[1]


places = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=0, max_size=4)
reaches = st.lists(st.integers(1, 6), min_size=4, max_size=4)


@given(places, places, reaches, reaches, st.sampled_from([0.0, 1.5]))
def test_it_equals_brute_force(
    first: Sequence[tuple[int, int]], second: Sequence[tuple[int, int]], one: list[int], other: list[int], allowance: float
) -> None:
    a, b = (np.array(each, np.float64).reshape(-1, 2) for each in (first, second))
    reach_a, reach_b = np.array(one[: len(a)], np.float64), np.array(other[: len(b)], np.float64)
    found = match(a, b, reach_a, reach_b, allowance)
    pairs, total = brute_force(a, b, reach_a, reach_b, allowance)
    assert len(found) == pairs
    assert found.distances.sum() == pytest.approx(total)
    assert len(set(found.first.tolist())) == len(set(found.second.tolist())) == len(found), "each cell is in one pair at most"
    assert (found.distances <= np.minimum(reach_a[found.first], reach_b[found.second]) + allowance).all()


def crowd(seed: int, count: int, side: float) -> Floats:
    return np.random.default_rng(seed).random((count, 2)) * side


@pytest.mark.parametrize("seed", range(5))
def test_a_large_group_is_solved_alike(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One group of all cells, solved on its table and on its neighbours alone."""
    a, b, reach = crowd(seed, 60, 100), crowd(seed + 50, 55, 100), np.full(60, 20.0)
    dense = match(a, b, reach, reach[:55])
    monkeypatch.setattr(matching, "DENSE", 0)
    sparse = match(a, b, reach, reach[:55])
    assert len(dense) == len(sparse) > 40
    assert dense.distances.sum() == pytest.approx(sparse.distances.sum())


def test_more_pairs_go_before_nearer_ones() -> None:
    # The middle cell of B is nearest to both of A; taking the nearest first would leave one alone.
    found = match(np.array([[0.0, 0], [4, 0]]), np.array([[3.0, 0], [8, 0]]), np.full(2, 5.0), np.full(2, 5.0))
    assert list(zip(found.first.tolist(), found.second.tolist(), strict=True)) == [(0, 0), (1, 1)]


def test_the_smaller_reach_decides() -> None:
    a, b = np.array([[0.0, 0]]), np.array([[6.0, 0]])
    assert len(match(a, b, np.array([6.0]), np.array([6.0]))) == 1
    assert len(match(a, b, np.array([6.0]), np.array([5.0]))) == 0
    assert len(match(a, b, np.array([np.inf]), np.array([5.0]), allowance=1.0)) == 1


def test_two_that_say_no_reach_are_refused() -> None:
    with pytest.raises(ValueError, match="how far"):
        match(np.zeros((1, 2)), np.zeros((1, 2)), np.array([np.inf]), np.array([np.inf]))


def test_a_huge_box_does_not_make_all_cells_look_far() -> None:
    a = crowd(1, 20_000, 40_000)
    reach = np.full(len(a), 25.0)
    reach[7] = 30_000.0
    begun = time.perf_counter()
    found = match(a, a, reach, reach)
    assert (found.first == found.second).all()
    assert len(found) == len(a)
    assert time.perf_counter() - begun < 20


def test_the_partners_can_be_asked_for() -> None:
    found = match(np.array([[0.0, 0], [50, 50]]), np.array([[90.0, 90], [1, 0]]), np.full(2, 5.0), np.full(2, 5.0))
    assert found.of_first(2).tolist() == [1, -1]
    assert found.of_second(2).tolist() == [-1, 0]
