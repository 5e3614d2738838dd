"""One cell as a picture to read: its crop, the heat map on it, its surroundings, and what they are of."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from smearscan.reports import lettering
from smearscan.reports.lettering import BOLD, GREY, Colour
from smearscan.results import CONTEXT_SIDES, HEAT_MAP_NOTICE, NOTICE, CellPicture, Picture

PANEL = 208  # px
EDGE, GAP = 16, 12
TOP = 84  # of the panels
BAR = 10  # height of the colour bar
HEAT_SHARE = 0.45  # of the heat map in its mix with the greyed crop
BACKGROUND_GREY = 200  # of a smear without cells: what the colour bar is mixed with, so that its colours are those of the map
BLAST: Colour = (0xD5, 0x5E, 0x00)
OTHER: Colour = (0x00, 0x72, 0xB2)
EXCLUDED: Colour = (0x88, 0x88, 0x88)
MARK = 10  # side of the square that has the colour of the cell's role: as letters those colours are too faint to read
HAIRLINE: Colour = (221, 221, 221)
WHITE: Colour = (255, 255, 255)
BLACK: Colour = (0, 0, 0)
BARS_UM = (50, 20, 10, 5, 2, 1)


@dataclass(frozen=True)
class Facts:
    """What is written beside a cell's pictures."""

    slide: str
    cell: str
    model: str
    score: str  # "blast 0.973"
    call: str  # "called blast, flagged"
    kind: str  # blast | other | excluded
    explained: str  # the class that the heat map is for
    mpp: float | None


def draw_sheet(picture: CellPicture, facts: Facts) -> Picture:
    """Return the sheet of one cell; without a heat map it has two panels."""
    panels = [_Panel(f"Crop{_extent(picture, facts.mpp, CONTEXT_SIDES)}", fitted(picture.crop))]
    if picture.heat_map is not None:
        empty = "" if picture.heat_map.max() > 0 else ": nothing in it"
        panels.append(_Panel(f"Heat map for {facts.explained}{empty}", fitted(heat(picture.crop, picture.heat_map, PANEL)), bar=True))
    panels.append(_Panel(f"Surroundings{_extent(picture, facts.mpp, 1)}", _context(picture, facts.mpp)))
    sheet = _blank(len(panels), with_heat_map=picture.heat_map is not None)
    _write_header(sheet, facts)
    for index, panel in enumerate(panels):
        _place(sheet, panel, EDGE + index * (PANEL + GAP))
    return sheet


def heat(crop: Picture, heat_map: NDArray[np.float32], side: int | None = None) -> Picture:
    """Lay a heat map over its greyed crop: inferno at 45 %, `side` pixels wide or as wide as the crop."""
    if side is not None and side > crop.shape[0]:
        crop = fitted(crop, side)
        heat_map = np.asarray(cv2.resize(heat_map, (side, side), interpolation=cv2.INTER_LINEAR), np.float32)
    grey = np.asarray(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), np.uint8)
    return _mixed(grey, np.rint(np.clip(heat_map, 0, 1) * 255).astype(np.uint8))


def fitted(picture: Picture, side: int = PANEL) -> Picture:
    """Bring a square picture to a panel's size."""
    if picture.shape[:2] == (side, side):
        return picture
    method = cv2.INTER_AREA if picture.shape[0] > side else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, (side, side), interpolation=method), np.uint8)


@dataclass(frozen=True)
class _Panel:
    title: str
    picture: Picture
    bar: bool = False


def _mixed(grey: NDArray[np.uint8], values: NDArray[np.uint8]) -> Picture:
    colours = cv2.cvtColor(cv2.applyColorMap(values, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB)
    under = cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB)
    return np.asarray(cv2.addWeighted(colours, HEAT_SHARE, under, 1 - HEAT_SHARE, 0), np.uint8)


