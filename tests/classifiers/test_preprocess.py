"""Each preparation step does what its name says, to each crop by itself, and says where its pixels come from."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from classifiers.base import ClassifierError
from classifiers.preprocess import STEPS, Preparation

Crops = NDArray[np.uint8]
PX = 60
EVERY_STEP: dict[str, dict[str, Any]] = {
    "resize": {"px": 32},
    "centre-crop": {"px": 44},
    "centre-zoom": {"share": 0.6},
    "cell-crop": {"px": 40, "margin": 0.1},
    "grey": {},
    "clahe": {"grid": 4},
    "stain-normalise": {"mean": [50, 20, -20], "std": [10, 8, 8]},
}


def step(name: str, **options: Any) -> Preparation:
    return Preparation(({"step": name, **(options or EVERY_STEP[name])},))


def cell_crops(count: int = 3, px: int = PX, seed: int = 0) -> Crops:
    """Violet discs with some texture on black, each elsewhere."""
    rng = np.random.default_rng(seed)
    crops = np.zeros((count, px, px, 3), np.uint8)
    for crop in crops:
        centre = [int(each) for each in rng.integers(px // 3, 2 * px // 3, 2)]
        axes = [int(each) for each in rng.integers(px // 8, px // 4, 2)]
        cv2.ellipse(crop, centre, axes, float(rng.uniform(0, 180)), 0, 360, (110, 50, 130), cv2.FILLED)
        crop[crop.any(axis=2)] += rng.integers(0, 60, (int(crop.any(axis=2).sum()), 3), dtype=np.uint8)
    return crops


def dot_crops(places: NDArray[np.float64], px: int = PX) -> Crops:
    """A bright round spot at each place (x, y) on black."""
    y, x = np.mgrid[:px, :px]
    dots = 255 * np.exp(-((x - places[:, :1, None]) ** 2 + (y - places[:, 1:, None]) ** 2) / 18)
    return np.repeat(dots[..., None].round().astype(np.uint8), 3, axis=3)


def centres(crops: Crops) -> NDArray[np.float64]:
    mass = crops[..., 0].astype(np.float64)
    y, x = np.mgrid[: crops.shape[1], : crops.shape[2]]
    return np.stack([(mass * x).sum((1, 2)), (mass * y).sum((1, 2))], axis=1) / mass.sum((1, 2))[:, None]


def test_every_step_is_tested_here() -> None:
    assert set(EVERY_STEP) == set(STEPS)


@pytest.mark.parametrize("name", sorted(STEPS))
def test_a_crop_is_prepared_by_itself_and_left_as_it_was(name: str) -> None:
    crops = np.concatenate([cell_crops(), np.zeros((1, PX, PX, 3), np.uint8)])
    before, prepare = crops.copy(), step(name)
    together = prepare(crops)
    assert together.dtype == np.uint8
    assert together.shape == (4, prepare.prepared_px(PX), prepare.prepared_px(PX), 3)
    for row in range(4):
        np.testing.assert_array_equal(prepare(crops[row : row + 1])[0], together[row])
    np.testing.assert_array_equal(crops, before)
    assert prepare(crops[:0]).shape == together[:0].shape


@pytest.mark.parametrize("name", sorted(STEPS))
def test_places_lead_back_to_where_pixels_come_from(name: str) -> None:
    places = np.random.default_rng(4).uniform(24, 36, (20, 2))
    prepare = Preparation(({"step": name, **EVERY_STEP[name]}, {"step": "resize", "px": 50}))
    crops = dot_crops(places)
    maps = prepare.places(crops)
    back = np.einsum("nij,nj->ni", maps[:, :, :2], centres(prepare(crops))) + maps[:, :, 2]
    np.testing.assert_allclose(back, centres(crops), atol=0.25)
    assert prepare.keeps_frame == (name not in {"centre-crop", "centre-zoom", "cell-crop"})


def test_places_of_no_steps_are_the_crops_own() -> None:
    np.testing.assert_array_equal(Preparation(()).places(cell_crops(2)), [np.eye(2, 3)] * 2)


def test_the_middle_is_cut_out_pixel_by_pixel() -> None:
    crops = np.random.default_rng(0).integers(0, 256, (2, 450, 450, 3), dtype=np.uint8)
    np.testing.assert_array_equal(step("centre-crop", px=448)(crops), crops[:, 1:449, 1:449])
    with pytest.raises(ClassifierError, match=r"448 pixels out of 300"):
        step("centre-crop", px=448).prepared_px(300)


@given(side=st.integers(2, 300), share=st.floats(0.01, 1))
@settings(max_examples=60, deadline=None)
def test_a_zoom_keeps_the_middle_and_the_size(side: int, share: float) -> None:
    crops = np.zeros((1, side, side, 3), np.uint8)
    prepare = step("centre-zoom", share=share)
    assert prepare(crops).shape == crops.shape
    ((place),) = prepare.places(crops)
    middle = (side - 1) / 2
    np.testing.assert_allclose(place @ [middle, middle, 1], [middle, middle], atol=1e-9)
    assert abs(place[0, 0] - share) <= 2 / side


def test_a_cell_fills_its_square_and_keeps_its_shape() -> None:
    crop = np.zeros((1, 90, 90, 3), np.uint8)
    crop[0, 10:40, 50:70] = 200  # 20 wide, 30 high
    cut = step("cell-crop", px=60)(crop)[0, ..., 0]
    assert (cut[:, 11:49] > 150).all(), "40 of 60 across, all of 60 down"
    assert (cut[:, [0, 5, 54, 59]] == 0).all(), "black makes it square"
    with_margin = step("cell-crop", px=60, margin=0.5)(crop)[0, ..., 0]
    assert (with_margin[16:44, 21:39] > 150).all()
    assert with_margin[:13].max() == 0
    assert with_margin[47:].max() == 0


@pytest.mark.parametrize("margin", [0.0, 0.2])
@pytest.mark.parametrize("value", [0, 5, 180])
def test_a_crop_that_is_no_cut_out_cell_is_kept_whole(value: int, margin: float) -> None:
    crops = np.full((1, PX, PX, 3), value, np.uint8)
    crops[0, 20:30, 25:45] += 3
    prepare = step("cell-crop", px=PX, margin=margin)
    np.testing.assert_array_equal(prepare(crops), crops)
    np.testing.assert_array_equal(prepare.places(crops)[0], np.eye(2, 3))


def test_what_jpeg_leaves_in_the_black_is_not_the_cell() -> None:
    crops = np.zeros((1, PX, PX, 3), np.uint8)
    crops[0, 20:40, 20:40] = 120
    noisy = crops + np.random.default_rng(1).integers(0, 9, crops.shape, dtype=np.uint8)
    np.testing.assert_array_equal(step("cell-crop", px=20).places(noisy), step("cell-crop", px=20).places(crops))
    assert step("cell-crop", px=20, black=0).places(noisy)[0, 0, 0] > 2, "unless told that nothing but 0 is black"


def test_grey_has_three_equal_channels_of_the_luma() -> None:
    crops = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    grey = step("grey")(crops)
    np.testing.assert_array_equal(grey[..., 0], grey[..., 1])
    np.testing.assert_array_equal(grey[..., 0], grey[..., 2])
    np.testing.assert_allclose(grey[..., 0], crops @ [0.299, 0.587, 0.114], atol=1)


def test_clahe_spreads_the_luma_and_leaves_colour_and_black() -> None:
    crops = cell_crops(px=120)
    equalised = step("clahe", clip_limit=4.0)(crops)
    black = (crops <= 12).all(axis=3)
    np.testing.assert_array_equal(equalised[black], crops[black])
    for crop, made, outside in zip(crops, equalised, black, strict=True):
        before, after = (cv2.cvtColor(each, cv2.COLOR_RGB2YUV)[~outside].astype(int) for each in (crop, made))
        assert after[:, 0].std() > 1.3 * before[:, 0].std()
        assert np.median(np.abs(after[:, 1:] - before[:, 1:])) <= 2


def test_stain_normalisation_reaches_the_mean_and_deviation_that_are_asked_for() -> None:
    crops = cell_crops(px=120)
    made = step("stain-normalise", mean=[55.0, 15.0, -15.0], std=[6.0, 4.0, 4.0])(crops)
    for crop, out in zip(crops, made, strict=True):
        outside = (crop <= 12).all(axis=2)
        lab = cv2.cvtColor(out.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[~outside]
        np.testing.assert_allclose(lab.mean(axis=0), [55, 15, -15], atol=0.5)
        np.testing.assert_allclose(lab.std(axis=0), [6, 4, 4], atol=0.5)
        np.testing.assert_array_equal(out[outside], crop[outside])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"step": "resize", "px": 0}, r"'resize'.*px must be a whole number from 1 on, not 0"),
        ({"step": "resize", "px": "big"}, r"'resize'.*px .*'big'"),
        ({"step": "resize", "px": True}, r"'resize'.*px .*True"),
        ({"step": "centre-zoom", "share": 1.5}, r"share must be a number from 0.01 to 1, not 1.5"),
        ({"step": "cell-crop", "px": 30, "black": 300}, r"black .*300"),
        ({"step": "clahe", "clip_limit": 0}, r"clip_limit .*0"),
        ({"step": "stain-normalise", "mean": [1, 2], "std": [1, 1, 1]}, r"mean must be three numbers"),
        ({"step": ["grey"]}, r"no preparation step named \['grey'\]"),
    ],
)
def test_a_wrong_value_stops_before_anything_is_prepared(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ClassifierError, match=message):
        Preparation((options,))


@pytest.mark.data
def test_cells_of_a_real_set_fill_their_crops(data_folder: Path) -> None:
    """Where the set's own table says the cell was is where the cell is found."""
    folder = data_folder / "cnmc"
    with (folder / "manifest.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))[::600]
    assert len(rows) > 5
    for row in rows:
        cell = cv2.cvtColor(cv2.imread(str(folder / row["file"])), cv2.COLOR_BGR2RGB)
        left, top = int(row["left"]), int(row["top"])
        frame = np.zeros((1, 450, 450, 3), np.uint8)
        frame[0, top : top + cell.shape[0], left : left + cell.shape[1]] = cell
        ((across, _, x), (_, _, y)) = step("cell-crop", px=300).places(frame)[0]
        side = across * 300
        assert abs(side - max(cell.shape[:2])) <= 4, row["file"]
        middle = np.array([x, y]) + across * 149.5
        np.testing.assert_allclose(middle, [left + (cell.shape[1] - 1) / 2, top + (cell.shape[0] - 1) / 2], atol=3)
