"""One cell and why it was called so, as a picture to read: the crop, each method's map, the map on the crop, colour bars, facts.

With one view the three stand in a row; with several each view is a column, its map above and the overlay below.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from smearscan.reports import lettering
from smearscan.reports.lettering import BOLD, GREY
from smearscan.reports.overlay_sheet import (
    BLAST,
    EDGE,
    EXCLUDED,
    GAP,
    HAIRLINE,
    HEAT_SHARE,
    MARK,
    OTHER,
    PANEL,
    fitted,
)
from smearscan.results import HEAT_MAP_NOTICE, NOTICE, Picture

ACROSS: Final = 4  # views side by side; of more, the others stand below
TITLE, LONG_TITLE = 36, 52  # px above a panel, for two lines and for three
BAR, BAR_ROOM = 10, 40  # px, of a colour bar alone and with its numbers
HEADER: Final = 78
LINE: Final = 17  # px from one line of the footer to the next
CLASSES: Final = 9  # scores that there is room for
# Blue speaks against the class, red for it, white is nothing: ColorBrewer's RdBu without its near-black ends.
DIVERGING: Final = (
    (33, 102, 172),
    (67, 147, 195),
    (146, 197, 222),
    (209, 229, 240),
    (255, 255, 255),
    (253, 219, 199),
    (244, 165, 130),
    (214, 96, 77),
    (178, 24, 43),
)


@dataclass(frozen=True)
class Panel:
    """One view of one cell."""

    method: str
    layer: str  # "" where the method looks at none
    values: NDArray[np.float32]  # (height, width): [0, 1], or [-1, 1] where signed
    signed: bool
    largest: float = math.nan  # what 1 is in the score, where that is known
    notes: tuple[str, ...] = ()  # "62 % in the cell", "fit 0.93"


@dataclass(frozen=True)
class CellFacts:
    """What is written beside a cell's pictures."""

    name: str  # its id, or its file
    source: str  # the slide's name, or the data set's; "" where the file says it all
    model: str
    explained: str
    scores: tuple[tuple[str, float], ...]  # every class with its probability, in the card's order
    blast: float  # P(blast), which the threshold is compared with
    threshold: float
    called: str
    kind: str  # of the called class: blast | other | excluded
    label: str = ""  # what the cell truly is, where that is known
    wrong: bool = False
    footnotes: tuple[str, ...] = field(default=())