def _blank(panels: int, with_heat_map: bool) -> Picture:
    width = 2 * EDGE + panels * PANEL + (panels - 1) * GAP
    below = TOP + PANEL + (BAR + 12 if with_heat_map else 0)
    sheet = np.full((below + (54 if with_heat_map else 36), width, 3), 255, np.uint8)
    lettering.write(sheet, NOTICE, (EDGE, below + 22), size=11, colour=GREY, room=width - 2 * EDGE)
    if with_heat_map:
        note = f"The heat map {HEAT_MAP_NOTICE}. Its 1 is the greatest value within this crop."
        lettering.write(sheet, note, (EDGE, below + 40), size=11, colour=GREY, room=width - 2 * EDGE)
    return sheet


def _write_header(sheet: Picture, facts: Facts) -> None:
    right = sheet.shape[1] - EDGE
    colour = {"blast": BLAST, "other": OTHER}.get(facts.kind, EXCLUDED)
    taken = lettering.write(sheet, facts.score, (right, 28), size=17, weight=BOLD, align="right", room=PANEL - 2 * MARK)
    left = right - taken - MARK - 6
    cv2.rectangle(sheet, (left, 28 - MARK), (left + MARK - 1, 27), colour, -1)
    lettering.write(sheet, facts.slide, (EDGE, 28), size=15, weight=BOLD, room=left - EDGE - 16)
    taken = lettering.write(sheet, facts.call, (right, 48), align="right", room=PANEL)
    lettering.write(sheet, f"cell {facts.cell}, model {facts.model}", (EDGE, 48), colour=GREY, room=right - EDGE - taken - 16)


def _place(sheet: Picture, panel: _Panel, left: int) -> None:
    lettering.write(sheet, panel.title, (left, TOP - 8), size=12, weight=BOLD, room=PANEL)
    sheet[TOP : TOP + PANEL, left : left + PANEL] = panel.picture
    cv2.rectangle(sheet, (left - 1, TOP - 1), (left + PANEL, TOP + PANEL), HAIRLINE)
    if panel.bar:
        top = TOP + PANEL + 8
        first = left + lettering.write(sheet, "0", (left, top + BAR), size=12) + 6
        last = left + PANEL - lettering.write(sheet, "1", (left + PANEL, top + BAR), size=12, align="right") - 6
        values = np.tile(np.linspace(0, 255, last - first).round().astype(np.uint8), (BAR, 1))
        sheet[top : top + BAR, first:last] = _mixed(np.full_like(values, BACKGROUND_GREY), values)


def _context(picture: CellPicture, mpp: float | None) -> Picture:
    """Draw the crop's outline and a scale bar into the surroundings."""
    panel = fitted(picture.context).copy()
    across = picture.context_box[2] - picture.context_box[0]
    side = PANEL / CONTEXT_SIDES
    first, last = round((PANEL - side) / 2), round((PANEL + side) / 2)
    _outline(panel, first, last)
    if mpp is not None:
        _draw_scale_bar(panel, PANEL / (across * mpp))
    return panel


def _extent(picture: CellPicture, mpp: float | None, sides: int) -> str:
    across = (picture.context_box[2] - picture.context_box[0]) / sides
    return f", {across:.0f} px" if mpp is None else f", {across * mpp:.3g} µm"


def _outline(panel: Picture, first: int, last: int) -> None:
    cv2.rectangle(panel, (first - 1, first - 1), (last, last), WHITE, 3)
    cv2.rectangle(panel, (first - 1, first - 1), (last, last), BLACK, 1)


def _draw_scale_bar(panel: Picture, px_per_um: float) -> None:
    length_um = next((each for each in BARS_UM if each * px_per_um <= PANEL / 3), BARS_UM[-1])
    length = round(length_um * px_per_um)
    right, bottom = PANEL - 10, PANEL - 10
    text = f"{length_um} µm"
    high, wide = 30, max(length, lettering.width(text, 12, BOLD)) + 12
    corner = panel[PANEL - 4 - high : PANEL - 4, PANEL - 4 - wide : PANEL - 4]
    corner[:] = cv2.addWeighted(corner, 0.25, np.full_like(corner, 255), 0.75, 0)
    cv2.rectangle(panel, (right - length, bottom - 3), (right, bottom - 1), BLACK, -1)
    lettering.write(panel, text, (PANEL - 4 - wide // 2, bottom - 9), size=12, weight=BOLD, align="centre")
