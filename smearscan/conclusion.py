"""From scored proposals to what is said of a slide: each cell once, called, counted, with a status."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from classifiers.card import ModelCard
from detectors import boxes
from smearscan import counting, proposals, red_cells, staining
from smearscan.percentages import percent
from smearscan.reading import Survey, TileResult
from smearscan.results import UNREADABLE, Box, Cells, NotScanned, Scanned, SlideCount, SlideMap, SlideOutcome, WindowCount

COUNTING_TILE_UM = 256.0  # the grid on which clustering is judged; about what a 40x field shows
COUNTING_TILE_PX = 1024  # the same where there is no scale
PARTIAL_ABOVE = 0.01  # of the area unreadable: the slide is partial
HOPELESS_ABOVE = 0.5  # more than this unreadable: what is left stands for nothing
OPEN_SQUARE_PX = 256  # in which unreadable parts are marked on the map of a slide without a gate
NUCLEUS_SHARE = 0.02  # of a window's pixels in nucleus colour, from which it holds a nucleus: a tenth of a small lymphocyte's


Counted: TypeAlias = tuple[Cells, counting.Called, SlideCount]


@dataclass(frozen=True)
class Rules:
    """How scores become calls and calls become numbers."""

    card: ModelCard  # its threshold is the one of this run
    verdicts: tuple[float, ...]
    window: tuple[int, int] | None = None  # size and step in px, in window mode


@dataclass(frozen=True)
class Readings:
    """What was read and scored of one slide."""

    survey: Survey
    tiles: Mapping[int, TileResult]
    scores: Mapping[int, NDArray[np.float32]]
    lost: Mapping[int, str]  # tiles whose reader crashed twice, with a sentence
    seconds: float


def conclude(readings: Readings, rules: Rules) -> SlideOutcome:
    """State a slide's outcome; the same for the same readings, in whatever order they came."""
    survey = readings.survey
    unreadable = _unreadable_fraction(readings)
    problems = _problems(readings)
    timings = _timings(readings)
    if unreadable > HOPELESS_ABOVE:
        reason = f"{percent(unreadable)} % of {survey.info.path.name} cannot be read. {problems[0]}"
        return NotScanned(survey.info.path, "unreadable", reason, info=survey.info, timings=timings)
    found, nucleus = _gather(readings, rules.card)
    counted = _count_windows(found, nucleus, readings, rules) if rules.window else _count_cells(found, readings, rules)
    cells, called, count = counted
    status, reason = _status(count, unreadable, problems)
    return Scanned(
        info=survey.info,
        status=status,
        reason=reason,
        cells=cells,
        called=called.classes,
        excluded=called.excluded,
        flagged=called.blast,
        count=count,
        area=dataclasses.replace(survey.area, unreadable_fraction=unreadable),
        flags=tuple(_sentence(flag) for flag in (*_doubts(survey, rules.card), *counting.explain(count), *_window_flags(rules))),
        windows=found if rules.window else None,
        slide_map=_map(readings),
        timings=timings,
    )


def _count_cells(found: Cells, readings: Readings, rules: Rules) -> Counted:
    # Every tile has its margin around its core, so no box was cut by a tile's edge: the score alone decides.
    kept = boxes.suppress(found.boxes, found.objectness)
    cells = _take(found, kept)
    return _count(cells, len(found), readings, rules, None)


def _count_windows(found: Cells, nucleus: NDArray[np.bool_], readings: Readings, rules: Rules) -> Counted:
    """Count windows as windows, and as cells those that hold a nucleus and none of their kind with a better score near them."""
    assert rules.window is not None
    size, step = rules.window
    called = counting.call_cells(found, rules.card)
    info = readings.survey.info
    on_slide = boxes.count_windows(info.width, info.height, size, step)
    windows = counting.count_windows(found, called, nucleus, size, step, on_slide=on_slide)
    candidates = np.flatnonzero(nucleus)
    blast = called.blast[candidates]
    score = counting.blast_probability(found, rules.card)[candidates]
    sure = np.where(blast, score, 1 - score)
    kept = candidates[boxes.suppress_windows(found.boxes[candidates], size, sure, groups=blast)]
    cells = _take(found, kept)
    return _count(cells, len(found), readings, rules, windows)


def _doubts(survey: Survey, card: ModelCard) -> tuple[str, ...]:
    """Say what of the slide's scale and stain is in doubt."""
    stain = staining.doubt_of(survey.info.staining) if card.stain is not None else ""
    return tuple(doubt for doubt in (red_cells.doubt_of(survey.info), stain) if doubt)


def _window_flags(rules: Rules) -> tuple[str, ...]:
    """Say where D13's suppression cannot act: it joins windows that lie closer than half a window."""
    if rules.window is None or 2 * rules.window[1] < rules.window[0]:
        return ()
    size, step = rules.window
    return (f"windows of {size} px with a step of {step} px are not joined: a cell is counted once for each window that holds its nucleus",)