def draw_explanation(crop: Picture, panels: Sequence[Panel], facts: CellFacts) -> Picture:
    """Return the sheet of one cell."""
    single = len(panels) == 1
    bands = -(-len(panels) // ACROSS)
    across = -(-len(panels) // bands)
    columns = 3 if single else 1 + across
    title = TITLE if single else LONG_TITLE
    width = 2 * EDGE + columns * PANEL + (columns - 1) * GAP
    band = title + (1 if single else 2) * (PANEL + BAR_ROOM)
    footer = _footer(panels, facts, width - 2 * EDGE)
    sheet = np.full((HEADER + bands * band + 14 + LINE * len(footer), width, 3), 255, np.uint8)
    _write_header(sheet, facts)
    _title(sheet, EDGE, HEADER, "Crop", "as the model is given it")
    _frame(sheet, EDGE, HEADER + title, fitted(crop))
    for number, panel in enumerate(panels):
        left, top = EDGE + (1 + number % across) * (PANEL + GAP), HEADER + number // across * band
        _place(sheet, (left, top), crop, panel, beside=single)
    if not single:
        _write_scores(sheet, facts, EDGE, HEADER + title + PANEL + BAR_ROOM)
    for row, line in enumerate(footer):
        lettering.write(sheet, line, (EDGE, HEADER + bands * band + 14 + LINE * row), size=11, colour=GREY, room=width - 2 * EDGE)
    return sheet


def draw_activations(crop: Picture, channels: Sequence[tuple[int, NDArray[np.float32]]], facts: CellFacts, layer: str) -> Picture:
    """Return a sheet of what channels of a layer answer to a crop: number and values in [0, 1] of each, in the order given."""
    across = max(3, math.ceil(math.sqrt(len(channels))))
    side = 2 * PANEL // across
    rows = -(-len(channels) // across)
    width = 2 * EDGE + PANEL + GAP + across * (side + GAP)
    high = max(TITLE + PANEL + BAR_ROOM, TITLE + rows * (side + 22))
    notes = [
        f"Channels of the layer {layer} that answer most to this cell, by their mean absolute value.",
        "Each is drawn from its own least value, 0, to its own greatest, 1: brightness cannot be compared between channels.",
        NOTICE,
    ]
    footer = [line for note in notes for line in _wrapped(note, width - 2 * EDGE)]
    sheet = np.full((HEADER + high + 14 + LINE * len(footer), width, 3), 255, np.uint8)
    _write_header(sheet, facts, what=f"Activations of the layer {layer}")
    _title(sheet, EDGE, HEADER, "Crop", "as the model is given it")
    _frame(sheet, EDGE, HEADER + TITLE, fitted(crop))
    for place, (number, values) in enumerate(channels):
        left = EDGE + PANEL + GAP + place % across * (side + GAP)
        top = HEADER + TITLE + place // across * (side + 22)
        lettering.write(sheet, f"channel {number}", (left, top - 6), size=11, room=side)
        _frame(sheet, left, top, inferno(_scaled(values, side, smooth=False)))
    _bar(sheet, EDGE, HEADER + TITLE + PANEL, inferno(np.linspace(0, 1, PANEL, dtype=np.float32)[None]), ("0", "", "1"))
    for row, line in enumerate(footer):
        lettering.write(sheet, line, (EDGE, HEADER + high + 14 + LINE * row), size=11, colour=GREY, room=width - 2 * EDGE)
    return sheet


def inferno(values: NDArray[np.float32]) -> Picture:
    """Return the colours of values in [0, 1]: 0 black, 1 a bright yellow."""
    level = np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)
    return np.asarray(cv2.cvtColor(cv2.applyColorMap(level, cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB), np.uint8)


def diverging(values: NDArray[np.float32]) -> Picture:
    """Return the colours of values in [-1, 1]: -1 blue, 0 white, 1 red."""
    places, anchors = np.linspace(-1, 1, len(DIVERGING)), np.array(DIVERGING, np.float64)
    colours = [np.interp(np.clip(values, -1, 1), places, anchors[:, channel]) for channel in range(3)]
    return np.rint(np.stack(colours, axis=-1)).astype(np.uint8)


def overlay(crop: Picture, values: NDArray[np.float32], *, signed: bool, side: int | None = None) -> Picture:
    """Lay a map over its greyed crop at 45 %, `side` pixels wide or as wide as the crop."""
    across = side or crop.shape[0]
    grey = np.asarray(cv2.cvtColor(fitted(crop, across), cv2.COLOR_RGB2GRAY), np.uint8)
    under = np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), np.uint8)
    return _mixed(_colours(_scaled(values, across, smooth=not signed), signed=signed), under)


def _colours(values: NDArray[np.float32], *, signed: bool) -> Picture:
    return diverging(values) if signed else inferno(values)


def _mixed(colours: Picture, under: Picture) -> Picture:
    return np.asarray(cv2.addWeighted(colours, HEAT_SHARE, under, 1 - HEAT_SHARE, 0), np.uint8)


def _scaled(values: NDArray[np.float32], side: int, *, smooth: bool) -> NDArray[np.float32]:
    """Bring a map to a panel's size: superpixels and single pixels keep their edges."""
    if values.shape == (side, side):
        return values
    shrinks = values.shape[0] > side
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR if smooth else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(np.asarray(values, np.float32), (side, side), interpolation=method), np.float32)


def _place(sheet: Picture, corner: tuple[int, int], crop: Picture, panel: Panel, *, beside: bool) -> None:
    """Draw a view at its corner: the map, and beside or below it the overlay, each with its colour bar."""
    left, top = corner
    lines = [f"layer {panel.layer}"] if panel.layer else []
    if panel.notes and not (beside and lines):
        lines.append(", ".join(panel.notes))
    _title(sheet, left, top, panel.method, *lines)
    values = np.asarray(panel.values, np.float32)
    ends = _ends(panel)
    ramp = np.linspace(-1 if panel.signed else 0, 1, PANEL, dtype=np.float32)[None]
    top += TITLE if beside else LONG_TITLE
    _frame(sheet, left, top, _colours(_scaled(values, PANEL, smooth=not panel.signed), signed=panel.signed))
    _bar(sheet, left, top + PANEL, _colours(ramp, signed=panel.signed), ends)
    if beside:
        left += PANEL + GAP
        second = ", ".join(panel.notes) if panel.layer else "over the greyed crop"
        _title(sheet, left, top - TITLE, "Map on the crop", second)
    else:
        top += PANEL + BAR_ROOM
    _frame(sheet, left, top, overlay(crop, values, signed=panel.signed, side=PANEL))
    ground = np.full((1, PANEL, 3), _ground(crop), np.uint8)
    _bar(sheet, left, top + PANEL, _mixed(_colours(ramp, signed=panel.signed), ground), ends)


def _ground(crop: Picture) -> int:
    """Return the grey of most of a crop, so that the bar below an overlay has the overlay's colours."""
    return int(np.median(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)))


def _ends(panel: Panel) -> tuple[str, str, str]:
    """Return what stands under a colour bar: left, middle, right."""
    if not panel.values.any():
        return ("", "nothing in it", "")
    if not panel.signed:
        return ("0", "", "1")
    if math.isnan(panel.largest):
        return ("-1", "0", "+1")
    return (f"-{_short(panel.largest)}", "0", f"+{_short(panel.largest)}")


