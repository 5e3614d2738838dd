"""Boxes: arithmetic, and each cell kept once in whatever order and number boxes come."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from detectors import boxes

# Few different values, so that equal boxes, equal scores and boxes exactly on the limits do occur.
PLACES = st.integers(0, 60).map(float)
SIDES = st.sampled_from([1.0, 6.0, 10.0, 12.0, 16.0, 20.0, 40.0])


@st.composite
def some_boxes(draw: st.DrawFn, most: int = 25) -> NDArray[np.float64]:
    rows = draw(st.lists(st.tuples(PLACES, PLACES, SIDES, SIDES), max_size=most))
    return boxes.as_boxes([(x, y, x + width, y + height) for x, y, width, height in rows])


def same_cell(a: NDArray[np.float64], b: NDArray[np.float64]) -> bool:
    """D14 as it is written, one pair at a time."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0.0) * max(height, 0.0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    distance = np.hypot((a[0] + a[2] - b[0] - b[2]) / 2, (a[1] + a[3] - b[1] - b[3]) / 2)
    smaller = min((a[2] - a[0] + a[3] - a[1]) / 2, (b[2] - b[0] + b[3] - b[1]) / 2)
    return bool(shared / union >= 0.5 or distance <= 0.5 * smaller)


def rows(table: NDArray[np.float64]) -> list[tuple[float, ...]]:
    return sorted(map(tuple, table.tolist()))


def test_arithmetic() -> None:
    table = np.array([[10, 20, 30, 60], [-5, 0, 5, 10]], np.float32)
    assert boxes.shift(table, 1, 2).tolist() == [[11, 22, 31, 62], [-4, 2, 6, 12]]
    assert boxes.scale(table, 0.5).tolist() == [[5, 10, 15, 30], [-2.5, 0, 2.5, 5]]
    assert boxes.clip(table, 25, 50).tolist() == [[10, 20, 25, 50], [0, 0, 5, 10]]
    assert boxes.centres(table).tolist() == [[20, 40], [0, 5]]
    assert boxes.sizes(table).tolist() == [[20, 40], [10, 10]]
    assert boxes.diameters(table).tolist() == [30, 10]
    assert boxes.areas(table).tolist() == [800, 100]


def test_iou() -> None:
    first = [[0, 0, 10, 10], [0, 0, 10, 10], [0, 0, 0, 0]]
    second = [[0, 0, 10, 5], [20, 20, 30, 30], [0, 0, 0, 0]]
    np.testing.assert_allclose(boxes.paired_iou(first, second), [0.5, 0, 0])
    np.testing.assert_allclose(boxes.iou(first[:1], second), [[0.5, 0, 0]])
    assert boxes.iou([], second).shape == (0, 3)


def test_what_is_no_table_of_boxes_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\(3,\)"):
        boxes.as_boxes([1, 2, 3])
    with pytest.raises(ValueError, match="each of the 1 boxes"):
        boxes.suppress([[0, 0, 1, 1]], [0.5, 0.6])


@settings(deadline=None)
@given(some_boxes(), st.data())
def test_suppression_is_greedy_by_rank_and_leaves_each_cell_once(table: NDArray[np.float64], data: st.DataObject) -> None:
    score = np.array(data.draw(st.lists(st.sampled_from([0.1, 0.5, 0.9]), min_size=len(table), max_size=len(table))), np.float64)
    kept: list[int] = []
    for index in sorted(range(len(table)), key=lambda i: (-score[i], table[i, 1], table[i, 0], table[i, 3], table[i, 2])):
        if not any(same_cell(table[index], table[other]) for other in kept):
            kept.append(index)
    assert rows(table[boxes.suppress(table, score)]) == rows(table[kept])


@settings(deadline=None)
@given(some_boxes(), st.randoms(use_true_random=False))
def test_order_does_not_matter(table: NDArray[np.float64], random: object) -> None:
    order = np.array(random.sample(range(len(table)), len(table)), np.intp)  # type: ignore[attr-defined]
    score, distance = np.floor(table[:, 0] / 20), np.floor(table[:, 1] / 30)
    kept = boxes.suppress(table, distance, score)
    shuffled = boxes.suppress(table[order], distance[order], score[order])
    assert rows(table[kept]) == rows(table[order][shuffled])
    assert (np.diff(kept) > 0).all()


@settings(deadline=None)
@given(hnp.arrays(np.float64, (12, 2), elements=st.floats(0, 1e5)))
def test_cells_apart_are_all_kept(places: NDArray[np.float64]) -> None:
    apart = np.arange(12)[:, None] * [2e5, 0] + places
    assert len(boxes.suppress(np.hstack([apart, apart + 40]))) == 12


def test_the_farther_from_the_edge_wins_then_the_higher_score() -> None:
    table = [[0, 0, 20, 20], [2, 0, 22, 20], [4, 0, 24, 20]]
    assert boxes.suppress(table, [5, 9, 9], [0.9, 0.1, 0.2]).tolist() == [2]


def test_a_box_falls_only_to_one_that_is_kept() -> None:
    # The middle one loses to the first; the last is far enough from the first and must not fall to the middle one.
    table = [[0, 0, 20, 20], [8, 0, 28, 20], [16, 0, 36, 20]]
    assert boxes.suppress(table, [0.9, 0.5, 0.1]).tolist() == [0, 2]


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 400), st.sampled_from([50, 56, 112]), st.integers(0, 2**32 - 1))
def test_windows_of_a_group_keep_half_a_window_apart(count: int, step: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    corners = np.unique(rng.integers(0, 20, (count, 2)), axis=0) * step
    table = np.hstack([corners, corners + 112])
    score, blast = rng.random(len(table)), rng.random(len(table)) < 0.3
    kept = boxes.suppress_windows(table, 112, score, groups=blast)
    for group in (False, True):
        middle = boxes.centres(table[kept][blast[kept] == group])
        distance = np.hypot(*(middle[:, None] - middle[None]).transpose(2, 0, 1)) + np.eye(len(middle)) * 1e9
        assert (distance >= 56).all()
    if step >= 56:  # half a window apart is far enough
        assert len(kept) == len(table)


def test_no_boxes_are_no_trouble() -> None:
    assert boxes.suppress([]).tolist() == []
    assert boxes.suppress_windows([], 112).tolist() == []


def test_a_hundred_thousand_cells_take_seconds_even_beside_giants() -> None:
    rng = np.random.default_rng(0)
    middle = rng.uniform(0, 20_000, (100_000, 2))
    half = rng.uniform(15, 30, (100_000, 2))
    half[:50] *= 100
    table = np.hstack([middle - half, middle + half]).astype(np.float32)
    started = time.perf_counter()
    kept = boxes.suppress(table, rng.random(100_000))
    assert time.perf_counter() - started < 20  # 0.3 s alone on a machine; all pairs would take minutes and gigabytes
    assert 0 < len(kept) < 100_000


@pytest.mark.parametrize(("step", "windows"), [(50, 57_914), (56, 45_771)])
def test_the_sliding_window_papers_table(step: int, windows: int) -> None:
    assert 33 * boxes.count_windows(1712, 1368, 112, step) + 16 * boxes.count_windows(2592, 1944, 112, step) == windows
