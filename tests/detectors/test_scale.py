"""The scale from red cells: of drawn smears it is known, of real fields it must be one within a set, and tissue has none."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from detectors import DetectorError, stain
from detectors.scale import RED_CELL_UM, RedCells, estimate_mpp, measure_red_cells
from smearscan.smears import SmearPlan, plan_smear

SCALES = (0.1, 0.15, 0.2, 0.25, 0.35, 0.5)
GLASS, RED = (238, 235, 234), (205, 150, 152)


@cache
def drawn(mpp: float, side: int = 700, seed: int = 3) -> NDArray[np.uint8]:
    return plan_smear(SmearPlan(side, side, mpp, seed=seed, layout="field")).paint((0, 0, side, side))


def measured(picture: NDArray[np.uint8]) -> RedCells | None:
    return measure_red_cells(picture, stain.learn(picture))


def discs(diameter: float, count: int = 5000, side: int = 800, squeezed: float = 1.0) -> NDArray[np.uint8]:
    """Return discs that stand free, or ellipses of the same area."""
    picture = np.full((side, side, 3), GLASS, np.uint8)
    across = max(int(side // (1.6 * diameter)), 1)
    axes = ((diameter * squeezed - 1) / 2, (diameter / squeezed - 1) / 2)  # what OpenCV draws is a pixel wider than its axes say
    for number in range(min(count, across * across)):
        row, column = divmod(number, across)
        centre = (int((column + 0.5) * 1.6 * diameter), int((row + 0.5) * 1.6 * diameter))
        fine = tuple(int(16 * each) for each in axes)
        shifted = tuple(16 * each for each in centre)
        cv2.ellipse(picture, shifted, fine, 30 * number, 0, 360, RED, -1, cv2.LINE_AA, 4)
    return picture


@pytest.mark.parametrize("mpp", SCALES)
def test_drawn_smears_of_six_scales(mpp: float) -> None:
    found = measured(drawn(mpp))
    assert found is not None
    assert len(found) >= 20
    assert RED_CELL_UM / found.diameter_px == pytest.approx(mpp, rel=0.1)


@pytest.mark.parametrize("diameter", [12.0, 20.0, 33.0, 60.0, 110.0])
@pytest.mark.parametrize("squeezed", [1.0, 1.15])
def test_the_diameter_is_that_of_a_disc_of_the_same_area(diameter: float, squeezed: float) -> None:
    found = measured(discs(diameter, squeezed=squeezed))
    assert found is not None
    assert found.diameter_px == pytest.approx(diameter, rel=0.04)


@pytest.mark.parametrize("blur", [0.0, 1.5, 3.0])
def test_blur_moves_no_edge(blur: float) -> None:
    picture = discs(30.0)
    if blur:
        picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), blur), np.uint8)
    found = measured(picture)
    assert found is not None
    assert found.diameter_px == pytest.approx(30.0, rel=0.05)


def test_pale_middles_and_holes_between_cells_are_told_apart() -> None:
    picture = discs(40.0)
    cv2.circle(picture, (32, 32), 9, GLASS, -1)  # of the first cell
    whole = measured(picture)
    crowd = np.full((800, 800, 3), RED, np.uint8)
    rng = np.random.default_rng(1)
    for x, y in rng.integers(20, 780, (60, 2)).tolist():
        cv2.circle(crowd, (x, y), 6, GLASS, -1)  # glass seen through a sheet of cells
    assert whole is not None
    assert whole.diameter_px == pytest.approx(40.0, rel=0.04)
    assert measured(crowd) is None


def test_pictures_without_red_cells_have_no_scale() -> None:
    rng = np.random.default_rng(2)
    noise = np.clip(np.full((500, 600, 3), 200) + rng.normal(0, 12, (500, 600, 1)), 0, 255).astype(np.uint8)
    clouds = np.asarray(cv2.GaussianBlur(rng.integers(0, 256, (600, 600, 3), np.uint8), (0, 0), 9), np.uint8)
    blank = np.full((300, 300, 3), 255, np.uint8)
    for picture in (noise, clouds, blank):
        assert measured(picture) is None
    with pytest.raises(DetectorError, match="no red cells"):
        estimate_mpp(blank, stain.learn(blank))


def test_of_a_large_picture_pieces_are_looked_at() -> None:
    """The middle of a slide may be bare."""
    picture = np.full((2400, 2400, 3), GLASS, np.uint8)
    picture[:800, :800] = discs(30.0)
    assert estimate_mpp(picture, stain.learn(picture)) == pytest.approx(RED_CELL_UM / 30, rel=0.05)


def test_the_same_picture_says_the_same() -> None:
    picture = drawn(0.25)
    assert estimate_mpp(picture, stain.learn(picture)) == estimate_mpp(picture.copy(), stain.learn(picture))


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize(("name", "pattern", "least"), [("bccd", "images/*.jpg", 0.85), ("chula_rbc12", "*.jpg", 0.97)])
def test_real_fields_of_one_set_say_about_the_same(data_folder: Path, name: str, pattern: str, least: float) -> None:
    said = []
    files = sorted((data_folder / name).glob(pattern))[::10]
    for path in files:
        picture = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)  # type: ignore[arg-type]
        if (found := measured(np.asarray(picture, np.uint8))) is not None:
            said.append(found.diameter_px)
    assert len(said) >= least * len(files)
    low, middle, high = np.percentile(said, (25, 50, 75))
    assert (high - low) / middle < 0.12, f"{name}: {low:.1f} to {high:.1f} px around {middle:.1f}"
