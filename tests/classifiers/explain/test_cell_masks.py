"""Cells that were cut out on black are told from those that lie in their surroundings, and found on the black."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from classifiers.explain.cell_masks import lie_on_black, masks_on_black

PX = 32


def crop(edge: tuple[int, int, int], cell: tuple[int, int, int]) -> NDArray[np.uint8]:
    made = np.full((PX, PX, 3), edge, np.uint8)
    made[8:24, 8:24] = cell
    return made


def test_only_a_black_edge_around_something_else_counts() -> None:
    crops = np.stack(
        [
            crop((0, 0, 0), (150, 60, 160)),
            crop((6, 4, 7), (150, 60, 160)),  # black as a compressed picture has it
            crop((240, 235, 240), (150, 60, 160)),
            crop((200, 0, 0), (150, 60, 160)),  # a colour, though two of its channels are black
            crop((0, 0, 0), (0, 0, 0)),
        ]
    )
    np.testing.assert_array_equal(lie_on_black(crops), [True, True, False, False, False])
    touching = crop((0, 0, 0), (150, 60, 160))
    touching[8:24, :20] = (150, 60, 160)  # a cell may reach an edge
    assert lie_on_black(touching[None]).all()


def test_the_mask_is_the_cell() -> None:
    (mask,) = masks_on_black(crop((6, 4, 7), (150, 60, 160))[None])
    expected = np.zeros((PX, PX), bool)
    expected[8:24, 8:24] = True
    np.testing.assert_array_equal(mask, expected)


def test_no_crops_have_no_masks() -> None:
    none = np.zeros((0, PX, PX, 3), np.uint8)
    assert lie_on_black(none).shape == (0,)
    assert masks_on_black(none).shape == (0, PX, PX)
