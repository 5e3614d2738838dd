"""Fields: every point is owned once, and a piece cut for one core gets exactly that core's field."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detectors.fields import WHITE, FieldGrid

GRIDS = st.tuples(st.integers(1, 20), st.integers(12, 60)).map(lambda pair: FieldGrid(side=4 * pair[0] + pair[1], margin=pair[0]))


@settings(deadline=None)
@given(grid=GRIDS, origin=st.tuples(st.integers(0, 500), st.integers(0, 500)), size=st.tuples(st.integers(1, 300), st.integers(1, 300)))
def test_every_point_of_a_picture_is_owned_by_one_field_that_sees_it(
    grid: FieldGrid, origin: tuple[int, int], size: tuple[int, int]
) -> None:
    fields = list(grid.fields(origin, size))
    rng = np.random.default_rng(0)
    points = rng.uniform((0, 0), size, (20, 2))
    boxes = np.column_stack([points, points])
    owners = np.array([field.owns(boxes) for field in fields])
    assert (owners.sum(axis=0) == 1).all()
    for field, owned in zip(fields, owners, strict=True):
        x, y = points[owned].T - np.array([[field.left], [field.top]])
        assert ((x >= 0) & (x <= grid.side) & (y >= 0) & (y <= grid.side)).all()


@settings(deadline=None)
@given(grid=GRIDS, column=st.integers(0, 9), row=st.integers(0, 9), slide=st.tuples(st.integers(1, 900), st.integers(1, 900)))
def test_a_piece_cut_for_one_core_gets_that_core_s_field(grid: FieldGrid, column: int, row: int, slide: tuple[int, int]) -> None:
    core = column * grid.core, row * grid.core
    if core[0] >= slide[0] or core[1] >= slide[1]:
        return
    left, top = (max(0, at - grid.margin) for at in core)
    right, bottom = (min(at + grid.core + grid.margin, end) for at, end in zip(core, slide, strict=True))
    (field,) = grid.fields((left, top), (right - left, bottom - top))
    assert (field.left + left, field.top + top) == (core[0] - grid.margin, core[1] - grid.margin)


def test_what_lies_outside_the_picture_is_white() -> None:
    grid = FieldGrid(side=12, margin=2)
    picture = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
    (field,) = grid.fields((0, 0), (7, 5))
    cut = grid.cut(picture, field)
    assert cut.shape == (12, 12, 3)
    assert (cut[2:7, 2:9] == picture).all()
    cut[2:7, 2:9] = WHITE
    assert (cut == WHITE).all()


def test_a_margin_that_eats_the_core_is_refused() -> None:
    with pytest.raises(ValueError, match="no larger than its margin"):
        FieldGrid(side=30, margin=10)