def _short(value: float) -> str:
    return f"{value:.2g}" if value < 0.1 else f"{value:.2f}"


def _bar(sheet: Picture, left: int, top: int, colours: Picture, ends: tuple[str, str, str]) -> None:
    top += 6
    sheet[top : top + BAR, left : left + PANEL] = colours
    below = top + BAR + 12
    lettering.write(sheet, ends[0], (left, below), size=11)
    lettering.write(sheet, ends[1], (left + PANEL // 2, below), size=11, align="centre", room=PANEL - 60)
    lettering.write(sheet, ends[2], (left + PANEL, below), size=11, align="right")


def _title(sheet: Picture, left: int, top: int, first: str, *others: str) -> None:
    lettering.write(sheet, first, (left, top + 12), size=12, weight=BOLD, room=PANEL)
    for row, text in enumerate(others):
        lettering.write(sheet, text, (left, top + 28 + 15 * row), size=11, colour=GREY, room=PANEL)


def _frame(sheet: Picture, left: int, top: int, picture: Picture) -> None:
    height, width = picture.shape[:2]
    sheet[top : top + height, left : left + width] = picture
    cv2.rectangle(sheet, (left - 1, top - 1), (left + width, top + height), HAIRLINE)


def _write_header(sheet: Picture, facts: CellFacts, what: str = "") -> None:
    right = sheet.shape[1] - EDGE
    colour = {"blast": BLAST, "other": OTHER}.get(facts.kind, EXCLUDED)
    taken = lettering.write(sheet, f"called {facts.called}", (right, 28), size=15, weight=BOLD, align="right", room=PANEL)
    left = right - taken - MARK - 6
    cv2.rectangle(sheet, (left, 28 - MARK), (left + MARK - 1, 27), colour, -1)
    lettering.write(sheet, facts.name, (EDGE, 28), size=15, weight=BOLD, room=left - EDGE - 16)
    score = f"P(blast) {probability(facts.blast)}, threshold {facts.threshold:g}"
    taken = lettering.write(sheet, score, (right, 47), align="right", room=PANEL + 40)
    where = f"{facts.source}, model {facts.model}" if facts.source else f"model {facts.model}"
    lettering.write(sheet, where, (EDGE, 47), colour=GREY, room=right - EDGE - taken - 16)
    truth = f"labelled {facts.label}: {'wrong' if facts.wrong else 'right'}" if facts.label else ""
    taken = lettering.write(sheet, truth, (right, 66), align="right", room=PANEL + 40, weight=BOLD if facts.wrong else 400)
    explained = dict(facts.scores).get(facts.explained, math.nan)
    text = what or f"Explained: {facts.explained}, whose probability is {probability(explained)}"
    lettering.write(sheet, text, (EDGE, 66), weight=BOLD, room=right - EDGE - taken - 16)


def _write_scores(sheet: Picture, facts: CellFacts, left: int, top: int) -> None:
    """Write the probability of every class, the explained one bold; of many classes the highest."""
    lettering.write(sheet, "Probabilities", (left, top + 12), size=12, weight=BOLD, room=PANEL)
    shown = facts.scores
    if len(shown) > CLASSES:
        best = sorted(shown, key=lambda each: -each[1])[:CLASSES]
        shown = tuple(each for each in facts.scores if each in best)
    for row, (name, value) in enumerate(shown):
        weight = BOLD if name == facts.explained else 400
        lettering.write(sheet, name, (left, top + 32 + 18 * row), size=12, weight=weight, room=PANEL - 60)
        lettering.write(sheet, probability(value), (left + PANEL, top + 32 + 18 * row), size=12, weight=weight, align="right")


def _footer(panels: Sequence[Panel], facts: CellFacts, room: int) -> list[str]:
    notes = [NOTICE, f"A map {HEAT_MAP_NOTICE}."]
    if any(not panel.signed for panel in panels):
        notes.append(f"Bright: spoke more for {facts.explained}; 1 is the greatest value within this crop.")
    signed = [panel for panel in panels if panel.signed]
    if signed:
        notes.append(f"Red: spoke for {facts.explained}; blue: against it.")
    if any(not math.isnan(panel.largest) for panel in signed):
        notes.append(f"Numbers under red and blue: what a superpixel adds to the score of {facts.explained}.")
    return _wrapped(" ".join((*notes, *facts.footnotes)), room)


def _wrapped(text: str, room: int) -> list[str]:
    lines = [""]
    for word in text.split(" "):
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and lettering.width(longer, 11) > room:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines


def probability(value: float) -> str:
    """Write three digits, and no certainty that comes of rounding."""
    return "> 0.999" if value > 0.9995 else "< 0.001" if value < 0.0005 else f"{value:.3f}"
