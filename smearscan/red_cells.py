"""The scale of a slide from its red cells: where nothing says it, and as a second opinion where something does.

Patches of the slide are looked at in full resolution, spread over what the coarse picture shows as monolayer. Each gives
the median diameter of its red cells; the slide's is the median of its patches. Where patches disagree, nothing is settled.

A single field has few red cells, and fewer that lie free. Refusing every third one would leave a person without a count where a
rough scale serves: so there a guess from the one or two cells that can be made out is taken where nothing else is known, without
a spread, and flagged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from detectors import stain as stains
from detectors.scale import RED_CELL_UM, measure_red_cells
from smearscan import gate
from smearscan.coarse import Coarse, read_coarse
from smearscan.config import PLAUSIBLE_MPP
from smearscan.errors import MissingResolution
from smearscan.patches import PatchGrid
from smearscan.percentages import percent
from smearscan.results import Box, Picture, Pixels, SlideInfo
from smearscan.salvage import read_or_white
from smearscan.slides.scale import say_missing

RED_CELLS = "red cells"  # as a slide's mpp_source
MONOLAYER = (0.15, 0.85)  # share of a patch that holds matter, between which red cells lie side by side with gaps
READABLE = 0.75  # share of a patch that must be neither glass nor thick nor blurred
PATCHES = 6  # are looked at, and more where they have few cells or do not agree,
MOST_PATCHES = 24  # up to so many
FEW_OF_PATCH = 5  # a patch with fewer red cells has no say of its own
FEWEST_PATCHES = 4  # with fewer that have a say, single cells are compared in place of patches
ENOUGH_CELLS = 200
STEADY = 0.1  # spread below which no more patches are needed
FEWEST_CELLS = 4
FIELD_PATCHES = 2  # a picture of no more patches is a field
GUESSED_FROM = 0.05  # share of what lies on a field that its one or two red cells must be: less may be anything
MOST_SPREAD = 0.25  # more than this, and what red cells say is no scale
NOTABLE = 1.2  # a scale that differs from the red cells' by such a factor is a question to a person


@dataclass(frozen=True)
class Finding:
    """What the red cells of a slide say of its scale."""

    mpp: float | None
    spread: float | None  # interquartile range of patches (of cells, where there are few patches), of their median
    cells: int
    patches: int  # that were looked at
    doubt: str = ""  # why there is no `mpp`, as a clause
    guess: float | None = None  # what the few cells of a field say in that case


def settle(slide: Pixels, info: SlideInfo, coarse: Coarse, judged: gate.Gate) -> tuple[SlideInfo, Finding]:
    """Return a slide's facts with what its red cells say; where nothing else says its scale, it is theirs."""
    finding = measure(slide, coarse, judged)
    told = replace(info, red_cell_mpp=finding.mpp, red_cell_spread=finding.spread if finding.mpp is not None else None)
    if info.mpp is not None:
        return told, finding
    if finding.guess is not None:
        return replace(told, mpp=finding.guess, mpp_source=RED_CELLS, red_cell_mpp=finding.guess), finding
    if finding.mpp is None:
        return replace(told, notes=(*info.notes, f"its microns per pixel are not known, and {finding.doubt}")), finding
    return replace(told, mpp=finding.mpp, mpp_source=RED_CELLS), finding


def look_for_scale(slide: Pixels) -> SlideInfo:
    """Return the facts of a slide that does not say its scale, with that of its red cells where they tell it."""
    info = slide.info
    coarse = read_coarse(slide, None)
    judged = gate.judge(coarse.picture, None, coarse.downsample, (info.width, info.height)).keeping(coarse.unseen)
    return settle(slide, info, coarse, judged)[0]


def refuse(slide_name: str, claimed: tuple[float, float] | None, finding: Finding) -> MissingResolution:
    """Return the refusal of a slide that needs a scale and has none."""
    return MissingResolution(say_missing(slide_name, claimed, finding.doubt))


def doubt_of(info: SlideInfo) -> str:
    """Return in a clause why a slide's scale is in doubt: not that of its red cells, or a rough guess; "" where it is not."""
    mpp, other = info.mpp, info.red_cell_mpp
    if mpp is not None and info.mpp_source == RED_CELLS and info.red_cell_spread is None:
        return f"the scale, {mpp:.3g} um per pixel, is a rough guess from very few red cells: --mpp says it better"
    if mpp is None or other is None or info.mpp_source == RED_CELLS or max(mpp / other, other / mpp) <= NOTABLE:
        return ""
    width_um = RED_CELL_UM * mpp / other
    return (
        f"the scale is in doubt: {info.mpp_source} says {mpp:.3g} um per pixel, by which its red cells would be {width_um:.1f} um wide; "
        f"were they {RED_CELL_UM:g} um, it would be {other:.3g}. {mpp:.3g} is used"
    )


