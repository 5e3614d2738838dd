from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from classifiers.card import ModelCard
from smearscan import crops
from smearscan.errors import MissingResolution
from smearscan.testing.classifiers import fake_card

CARD = fake_card(crop_px=32, crop_um=16.0)  # 0.5 um a pixel
PIXEL_CARD = replace(CARD, crop_um=None)
DIAMETER_CARD = replace(CARD, crop_um=None, crop_diameters=1.5)
SLIDE = np.random.default_rng(2).integers(0, 256, (400, 500, 3), dtype=np.uint8)
SIZE = (500, 400)


@pytest.mark.parametrize(("mpp", "side"), [(0.5, 32), (0.25, 64), (0.23, 70), (1.0, 16)])
def test_the_side_follows_the_slides_scale(mpp: float, side: int) -> None:
    assert crops.sides([[10, 10, 30, 30]], CARD, mpp).tolist() == [side]


def test_the_side_follows_the_cell_where_the_card_says_so() -> None:
    assert crops.sides([[0, 0, 20, 40], [0, 0, 11, 10]], DIAMETER_CARD).tolist() == [60, 17]


def test_a_slide_without_scale_is_asked_for_one() -> None:
    with pytest.raises(MissingResolution, match="--mpp"):
        crops.cut(SLIDE, (0, 0), [[10, 10, 30, 30]], CARD, slide_size=SIZE)


def test_a_crop_of_its_own_size_is_the_slides_pixels() -> None:
    [crop] = crops.cut(SLIDE, (0, 0), [[90, 80, 110, 120]], CARD, slide_size=SIZE, mpp=0.5)
    np.testing.assert_array_equal(crop, SLIDE[84:116, 84:116])


def test_a_smaller_crop_averages_its_pixels() -> None:
    [crop] = crops.cut(SLIDE, (0, 0), [[90, 80, 110, 120]], CARD, slide_size=SIZE, mpp=0.25)
    means = SLIDE[68:132, 68:132].reshape(32, 2, 32, 2, 3).mean(axis=(1, 3))
    assert np.abs(crop - means).max() <= 0.5


def test_a_larger_crop_is_interpolated() -> None:
    smooth = cv2.GaussianBlur(SLIDE, (0, 0), 4)
    [crop] = crops.cut(smooth, (0, 0), [[90, 80, 110, 120]], CARD, slide_size=SIZE, mpp=1.0)
    assert np.abs(crop.reshape(16, 2, 16, 2, 3).mean(axis=(1, 3)) - smooth[92:108, 92:108]).max() < 8


@pytest.mark.parametrize("mpp", [0.5, 0.23, 0.9])
def test_beyond_the_slide_is_white(mpp: float) -> None:
    dark = np.zeros_like(SLIDE)
    boxes = [[-10, -10, 10, 10], [490, 390, 510, 410]]
    first, last = crops.cut(dark, (0, 0), boxes, CARD, slide_size=SIZE, mpp=mpp)
    assert (first[:13] == 255).all()
    assert (first[19:, 19:] == 0).all()
    assert (last[19:] == 255).all()
    assert (last[:13, :13] == 0).all()


def test_a_box_wholly_beyond_the_slide_is_all_white() -> None:
    assert (crops.cut(SLIDE, (0, 0), [[900, 900, 920, 920]], CARD, slide_size=SIZE, mpp=0.5) == 255).all()


def test_no_boxes_no_crops() -> None:
    assert crops.cut(SLIDE, (0, 0), np.zeros((0, 4), np.float32), CARD, slide_size=SIZE, mpp=0.5).shape == (0, 32, 32, 3)


def test_a_window_is_the_crop_as_it_is() -> None:
    card = replace(PIXEL_CARD, crop_px=112)
    [crop] = crops.cut(SLIDE, (0, 0), [[56, 112, 168, 224]], card, slide_size=SIZE, whole_box=True)
    np.testing.assert_array_equal(crop, SLIDE[112:224, 56:168])


def test_a_window_is_brought_to_the_cards_size() -> None:
    [crop] = crops.cut(SLIDE, (0, 0), [[56, 112, 168, 224]], CARD, slide_size=SIZE, mpp=0.25, whole_box=True)
    np.testing.assert_array_equal(crop, cv2.resize(SLIDE[112:224, 56:168], (32, 32), interpolation=cv2.INTER_AREA))


def test_a_picture_too_small_for_the_crop_is_a_fault_of_the_caller() -> None:
    with pytest.raises(ValueError, match="wider margin"):
        crops.cut(SLIDE[100:200, 100:200], (100, 100), [[100, 120, 110, 130]], CARD, slide_size=SIZE, mpp=0.5)


@given(
    centre=st.tuples(st.floats(0, 500, width=32), st.floats(0, 400, width=32)),
    size=st.floats(4, 60, width=32),
    mpp=st.floats(0.2, 1.2),
    shift=st.tuples(st.integers(0, 60), st.integers(0, 60)),
    card=st.sampled_from([CARD, PIXEL_CARD, DIAMETER_CARD]),
)
@settings(max_examples=150, deadline=None)
def test_a_crop_is_the_same_from_every_tile_that_holds_it(
    centre: tuple[float, float], size: float, mpp: float, shift: tuple[int, int], card: ModelCard
) -> None:
    x, y = centre
    box = np.array([[x - size / 2, y - size / 2, x + size / 2, y + size / 2]], np.float32)
    whole = crops.cut(SLIDE, (0, 0), box, card, slide_size=SIZE, mpp=mpp)
    reach = crops.margin(card, mpp, largest_diameter=size + 1)
    left, top = max(0, int(x) - reach - shift[0]), max(0, int(y) - reach - shift[1])
    tile = np.ascontiguousarray(SLIDE[top : int(y) + reach + 2, left : int(x) + reach + 2])
    np.testing.assert_array_equal(crops.cut(tile, (left, top), box, card, slide_size=SIZE, mpp=mpp), whole)


def test_neighbouring_cells_are_cut_alike_wherever_they_lie() -> None:
    """Rounding halves to even would move every other crop by a pixel."""
    boxes = np.array([[index, 50, index + 21, 71] for index in range(100, 120)], np.float32)
    assert np.diff(crops.squares(boxes, CARD, 0.5)[:, 0]).tolist() == [1] * 19
