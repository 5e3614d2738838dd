"""Which slides of two reports belong together, how far they can be compared, and which of their cells are the same."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from detectors import boxes
from smearscan.compare.matching import REACH_DIAMETERS, Matching, match
from smearscan.compare.report_folder import CellColumns, Report, ReportSlide

Level = Literal["cells", "fractions", "none"]
WINDOW_STEPS: Final = 0.5  # a window says where its cell is no better than its grid: half a step
WINDOW_DIAMETERS: Final = 0.5  # D13 takes windows nearer than half a window for one cell: so wide is a window's cell


@dataclass(frozen=True)
class SlidePair:
    """One slide in both reports, or in one."""

    key: str  # as report A has it, or B where A has none
    a: ReportSlide | None
    b: ReportSlide | None
    level: Level  # how far the two can be compared
    reason: str  # why no further, "" where cell by cell


@dataclass(frozen=True)
class CellPairs:
    """The counted cells of one slide in both reports, and which of them are the same."""

    a: CellColumns
    b: CellColumns
    matching: Matching
    within_half_diameter: int  # pairs that D15 gives to the letter, without the windows' allowance
    left_out_by_b: tuple[str, ...]  # of each of a's cells: why B has it and does not count it, else ""
    left_out_by_a: tuple[str, ...]
    reach_a: NDArray[np.float64]
    reach_b: NDArray[np.float64]


def pair_slides(a: Report, b: Report) -> Iterator[SlidePair]:
    """Yield every slide of two reports, sorted by key: equal keys first, else the only slides of a specimen."""
    partner = {key: key for key in a.slides if key in b.slides}
    ours, theirs = (_only_of_specimen(report, partner) for report in (a, b))
    partner |= {key: theirs[specimen] for specimen, key in ours.items() if specimen in theirs}
    taken = set(partner.values())
    keys = [*((key, key, partner.get(key)) for key in a.slides), *((key, None, key) for key in b.slides if key not in taken)]
    for key, in_a, in_b in sorted(keys, key=lambda each: (each[0], each[1] is None)):
        first, second = (a.slides[in_a] if in_a else None), (b.slides[in_b] if in_b else None)
        level, reason = _judge(first, second, a.name, b.name)
        yield SlidePair(key, first, second, level, reason)


def _only_of_specimen(report: Report, partner: Mapping[str, str]) -> dict[str, str]:
    """Return the slides that have no namesake and are the only ones of their specimen, as two scans of one glass are."""
    slides = defaultdict(list)
    for key, slide in report.slides.items():
        slides[str(slide.record.get("specimen") or "")].append(key)
    return {specimen: keys[0] for specimen, keys in slides.items() if specimen and len(keys) == 1 and keys[0] not in partner.values()}


def _judge(a: ReportSlide | None, b: ReportSlide | None, name_a: str, name_b: str) -> tuple[Level, str]:
    if a is None or b is None:
        return "none", f"{name_a if a is None else name_b} has no such slide."
    for slide, name in ((a, name_a), (b, name_b)):
        if slide.count is None:
            return "none", f"{name} did not scan it ({slide.record['status']}): {slide.record['reason']}".rstrip(": ")
    reason = _why_no_cells(a, b, name_a, name_b)
    return ("fractions", f"{reason} Only the fractions are compared.") if reason else ("cells", "")


def _why_no_cells(a: ReportSlide, b: ReportSlide, name_a: str, name_b: str) -> str:
    digests = [str(each.record.get("input_digest") or "") for each in (a, b)]
    sizes = [(each.record["info"]["width"], each.record["info"]["height"]) for each in (a, b)]
    if a.key != b.key:
        return f"It is {b.key} in {name_b}, which is of the same specimen and another picture."
    if sizes[0] != sizes[1]:
        (width, height), (other_width, other_height) = sizes
        return f"The pictures differ: {width} x {height} px in {name_a}, {other_width} x {other_height} px in {name_b}."
    if all(digests) and digests[0] != digests[1]:
        return "The files differ, though they have one name and size."
    if a.mpp != b.mpp:
        return f"The scales differ: {_scale(a.mpp)} in {name_a}, {_scale(b.mpp)} in {name_b}."
    return ""


def _scale(mpp: float | None) -> str:
    return "unknown" if mpp is None else f"{mpp:g} um per pixel"


def pair_cells(a: ReportSlide, b: ReportSlide) -> CellPairs:
    """Read the cells of one slide from both reports and match those that were counted."""
    all_a, all_b = a.cells(), b.cells()
    first, second = all_a.take(all_a.counted), all_b.take(all_b.counted)
    reach_a, reach_b = reach_of(first, a), reach_of(second, b)
    slack = max(allowance(a), allowance(b))
    found = match_columns(first, second, a, b, slack)
    strictly = found if not slack else match_columns(first, second, a, b, 0.0)
    return CellPairs(
        a=first,
        b=second,
        matching=found,
        within_half_diameter=len(strictly),
        left_out_by_b=_left_out(first, found.of_first(len(first)), all_b, a, b),
        left_out_by_a=_left_out(second, found.of_second(len(second)), all_a, b, a),
        reach_a=reach_a,
        reach_b=reach_b,
    )


def match_columns(first: CellColumns, second: CellColumns, a: ReportSlide, b: ReportSlide, slack: float) -> Matching:
    """Match cells of two reports of one slide within half the smaller diameter, and `slack` more."""
    reach_a, reach_b = reach_of(first, a), reach_of(second, b)
    if a.windows and not b.windows:  # a window's size says nothing of its cell: the other's diameter decides
        reach_a = np.full(len(first), np.inf)
    elif b.windows and not a.windows:
        reach_b = np.full(len(second), np.inf)
    return match(boxes.centres(first.boxes), boxes.centres(second.boxes), reach_a, reach_b, slack)


def reach_of(cells: CellColumns, slide: ReportSlide) -> NDArray[np.float64]:
    """Return half the diameter of each cell, in level-0 pixels."""
    wide = boxes.diameters(cells.boxes)
    reach: NDArray[np.float64] = REACH_DIAMETERS * (wide * WINDOW_DIAMETERS if slide.windows else wide)
    return reach


def allowance(slide: ReportSlide) -> float:
    """Return by how many pixels a place may be off beyond what D15 allows: half a step of windows, nothing of cells."""
    return WINDOW_STEPS * float(slide.windows["step"]) if slide.windows else 0.0


def _left_out(cells: CellColumns, partner: NDArray[np.intp], others: CellColumns, own: ReportSlide, other: ReportSlide) -> tuple[str, ...]:
    """Return for each cell without a partner why the other report left out what it has in that place, "" where it has nothing."""
    reasons = np.zeros(len(cells), np.intp)
    alone, dropped = np.flatnonzero(partner < 0), np.flatnonzero(others.excluded)
    found = match_columns(cells.take(alone), others.take(dropped), own, other, max(allowance(own), allowance(other)))
    reasons[alone[found.first]] = others.excluded[dropped[found.second]]
    return tuple(others.names[code] for code in reasons.tolist())
