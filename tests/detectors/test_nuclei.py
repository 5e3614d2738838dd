"""The nuclei detector: every drawn cell once, from whatever piece of the slide, and real fields as measured."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from detectors import DetectorError, boxes
from detectors.clumps import CLUMP_UM
from detectors.nuclei import NucleiDetector
from smearscan.results import Picture
from smearscan.smears import SmearPlan, TruthCell, plan_smear
from smearscan.testing.detectors import DetectorContract, around, drawn_field, in_core, owned

GLASS, PURPLE = (238, 235, 234), (92, 50, 142)


def coarse(picture: Picture, factor: int = 16) -> Picture:
    height, width = (side // factor * factor for side in picture.shape[:2])
    blocks = picture[:height, :width].reshape(height // factor, factor, width // factor, factor, 3)
    return np.rint(blocks.mean(axis=(1, 3))).astype(np.uint8)


def tuned(picture: Picture, mpp: float = 0.25) -> NucleiDetector:
    factor = max(1, int(4 / mpp))
    return NucleiDetector().tuned(coarse(picture, factor), mpp * factor, factor)


@cache
def drawn_smear() -> Picture:
    plan = SmearPlan(width=1501, height=1203, mpp=0.25, seed=11, stain=0, white_cells=30, blast_fraction=0.2)
    return plan_smear(plan).paint((0, 0, plan.width, plan.height))


class TestNuclei(DetectorContract):
    @pytest.fixture
    def picture(self) -> Picture:
        return drawn_smear().copy()

    @pytest.fixture
    def detector(self) -> NucleiDetector:
        return tuned(drawn_smear())


class TestNucleiAtAnOddScale(DetectorContract):
    @pytest.fixture
    def mpp(self) -> float:
        return 0.17  # blocks of three pixels, in which the picture's sides do not divide

    @pytest.fixture
    def detector(self) -> NucleiDetector:
        return NucleiDetector().tuned(drawn_field(), 0.17)


class TestNucleiWithoutAScale(DetectorContract):
    @pytest.fixture
    def mpp(self) -> None:
        return None

    @pytest.fixture
    def detector(self) -> NucleiDetector:
        return NucleiDetector().tuned(drawn_field(), None)


def blots(seed: int, count: int, size: tuple[int, int] = (1800, 1500)) -> Picture:
    """Return purple ellipses thrown together: clumps of every size, up to sheets that are no cells."""
    rng = np.random.default_rng(seed)
    picture = np.full((size[1], size[0], 3), GLASS, np.uint8)
    for _ in range(count):
        centre = (int(rng.integers(0, size[0])), int(rng.integers(0, size[1])))
        axes = (int(rng.integers(5, 32)), int(rng.integers(5, 32)))
        cv2.ellipse(picture, centre, axes, int(rng.integers(0, 180)), 0, 360, PURPLE, -1)
    return np.clip(picture.astype(int) + rng.integers(-12, 13, picture.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize("count", [200, 700, 1200])
def test_clumps_of_every_size_come_out_the_same_of_every_piece(count: int) -> None:
    picture = blots(count, count)
    detector = tuned(picture)
    whole = (0, 0, picture.shape[1], picture.shape[0])
    every = owned(detector, picture, 0.25, whole, whole)
    assert len(every) > 20  # the more blots, the more run together to sheets

    @settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.integers(0, 1700), st.integers(0, 1400), st.integers(60, 500), st.integers(60, 500), st.integers(0, 7))
    def check(left: int, top: int, width: int, height: int, more: int) -> None:
        core = (left, top, min(left + width, picture.shape[1]), min(top + height, picture.shape[0]))
        box = around(core, picture, detector, 0.25)
        # A piece may end anywhere, not only on the reduction's grid.
        wider = (*box[:2], min(box[2] + more, picture.shape[1]), min(box[3] + more, picture.shape[0]))
        assert owned(detector, picture, 0.25, core, wider) == {row for row in every if in_core(row, core)}

    check()


def test_a_sheet_of_stain_is_no_cell() -> None:
    picture = np.full((1000, 1000, 3), GLASS, np.uint8)
    side = int(2 * CLUMP_UM / 0.25)
    picture[100 : 100 + side, 100 : 100 + side] = PURPLE
    cv2.circle(picture, (800, 800), 18, PURPLE, -1)
    found = NucleiDetector().propose(picture, 0.25)
    assert len(found) == 1
    assert boxes.centres(found.boxes)[0] == pytest.approx([800, 800], abs=3)


def test_two_cells_that_touch_are_two_and_lobes_are_one() -> None:
    picture = np.full((600, 900, 3), GLASS, np.uint8)
    for x in (200, 243):  # two round nuclei, 11 um across, that just overlap
        cv2.circle(picture, (x, 300), 22, PURPLE, -1)
    for x, y in ((600, 290), (622, 300), (604, 314)):  # three lobes, 4.5 um across, with gaps
        cv2.circle(picture, (x, y), 9, PURPLE, -1)
    found = NucleiDetector().propose(picture, 0.25)
    middle = boxes.centres(found.boxes)
    assert len(found) == 3
    assert sorted(round(float(x), -1) for x in middle[:, 0]) == pytest.approx([200, 240, 610], abs=11)


def test_what_is_smaller_than_a_nucleus_is_left_out() -> None:
    picture = np.full((400, 400, 3), GLASS, np.uint8)
    cv2.circle(picture, (200, 200), 6, PURPLE, -1)  # a platelet, 3 um across
    assert len(NucleiDetector().propose(picture, 0.25)) == 0


def test_a_field_needs_no_tuning_and_no_scale() -> None:
    picture = drawn_smear()
    with_scale, without = NucleiDetector().propose(picture, 0.25), NucleiDetector().propose(picture)
    assert len(with_scale) == pytest.approx(30, abs=1)
    assert len(without) == pytest.approx(len(with_scale), abs=2)


@pytest.mark.parametrize("mpp", [0.12, 0.25, 0.35])
def test_scale_is_estimated_from_red_cells(mpp: float) -> None:
    plan = SmearPlan(width=round(300 / mpp), height=round(250 / mpp), mpp=mpp, seed=5, white_cells=8)
    field = plan_smear(plan).paint((0, 0, plan.width, plan.height))
    assert NucleiDetector().tuned(field, None).estimated_mpp == pytest.approx(mpp, rel=0.2)


def test_what_cannot_be_done_is_said() -> None:
    blank = np.full((100, 100, 3), 255, np.uint8)
    with pytest.raises(DetectorError, match="microns per pixel"):
        NucleiDetector().tuned(blank, None)
    with pytest.raises(DetectorError, match="tuned"):
        NucleiDetector().reach(None)
    with pytest.raises(DetectorError, match="4 um"):
        NucleiDetector().propose(blank, 4.0)
    with pytest.raises(DetectorError, match=r"multiple of 2 px.*\(1, 0\)"):
        NucleiDetector().tuned(blank, 1.0).propose(blank, 0.25, (1, 0))
    with pytest.raises(DetectorError, match="float32"):
        NucleiDetector().propose(blank.astype(np.float32), 0.25)


# The twelve smears of the acceptance test, each a sixth of its size: fractions and stains are what matters here.
SMEARS = [(fraction, stain) for stain in (1, 2) for fraction in (0.0, 0.02, 0.05, 0.1, 0.2, 0.5)]


def white_boxes(truth: list[TruthCell], white: bool) -> NDArray[np.float64]:
    return boxes.as_boxes([cell.box for cell in truth if cell.is_white_cell == white])


@pytest.mark.slow
def test_drawn_cells_are_found_once_each(detection: ModuleType) -> None:
    cells = found = wrong = 0
    for index, (fraction, stain) in enumerate(SMEARS):
        plan = SmearPlan(width=6000, height=4500, mpp=0.25, seed=100 + index, stain=stain, white_cells=180, blast_fraction=fraction)
        smear = plan_smear(plan)
        picture = smear.paint((0, 0, plan.width, plan.height))
        proposed = boxes.as_boxes(tuned(picture).propose(picture, 0.25).boxes)
        truth, others = white_boxes(list(smear.truth), True), white_boxes(list(smear.truth), False)
        hit = detection.match(truth, proposed)
        # Smudge cells and debris are neither: what stands on one of them is no false alarm.
        excused = detection.match(others, proposed[hit < 0]) >= 0
        cells, found, wrong = cells + len(truth), found + int((hit >= 0).sum()), wrong + int((hit < 0).sum() - excused.sum())
        assert len(boxes.suppress(proposed)) == len(proposed)
    assert cells == 2160
    assert found / cells >= 0.98
    assert found / (found + wrong) >= 0.98


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize(("name", "recall", "precision"), [("bccd", 0.95, 0.85), ("txl_pbc", 0.95, 0.95)])
def test_white_cells_of_real_fields_are_found(detection: ModuleType, data_folder: Path, name: str, recall: float, precision: float) -> None:
    figures = detection.measure(NucleiDetector(), detection.fields_of(data_folder / name))
    assert figures.cells > 300
    assert figures.recall >= recall
    assert figures.precision >= precision
