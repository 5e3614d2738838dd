"""The gate: it may keep too much, but loses no cell, and says why it leaves a part out."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from detectors import boxes
from smearscan import gate
from smearscan.results import Picture
from smearscan.smears import SmearPlan, plan_smear

MPP = 0.5
DOWNSAMPLE = 8


def reduced(picture: Picture, factor: int = DOWNSAMPLE) -> Picture:
    return np.asarray(cv2.resize(picture, (picture.shape[1] // factor, picture.shape[0] // factor), interpolation=cv2.INTER_AREA), np.uint8)


def drawn(plan: SmearPlan) -> tuple[Picture, NDArray[np.float64]]:
    """Return a smear as the gate sees it, 4 um a pixel, and the boxes of its white cells."""
    smear = plan_smear(plan)
    factor = round(gate.COARSEST_UM / plan.mpp)
    bands = [reduced(smear.paint((0, top, plan.width, min(top + 512, plan.height))), factor) for top in range(0, plan.height, 512)]
    return np.concatenate(bands), boxes.as_boxes([cell.box for cell in smear.truth if cell.is_white_cell])


@pytest.fixture(scope="module")
def film() -> tuple[gate.Gate, Picture, NDArray[np.float64]]:
    """A whole film: glass, a thick end, a monolayer, a feather edge."""
    plan = SmearPlan(width=5120, height=4096, mpp=MPP, seed=3, stain=1, layout="film", blast_fraction=0.1)
    picture, cells = drawn(plan)
    return gate.judge(picture, MPP * DOWNSAMPLE, DOWNSAMPLE, (plan.width, plan.height)), picture, cells


def test_no_cell_of_a_film_is_lost(film: tuple[gate.Gate, Picture, NDArray[np.float64]]) -> None:
    judged, _, cells = film
    assert len(cells) > 50
    assert judged.keeps(cells).all()
    assert judged.kept.mean() < 0.5  # and it is worth having


@pytest.mark.slow
@pytest.mark.parametrize("stain", [1, 2])
@pytest.mark.parametrize("fraction", [0.0, 0.02, 0.05, 0.1, 0.2, 0.5])
def test_no_drawn_cell_is_lost(stain: int, fraction: float) -> None:
    plan = SmearPlan(
        width=6144, height=4096, mpp=0.25, seed=round(1000 * fraction) + stain, stain=stain, white_cells=180, blast_fraction=fraction
    )
    picture, cells = drawn(plan)
    judged = gate.judge(picture, 4.0, 16.0, (plan.width, plan.height))
    assert len(cells) == 180
    assert judged.keeps(cells).all()


@pytest.mark.slow
@pytest.mark.data
def test_no_cell_of_a_real_field_is_lost(data_folder: Path, detection: ModuleType) -> None:
    for field in detection.fields_of(data_folder / "bccd"):
        assert gate.judge(field.picture, None, 1.0).keeps(field.truth).all(), field.name


def test_each_reason_is_found_where_it_is_true(film: tuple[gate.Gate, Picture, NDArray[np.float64]]) -> None:
    judged, picture, _ = film
    patch, squares = np.s_[225:285, 250:350], np.s_[47:55, 52:68]  # in the monolayer; squares of five pixels, a little inside
    blurred = picture.copy()
    blurred[patch] = cv2.GaussianBlur(picture[patch], (0, 0), 3)
    reasons = gate.judge(blurred, MPP * DOWNSAMPLE, DOWNSAMPLE).reasons
    assert (reasons[squares] == gate.BLURRED).mean() > 0.5
    assert (judged.reasons == gate.BLURRED).mean() < 0.005
    assert (judged.reasons[:3] == gate.GLASS).all()  # above the film
    rows, columns = judged.reasons.shape
    thick = judged.reasons[rows // 3 : 2 * rows // 3, : columns // 6]  # the film lies from left to right
    thin = judged.reasons[:, columns // 3 :]
    assert (thick == gate.THICK).mean() > 0.3
    assert (thin == gate.THICK).mean() < 0.01


def test_a_tile_is_left_out_for_its_commonest_reason() -> None:
    codes = np.array([[1, 1, 4], [2, 4, 4], [0, 1, 1]], np.uint8)
    judged = gate.Gate(codes, 10.0, 30, 30, None)
    assert judged.tile_reason((0, 0, 30, 30)) is None
    assert judged.tile_reason((0, 0, 30, 20)) == "no_nucleus"
    assert judged.tile_reason((0, 0, 20, 20)) == "glass"
    assert judged.tile_reason((0, 20, 10, 30)) is None
    assert judged.tile_reason((0, 10, 10, 11)) == "thick"


def test_areas_add_up() -> None:
    codes = np.array([[0, 1], [4, 4]], np.uint8)
    area = gate.Gate(codes, 1000.0, 1500, 1200, 0.5).area(tiles=3, tiles_by_reason={"glass": 2})
    assert area.unit == "mm2"
    assert area.total == pytest.approx(1.5 * 1.2 * 0.25)
    assert area.scanned == pytest.approx(0.25)
    assert area.by_reason == {"glass": pytest.approx(0.5 * 0.25), "no_nucleus": pytest.approx(1.5 * 0.2 * 0.25)}
    assert (area.tiles, area.tiles_by_reason) == (3, {"glass": 2})
    assert gate.Gate(codes, 1000.0, 1500, 1200, None).area().unit == "px"


@settings(deadline=None)
@given(st.integers(1, 5000), st.integers(1, 5000), st.floats(1.0, 40.0), st.integers(0, 2**32 - 1))
def test_areas_add_up_to_the_slide_whatever_its_size(width: int, height: int, square: float, seed: int) -> None:
    shape = (max(1, int(height / square)), max(1, int(width / square)))
    codes = np.random.default_rng(seed).integers(0, len(gate.REASONS), shape).astype(np.uint8)
    area = gate.Gate(codes, square, width, height, None).area()
    assert area.total == pytest.approx(width * height)
    assert area.scanned + sum(area.by_reason.values()) == pytest.approx(area.total)


@settings(deadline=None)
@given(st.integers(0, 290), st.integers(0, 290), st.integers(1, 300), st.integers(1, 300), st.integers(0, 2**32 - 1))
def test_a_gate_cut_to_a_tile_says_the_same(left: int, top: int, width: int, height: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    judged = gate.Gate(rng.integers(0, 5, (30, 30)).astype(np.uint8), 10.0, 300, 300, 0.25)
    box = (left, top, min(left + width, 300), min(top + height, 300))
    part = judged.cut(box)
    places = rng.uniform((left, top), (box[2], box[3]), (50, 2))
    inside = np.hstack([places, places])
    np.testing.assert_array_equal(part.keeps(inside), judged.keeps(inside))
    assert part.tile_reason(box) == judged.tile_reason(box)


def test_an_open_gate_keeps_everything() -> None:
    judged = gate.open_gate(5000, 300, 0.25)
    assert judged.keeps([[0, 0, 1, 1], [4990, 290, 5000, 300]]).all()
    assert judged.tile_reason((4000, 0, 5000, 300)) is None
    area = judged.area()
    assert area.scanned == area.total == pytest.approx(5000 * 300 * 0.0625 / 1e6)
    assert area.by_reason == {}


def test_an_empty_slide_is_glass() -> None:
    judged = gate.judge(np.full((300, 400, 3), 236, np.uint8), 4.0, 16.0)
    assert (judged.reasons == gate.GLASS).all()
    assert judged.tile_reason((0, 0, 400 * 16, 300 * 16)) == "glass"


def test_pale_red_cells_are_no_glass() -> None:
    """A monolayer of pale red cells, crowded with dark nuclei in one half; in the other lies a single one of half their density."""
    glass, red_cell, dark, light = (244, 238, 233), (230, 206, 206), (92, 50, 142), (150, 109, 182)
    rng = np.random.default_rng(0)
    picture = np.where(rng.random((200, 200, 1)) < 0.3, np.uint8(red_cell), np.uint8(glass))
    for left, top in rng.integers(0, (97, 197), (250, 2)):
        picture[top : top + 3, left : left + 3] = dark
    picture[100:103, 160:163] = light
    judged = gate.judge((picture + rng.integers(-6, 7, (200, 200, 1))).astype(np.uint8), 4.0, 16.0)
    assert not (judged.reasons == gate.GLASS).any()
    assert judged.keeps([[160 * 16, 100 * 16, 163 * 16, 103 * 16]]).all()


def test_how_coarse_a_picture_may_be() -> None:
    assert gate.coarsest_downsample(100_000, 100_000, 0.25) == 16
    assert gate.coarsest_downsample(640, 480, None) == 1
    assert gate.coarsest_downsample(50_000, 50_000, None) == 10
    assert gate.coarsest_downsample(1000, 1000, 5.0) == 1


def test_a_single_field_is_kept_whole_whatever_lies_on_it() -> None:
    assert gate.is_field(640, 480, 0.08)
    assert not gate.is_field(640, 480, None)
    assert not gate.is_field(6000, 4000, 0.08)
    assert gate.coarsest_downsample(640, 480, 0.08) == 1
    assert gate.coarsest_downsample(6000, 4000, 0.08) == pytest.approx(50)
