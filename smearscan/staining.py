"""How strongly a slide is stained, by the nuclei of its white cells.

A model that was trained on one laboratory's stain reads another's as other cells: a stain a tenth stronger turns lymphocytes into
blasts or back. So a card can say how the nuclei that it knows are stained, and `crops` brings a slide's crops there before they are scored,
all of them by the same change: what tells one cell of the slide from another is left alone. What nuclei tell hangs a little on what
kinds of cells a slide has; red cells would not, but how strongly they take eosin says little of how strongly nuclei take azure.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from detectors import stain as stains
from detectors.nuclear_stain import nuclear_densities, typical
from detectors.stain import Stain
from smearscan import gate
from smearscan.coarse import Coarse, judge, read_coarse
from smearscan.patches import PatchGrid
from smearscan.results import Picture, Pixels, SlideInfo, Staining
from smearscan.salvage import read_or_white

ENOUGH = 300  # nuclei: by so many the stain is told to 2 %, by 60 to 4 %
MOST_PATCHES = 48  # where white cells are few each shows about six
FEW = 10  # nuclei; what fewer say is a guess
READABLE = 0.5  # share of a patch that must be neither glass nor thick nor blurred
DIGITS = 4


def measure(slide: Pixels, info: SlideInfo, coarse: Coarse, judged: gate.Gate, stain: Stain) -> Staining | None:
    """Return how a slide of known scale is stained; None where it shows no nucleus. The same for the same slide, whoever asks."""
    assert info.mpp is not None, "a card that asks for the stain asks for the scale"
    grid = PatchGrid(info)
    nuclei = grid.shares(stains.nucleus_density(coarse.picture, stain.white) >= stain.nucleus)
    readable = grid.shares(np.isin(judged.reasons, (gate.KEPT, gate.NO_NUCLEUS)))
    found = np.zeros((0, 3))
    for box in grid.boxes((nuclei > 0) & (readable >= READABLE))[:MOST_PATCHES]:
        picture, _, _ = read_or_white(slide, box, slide.info.levels[0])
        found = np.concatenate([found, nuclear_densities(picture, stain, info.mpp)])
        if len(found) >= ENOUGH:
            break
    return _staining(stain, found)


def look(slide: Pixels) -> Staining | None:
    """Return the same of a slide that was not surveyed."""
    info = slide.info
    coarse = read_coarse(slide, info.mpp)
    return measure(slide, info, coarse, judge(coarse, info), stains.learn(coarse.picture))


def of_picture(picture: Picture, mpp: float) -> Staining | None:
    """Return how a picture is stained that is no slide, by all of its nuclei."""
    shorter = max(1, round(1 / mpp))  # to a micrometre a pixel, as coarse as shows a red cell well
    small = np.asarray(cv2.resize(picture, None, fx=1 / shorter, fy=1 / shorter, interpolation=cv2.INTER_AREA), np.uint8)
    stain = stains.learn(small)
    return _staining(stain, nuclear_densities(picture, stain, mpp))


def _staining(stain: Stain, densities: NDArray[np.float64]) -> Staining | None:
    if not len(densities):
        return None
    red, green, blue = (round(value, DIGITS) for value in typical(densities))
    return Staining(stain.white, (red, green, blue), len(densities))


def doubt_of(staining: Staining | None) -> str:
    """Return in a clause why crops may not have the colours that a model knows; "" where there is no such doubt."""
    if staining is None:
        return "no nucleus was found to tell how strongly it is stained: its colours are as the scanner gave them"
    if staining.nuclei < FEW:
        many = "one nucleus" if staining.nuclei == 1 else f"only {staining.nuclei} nuclei"
        return f"how strongly it is stained is a guess from {many}"
    return ""