def _count(cells: Cells, n_raw: int, readings: Readings, rules: Rules, windows: WindowCount | None) -> Counted:
    mpp = readings.survey.info.mpp
    called = counting.call_cells(cells, rules.card)
    count = counting.count_cells(
        cells,
        called,
        rules.card,
        proposals=n_raw,
        duplicates=n_raw - len(cells) if windows is None else 0,
        counting_tile_px=COUNTING_TILE_PX if mpp is None else max(round(COUNTING_TILE_UM / mpp), 1),
        thresholds=rules.verdicts,
        windows=windows,
    )
    return cells, called, count


def _gather(readings: Readings, card: ModelCard) -> tuple[Cells, NDArray[np.bool_]]:
    """Join what the tiles gave, in the order of place."""
    order = sorted(readings.tiles)
    tiles = [readings.tiles[index] for index in order]
    found = Cells(
        boxes=_joined([tile.boxes for tile in tiles], (0, 4)),
        objectness=_joined([tile.objectness for tile in tiles], (0,)),
        probabilities=_joined([readings.scores[index] for index in order], (0, len(card.classes))),
        classes=card.classes,
    )
    nucleus = _joined([tile.nucleus for tile in tiles], (0,)) >= NUCLEUS_SHARE
    rows = proposals.sorted_order(found.boxes)
    return _take(found, rows), nucleus[rows]


def _joined(columns: Sequence[NDArray[np.float32]], empty: tuple[int, ...]) -> NDArray[np.float32]:
    return np.concatenate([np.zeros(empty, np.float32), *columns]).astype(np.float32)


def _take(cells: Cells, rows: NDArray[np.intp]) -> Cells:
    return Cells(cells.boxes[rows], cells.objectness[rows], cells.probabilities[rows], cells.classes)


def _lost(readings: Readings) -> list[Box]:
    """Return what could not be read: blocks of tiles, and whole tiles whose reader crashed."""
    whole = [tile.core for tile in readings.survey.tiles if tile.index in readings.lost]
    return whole + [box for index in sorted(readings.tiles) for box in readings.tiles[index].lost]


def _unreadable_fraction(readings: Readings) -> float:
    """Return how much of what the gate keeps could not be read."""
    survey = readings.survey
    lost = sum(survey.gate.kept_px(box) for box in _lost(readings))
    everything = survey.gate.kept_px((0, 0, survey.info.width, survey.info.height))
    return min(lost / everything, 1.0) if everything else 0.0


def _map(readings: Readings) -> SlideMap:
    """Return the slide's map, what could not be read marked on it."""
    slide_map, lost = readings.survey.slide_map, _lost(readings)
    if not lost:
        return slide_map
    reasons, names, info = slide_map.reasons.copy(), (*slide_map.names, UNREADABLE), readings.survey.info
    if reasons.size == 1:  # without a gate all of the slide is one square
        shape = (math.ceil(info.height / OPEN_SQUARE_PX), math.ceil(info.width / OPEN_SQUARE_PX))
        slide_map = dataclasses.replace(slide_map, square=float(OPEN_SQUARE_PX))
        reasons = np.full(shape, reasons[0, 0], np.uint8)
    for box in lost:
        left, top, right, bottom = (int(edge // slide_map.square) for edge in (box[0], box[1], box[2] - 1, box[3] - 1))
        part = reasons[top : bottom + 1, left : right + 1]
        part[part == names.index("")] = names.index(UNREADABLE)
    return dataclasses.replace(slide_map, reasons=reasons, names=names)


def _problems(readings: Readings) -> list[str]:
    """Return the sentences about what could not be read, in the order of place, each once."""
    found = [(index, sentence) for index, tile in readings.tiles.items() for sentence in tile.problems]
    return list(dict.fromkeys(sentence for _, sentence in sorted([*found, *readings.lost.items()])))


def _status(count: SlideCount, unreadable: float, problems: Sequence[str]) -> tuple[str, str]:
    """Return the slide's status and why; what could not be read comes first, for it puts all numbers in doubt."""
    if unreadable > PARTIAL_ABOVE:
        more = f" ({len(problems)} places)" if len(problems) > 1 else ""
        return "partial", f"{percent(unreadable)} % of the area could not be read and is not counted{more}. {problems[0]}"
    if count.cells == 0:
        left_out = ", ".join(f"{number} {reason}" for reason, number in count.excluded.items())
        return "no_cells", "No white cell was found" + (f" (left out: {left_out})." if left_out else ".")
    if count.band == "insufficient" and count.fraction is None:
        return "insufficient", f"{count.cells} cells are too few for a percentage."
    return "ok", ""


def _timings(readings: Readings) -> dict[str, float]:
    stages: dict[str, float] = {"survey": readings.survey.seconds}
    for tile in readings.tiles.values():
        for stage, seconds in tile.seconds.items():
            stages[stage] = stages.get(stage, 0.0) + seconds
    return {**stages, "total": readings.seconds}


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
