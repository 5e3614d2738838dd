"""Nucleus colour: grey and red cells have next to none, and a pixel's value does not depend on where it is seen."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from detectors import stain as stains
from smearscan.smears import SmearPlan, plan_smear

GLASS, RED_CELL, NUCLEUS = (238, 235, 234), (206, 169, 172), (92, 50, 142)


def painted(*parts: tuple[tuple[int, int, int], int]) -> NDArray[np.uint8]:
    """Return a picture of rows: so many of each colour."""
    return np.concatenate([np.full((rows, 200, 3), colour, np.uint8) for colour, rows in parts])


def test_learns_glass_red_cells_and_nuclei() -> None:
    stain = stains.learn(painted((GLASS, 100), (RED_CELL, 80), (NUCLEUS, 4)))
    assert stain.white == GLASS
    full = int(stains.nucleus_density(painted((NUCLEUS, 1)), stain.white)[0, 0])
    red = int(stains.nucleus_density(painted((RED_CELL, 1)), stain.white)[0, 0])
    assert stain.red_cell == red
    assert red + 200 < stain.nucleus < full
    assert red < stain.cytoplasm < stain.nucleus
    assert stain.matter <= int(stains.green_density(painted((RED_CELL, 1)), stain.white)[0, 0])


@pytest.mark.parametrize("paleness", [0.0, 0.3, 0.5, 0.65])
@pytest.mark.parametrize("nuclei", [2, 4, 10])  # percent of the picture: from a scatter of white cells to a leukaemic field
def test_pale_red_cells_are_not_taken_for_glass(paleness: float, nuclei: int) -> None:
    """The paler the red cells, the more the nuclei's density weighs beside theirs; it says nothing of where glass ends."""
    pale = tuple(round(red + paleness * (glass - red)) for red, glass in zip(RED_CELL, GLASS, strict=True))
    red_cell = (pale[0], pale[1], pale[2])
    flat = painted((GLASS, 70 - nuclei), (red_cell, 30), (NUCLEUS, nuclei))
    # Uneven, as pictures are: of flat colours every density between two of them parts as well as any other.
    grain = np.random.default_rng(0).integers(-6, 7, (*flat.shape[:2], 1))
    stain = stains.learn((flat + grain).astype(np.uint8))
    full = int(stains.nucleus_density(painted((NUCLEUS, 1)), stain.white)[0, 0])
    assert 0 < stain.matter < int(stains.green_density(painted((red_cell, 1)), stain.white)[0, 0])
    assert stain.red_cell < 200
    assert stain.nucleus < full / 2


def test_a_slide_without_nuclei_has_no_nucleus_colour() -> None:
    smear = painted((GLASS, 100), (RED_CELL, 100))
    stain = stains.learn(smear)
    assert not (stains.nucleus_density(smear, stain.white) >= stain.nucleus).any()


def test_a_picture_without_red_cells_can_be_learned() -> None:
    picture = painted((GLASS, 100), (NUCLEUS, 30))
    stain = stains.learn(picture)
    assert (stains.nucleus_density(picture, stain.white) >= stain.nucleus)[100:].all()


def test_an_empty_slide_can_be_learned() -> None:
    for value in (0, 128, 255):
        picture = np.full((50, 50, 3), value, np.uint8)
        stain = stains.learn(picture)
        assert not (stains.nucleus_density(picture, stain.white) >= stain.nucleus).any()


@settings(deadline=None)
@given(st.floats(0.5, 1.0))
def test_shade_is_not_nucleus_colour(light: float) -> None:
    shaded = np.rint(painted((GLASS, 1), (RED_CELL, 1)) * light).astype(np.uint8)
    values = stains.nucleus_density(shaded, GLASS)
    whole = stains.nucleus_density(painted((GLASS, 1), (RED_CELL, 1)), GLASS)
    assert np.abs(values.astype(int) - whole).max() <= 25  # of 1000: what rounding to whole colours makes of it


def test_what_a_scanner_did_not_see_is_not_taken_for_glass() -> None:
    seen = painted((GLASS, 60), (RED_CELL, 40))
    around = np.full((900, 200, 3), 255, np.uint8)
    assert stains.learn(np.concatenate([seen, around])).white == GLASS


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_a_coarse_and_a_fine_picture_teach_about_the_same(seed: int) -> None:
    plan = SmearPlan(width=2048, height=2048, mpp=0.25, seed=seed, white_cells=40, blast_fraction=0.3)
    fine = plan_smear(plan).paint((0, 0, 2048, 2048))
    coarse = fine.reshape(128, 16, 128, 16, 3).mean(axis=(1, 3)).astype(np.uint8)
    one, other = stains.learn(fine), stains.learn(coarse)
    assert one.white == pytest.approx(other.white, abs=8)
    assert one.red_cell == pytest.approx(other.red_cell, abs=40)
    assert 0.55 < other.nucleus / one.nucleus < 1.3  # a nucleus is two or three coarse pixels, and diluted


@settings(deadline=None)
@given(st.integers(0, 40), st.integers(0, 40), st.integers(1, 60), st.integers(1, 60))
def test_nucleus_share_counts_pixels(left: int, top: int, width: int, height: int) -> None:
    picture = np.full((80, 90, 3), GLASS, np.uint8)
    picture[20:50, 30:70] = NUCLEUS
    stain = stains.Stain(GLASS, 0, 300, 100)
    box = np.array([[left, top, left + width, top + height]], np.float32)
    marked = (stains.nucleus_density(picture, GLASS) >= 300)[top : min(top + height, 80), left : min(left + width, 90)]
    assert stains.nucleus_share(picture, box, stain)[0] == marked.mean()
    # The same window in another piece of the slide has the same share.
    piece, moved = picture[5:, 3:], box - np.array([3, 5, 3, 5], np.float32)
    if left >= 3 and top >= 5:
        assert stains.nucleus_share(np.ascontiguousarray(piece), moved, stain)[0] == marked.mean()


def test_a_box_outside_the_picture_has_no_share() -> None:
    stain = stains.Stain(GLASS, 0, 300, 100)
    assert stains.nucleus_share(painted((NUCLEUS, 10)), np.array([[500, 0, 600, 10]], np.float32), stain).tolist() == [0]