def remark(info: SlideInfo) -> str:
    """Return in a sentence for the console what its red cells decided or cast in doubt, "" where neither."""
    if info.mpp_source == RED_CELLS and info.red_cell_spread is not None:
        return f"Its scale, {info.mpp:.4g} um per pixel, is taken from its red cells (spread {percent(info.red_cell_spread)} %)."
    doubt = doubt_of(info)
    return f"{doubt[:1].upper()}{doubt[1:]}." if doubt else ""


def measure(slide: Pixels, coarse: Coarse, judged: gate.Gate) -> Finding:
    """Look at patches until the answer is steady; the same for the same slide and scale, whoever asks."""
    boxes = _patches(slide.info, coarse, judged)
    found: list[NDArray[np.float64]] = []
    looked_at = 0
    for box in boxes[:MOST_PATCHES]:
        picture, _, _ = read_or_white(slide, box, slide.info.levels[0])
        cells = measure_red_cells(picture, stains.learn(picture[::2, ::2]))
        looked_at += 1
        if cells is not None:
            found.append(RED_CELL_UM / cells.diameters_px)
        if looked_at >= PATCHES and (not found or _is_steady(found)):  # so many without any: it is no smear
            break
    finding = _conclude(found, looked_at)
    if finding.mpp is not None or len(boxes) > FIELD_PATCHES:
        return finding
    return replace(finding, guess=_guess([read_or_white(slide, box, slide.info.levels[0])[0] for box in boxes]))


def _guess(pictures: Sequence[Picture]) -> float | None:
    """Return what even a single red cell says, None where there is none or it says what cannot be."""
    cells = [measure_red_cells(each, stains.learn(each[::2, ::2]), fewest=1, explained=GUESSED_FROM) for each in pictures]
    said = [RED_CELL_UM / each.diameter_px for each in cells if each is not None]
    low, high = PLAUSIBLE_MPP
    guess = float(f"{np.median(said):.3g}") if said else 0.0
    return guess if low <= guess <= high else None


def _is_steady(found: Sequence[NDArray[np.float64]]) -> bool:
    if sum(map(len, found)) < ENOUGH_CELLS:
        return False
    _, spread = _weigh(found)
    return spread <= STEADY


def _conclude(found: Sequence[NDArray[np.float64]], looked_at: int) -> Finding:
    count = sum(map(len, found))
    if count < FEWEST_CELLS:
        doubt = f"its red cells cannot tell it: only {count} could be measured" if count else "no red cells were found that could tell it"
        return Finding(None, None, count, looked_at, doubt)
    mpp, spread = _weigh(found)
    if spread > MOST_SPREAD:
        low, high = np.percentile(_opinions(found), (25, 75))
        return Finding(None, spread, count, looked_at, f"its red cells do not agree on it: half of them say {low:.3g} to {high:.3g}")
    low, high = PLAUSIBLE_MPP
    if not low <= mpp <= high:
        doubt = f"what looks like red cells says {mpp:.3g}, which is implausible ({low:g} to {high:g})"
        return Finding(None, spread, count, looked_at, doubt)
    return Finding(float(f"{mpp:.4g}"), spread, count, looked_at)  # more digits would be noise


def _weigh(found: Sequence[NDArray[np.float64]]) -> tuple[float, float]:
    """Return the median of what is said, and the spread."""
    low, middle, high = np.percentile(_opinions(found), (25, 50, 75))
    return float(middle), float((high - low) / middle)


def _opinions(found: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return what patches say, or, where too few have a say, what single cells do."""
    patches = [np.median(each) for each in found if len(each) >= FEW_OF_PATCH]
    return np.array(patches) if len(patches) >= FEWEST_PATCHES else np.concatenate(found)


def _patches(info: SlideInfo, coarse: Coarse, judged: gate.Gate) -> list[Box]:
    """Return places to look at, best first: monolayer, spread over the slide."""
    grid, stain = PatchGrid(info), stains.learn(coarse.picture)
    matter = grid.shares(stains.green_density(coarse.picture, stain.white) >= stain.matter)
    readable = grid.shares(np.isin(judged.reasons, (gate.KEPT, gate.NO_NUCLEUS)))
    monolayer = (matter >= MONOLAYER[0]) & (matter <= MONOLAYER[1]) & (readable >= READABLE)
    # Where there is no monolayer, as on a field full of cells, whatever holds matter may show some that are free.
    return grid.boxes(monolayer if monolayer.any() else matter > MONOLAYER[0] / 5)
