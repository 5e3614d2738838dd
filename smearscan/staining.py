"""How strongly a slide is stained, by the nuclei of its white cells.

A model that was trained on one laboratory's stain reads another's as other cells: a stain a tenth stronger turns lymphocytes into
blasts or back. So a card can say how the nuclei that it knows are stained, and `crops` brings a slide's crops there before they are scored,
all of them by the same change: what tells one cell of the slide from another is left alone. The nuclei of granulocytes tell the stain,
as a smear shows them whoever's it is; how dark lymphocytes and blasts are is for the model to see. Red cells would tell it less: how
strongly they take eosin says little of how strongly nuclei take azure.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from detectors import stain as stains
from detectors.nuclear_stain import ENOUGH_LOBED, Nuclei, measure_nuclei
from detectors.stain import Stain
from smearscan import gate
from smearscan.coarse import Coarse, judge, read_coarse
from smearscan.patches import PatchGrid
from smearscan.results import Box, Level, Picture, Pixels, SlideInfo, Staining
from smearscan.salvage import read_or_white

ENOUGH = 300  # lobed nuclei: which of them were met matters little then
MOST_PATCHES = 48  # where white cells are few each shows about six
FEW = 10  # nuclei; what fewer say is a guess
READABLE = 0.5  # share of a patch that must be neither glass nor thick nor blurred
DIGITS = 4


@dataclass(frozen=True)
class _Held:
    """A picture as a slide."""

    picture: Picture
    mpp: float

    @property
    def info(self) -> SlideInfo:
        height, width = self.picture.shape[:2]
        return SlideInfo(Path(), "memory", width, height, self.mpp, None, (Level(0, width, height, 1.0),))

    def read(self, box: Box, level: int = 0) -> Picture:
        assert level == 0, "there is one level"
        return self.picture[box[1] : box[3], box[0] : box[2]]


def measure(slide: Pixels, info: SlideInfo, coarse: Coarse, judged: gate.Gate, stain: Stain) -> Staining | None:
    """Return how a slide of known scale is stained; None where it shows no nucleus. The same for the same slide, whoever asks."""
    assert info.mpp is not None, "a card that asks for the stain asks for the scale"
    grid = PatchGrid(info)
    nuclei = grid.shares(stains.nucleus_density(coarse.picture, stain.white) >= stain.nucleus)
    readable = grid.shares(np.isin(judged.reasons, (gate.KEPT, gate.NO_NUCLEUS)))
    found: list[Nuclei] = []
    for box in grid.boxes((nuclei > 0) & (readable >= READABLE))[:MOST_PATCHES]:
        picture, _, _ = read_or_white(slide, box, slide.info.levels[0])
        found.append(measure_nuclei(picture, stain, info.mpp))
        if sum(int(each.lobed.sum()) for each in found) >= ENOUGH:
            break
    return of_nuclei(stain.white, Nuclei.joined(found))


def look(slide: Pixels) -> Staining | None:
    """Return the same of a slide that was not surveyed."""
    info = slide.info
    coarse = read_coarse(slide, info.mpp)
    return measure(slide, info, coarse, judge(coarse, info), stains.learn(coarse.picture))


def of_picture(picture: Picture, mpp: float) -> Staining | None:
    """Return the same of a picture that is no slide."""
    return look(_Held(picture, mpp))


def of_nuclei(glass: tuple[int, int, int], nuclei: Nuclei) -> Staining | None:
    """Return what nuclei on such glass tell of the stain."""
    telling = nuclei.telling()
    if not len(telling):
        return None
    red, green, blue = np.median(telling, axis=0).round(DIGITS).tolist()
    return Staining(glass, (red, green, blue), len(telling), nuclei.told_by_lobed)


def doubt_of(staining: Staining | None) -> str:
    """Return in a clause why crops may not have the colours that a model knows; "" where there is no such doubt."""
    if staining is None:
        return "no nucleus was found to tell how strongly it is stained: its colours are as the scanner gave them"
    if staining.nuclei < FEW:
        many = "one nucleus" if staining.nuclei == 1 else f"only {staining.nuclei} nuclei"
        return f"how strongly it is stained is a guess from {many}"
    if not staining.lobed:
        return (
            f"fewer than {ENOUGH_LOBED} lobed nuclei were found, so nuclei of all kinds had to tell how strongly it is stained, "
            "and how dark those are differs from person to person"
        )
    return ""
