"""Figures of a night of composed slides, by mode, and the tables that cards and pages show of them.

Everything here works on rows that were read back from reports; `accuracy_slides.py` makes the slides and the reports. A fraction's
error is measured against the slide's true fraction, that of its truth table. Rates of finding cells have the intervals of
`smearscan compare`: from five slides on, of slides drawn with replacement.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from smearscan.compare.cost import RunCost, run_cost, slide_cost
from smearscan.compare.pairing import allowance, reach_of
from smearscan.compare.report_folder import Report, ReportSlide
from smearscan.compare.truth import FoundCells, Hits, Rate, rates, slide_truth, tally_places
from smearscan.counting.adjusting import tallies
from smearscan.errors import SmearscanError
from smearscan.intervals import SubjectAdjustment, adjust_by_subjects, draw_slide_rates, limit_of_blank, wilson
from smearscan.labels import Labels
from smearscan.percentages import percent
from smearscan.reports import card_of
from smearscan.results import Interval

BLANK_CELLS: Final = 200  # a negative slide of fewer says nothing of the limit of blank (D7)
NONE: Final = "-"


@dataclass(frozen=True)
class ScannedSlide:
    """What one report says of one slide, beside its truth."""

    fold: int
    key: str
    true_cells: int
    true_blasts: int
    hits: Hits  # white cells found and counted
    cells: int  # counted
    crops: int  # scored
    apparent: float | None  # None: too few cells to state a fraction
    adjusted: float | None = None  # None: the card's counts by subject do not allow one
    interval: Interval | None = None  # of the adjusted fraction
    proposed: Hits | None = None  # white cells that the detector found, also where the classifier left them out; None of windows
    window_fraction: float | None = None  # of all windows; window mode alone has it, and it is no fraction of cells
    nucleus_window_fraction: float | None = None  # of windows that hold a nucleus
    seconds: float | None = None  # in work; slides in work at once share the machine

    @property
    def truth(self) -> float:
        return self.true_blasts / self.true_cells

    @property
    def is_negative(self) -> bool:
        return self.true_blasts == 0


@dataclass(frozen=True)
class ScannedMode:
    """All slides of all folds, scanned in one mode."""

    mode: str
    slides: tuple[ScannedSlide, ...]
    runs: tuple[tuple[int, RunCost], ...] = ()  # slides of each run, and what it took


@dataclass(frozen=True)
class Errors:
    """How far fractions lie from the true ones, in points: 0.03 against 0.05 is 2 points too low."""

    slides: int
    mean_absolute: float | None
    bias: float | None
    worst: float | None


@dataclass(frozen=True)
class Coverage:
    """In how many slides the interval of the adjusted fraction holds the truth."""

    slides: int  # that have one
    held: int
    limits: Interval | None  # Wilson's, of held among slides
    mean_width: float | None  # points


@dataclass(frozen=True)
class Accuracy:
    """What is found and stated on some slides."""

    slides: int
    recall: Rate  # of finding white cells and counting them
    precision: Rate
    proposed_recall: Rate | None  # of the detector alone; None of windows
    proposed_precision: Rate | None
    apparent: Errors
    adjusted: Errors
    coverage: Coverage
    window_fraction: Errors  # of window mode, as it is
    nucleus_window_fraction: Errors


@dataclass(frozen=True)
class Blank:
    """What negative slides read."""

    fractions: tuple[float, ...]  # apparent, of slides of enough cells, as a card's `blank_fractions` wants them
    limit: float | None
    method: str
    left_out: int  # negative slides of too few counted cells


@dataclass(frozen=True)
class ModeFigures:
    """All figures of one mode."""

    mode: str
    all: Accuracy
    positive: Accuracy
    negative: Accuracy
    blank: Blank
    crops_per_cell: float | None
    seconds_per_slide: float | None  # of the whole run, its slides side by side
    peak_memory_bytes: int | None  # of the run that held most


def read_mode(mode: str, reports: Iterable[tuple[int, Report, Labels]]) -> ScannedMode:
    """Hold the report of each fold against the truth of its slides."""
    rows, runs = [], []
    for fold, report, labels in reports:
        rows += [read_slide(fold, slide, labels) for slide in report.slides.values()]
        runs.append((len(report.slides), run_cost(report)))
    return ScannedMode(mode, tuple(rows), tuple(runs))


def read_slide(fold: int, slide: ReportSlide, labels: Labels) -> ScannedSlide:
    """Return the row of one slide; a slide without truth, or that was not scanned, is an error here."""
    count, truth = slide.count, slide_truth(labels, slide.key)
    if truth is None:
        raise SmearscanError(f"{labels.source} holds no truth of {slide.key}. Compose the slide again.")
    if count is None:
        raise SmearscanError(f"{slide.key} of fold {fold} was not scanned ({slide.record['status']}): {slide.record['reason']}")
    cells = slide.cells()
    counted = cells.take(cells.counted)
    tally, everything = (
        tally_places(truth, FoundCells(each, reach_of(each, slide), allowance(slide), card_of(slide.record), slide.mpp))[0]
        for each in (counted, cells)
    )
    cost, windows = slide_cost(slide), count["windows"] or {}
    adjusted = adjusted_by_subjects(slide)
    return ScannedSlide(
        fold=fold,
        key=slide.key,
        true_cells=tally.true_cells,
        true_blasts=tally.true_blasts,
        hits=tally.cells or Hits(),
        cells=count["cells"],
        crops=count["proposals"],
        apparent=count["fraction"],
        adjusted=adjusted and adjusted.fraction,
        interval=adjusted and adjusted.interval,
        proposed=None if windows else everything.cells,
        window_fraction=windows.get("window_fraction"),
        nucleus_window_fraction=windows.get("nucleus_window_fraction"),
        seconds=cost.seconds,
    )


def adjusted_by_subjects(slide: ReportSlide) -> SubjectAdjustment | None:
    """Return D6's fraction and interval with the counts of the slide's card.

    A run asks for ten healthy persons. A fold's card has fewer where those on its slides are left out of twelve, and the run then falls
    back to D5; but D6 is what the model that ships is adjusted by, so it is what is measured.
    """
    count, card = slide.count, card_of(slide.record)
    blast, other = tallies(card, "blast"), tallies(card, "other")
    if blast is None or other is None or count["fraction"] is None:
        return None
    n = count["cells"] / (count["deff"] or 1.0)
    return adjust_by_subjects(count["fraction"] * n, n, draw_slide_rates(blast, other))


def figures(scanned: ScannedMode) -> ModeFigures:
    """Return the figures of one mode."""
    slides = scanned.slides
    cells, crops = sum(each.cells for each in slides), sum(each.crops for each in slides)
    timed = [(count, cost.seconds) for count, cost in scanned.runs if cost.seconds is not None]
    peaks = [cost.peak_memory_bytes for _, cost in scanned.runs if cost.peak_memory_bytes is not None]
    return ModeFigures(
        mode=scanned.mode,
        all=accuracy(slides),
        positive=accuracy([each for each in slides if not each.is_negative]),
        negative=accuracy([each for each in slides if each.is_negative]),
        blank=blank(slides),
        crops_per_cell=crops / cells if cells else None,
        seconds_per_slide=sum(seconds for _, seconds in timed) / sum(count for count, _ in timed) if timed else None,
        peak_memory_bytes=max(peaks, default=None),
    )


def accuracy(slides: Sequence[ScannedSlide]) -> Accuracy:
    """Return what is found and stated on these slides."""
    found = rates([each.hits for each in slides])
    hits = [each.proposed for each in slides if each.proposed is not None]
    proposed = rates(hits) if hits else {}
    return Accuracy(
        slides=len(slides),
        recall=found["recall"],
        precision=found["precision"],
        proposed_recall=proposed.get("recall"),
        proposed_precision=proposed.get("precision"),
        apparent=errors(slides, lambda each: each.apparent),
        adjusted=errors(slides, lambda each: each.adjusted),
        coverage=coverage(slides),
        window_fraction=errors(slides, lambda each: each.window_fraction),
        nucleus_window_fraction=errors(slides, lambda each: each.nucleus_window_fraction),
    )


def errors(slides: Iterable[ScannedSlide], stated: Callable[[ScannedSlide], float | None]) -> Errors:
    """Return the errors of a fraction on the slides that state it."""
    points = [100 * (value - each.truth) for each in slides if (value := stated(each)) is not None]
    if not points:
        return Errors(0, None, None, None)
    absolute = [abs(each) for each in points]
    return Errors(len(points), sum(absolute) / len(points), sum(points) / len(points), max(absolute))


def coverage(slides: Iterable[ScannedSlide]) -> Coverage:
    """Count the slides whose interval holds the truth; its ends belong to it."""
    known = [(each, each.interval) for each in slides if each.interval is not None]
    held = sum(interval.low <= each.truth <= interval.high for each, interval in known)
    return Coverage(
        slides=len(known),
        held=held,
        limits=wilson(held, len(known)) if known else None,
        mean_width=100 * sum(interval.high - interval.low for _, interval in known) / len(known) if known else None,
    )


def blank(slides: Iterable[ScannedSlide]) -> Blank:
    """Return the limit of blank of the negative slides that are large enough."""
    negative = [each for each in slides if each.is_negative]
    enough = tuple(each.apparent for each in negative if each.apparent is not None and each.cells >= BLANK_CELLS)
    limit, method = limit_of_blank(enough)
    return Blank(enough, limit, method, len(negative) - len(enough))


def table(found: Sequence[ModeFigures]) -> list[dict[str, str]]:
    """Return one row for each mode, for a card or a page."""
    return [
        {
            "mode": each.mode,
            **_accuracy_row(each.all),
            "crops per cell": _number(each.crops_per_cell, ".2f"),
            "s per slide": _number(each.seconds_per_slide, ".1f"),
            "MB": _number(each.peak_memory_bytes and each.peak_memory_bytes / 1e6, ",.0f"),
        }
        for each in found
    ]


def proposals_table(found: Sequence[ModeFigures]) -> list[dict[str, str]]:
    """Return what each detector finds by itself: the classifier may leave cells out, and what is no cell."""
    known = [(each.mode, each.all.proposed_recall, each.all.proposed_precision) for each in found]
    return [
        {"mode": mode, "recall of proposals": _rate(recall), "precision of proposals": _rate(precision)}
        for mode, recall, precision in known
        if recall is not None and precision is not None
    ]


def parts_table(found: Sequence[ModeFigures]) -> list[dict[str, str]]:
    """Return the same for slides with blasts and for slides without, one after the other."""
    parts = [(each, part) for each in found for part in ("positive", "negative")]
    return [{"mode": f"{each.mode}, {part}", **_accuracy_row(getattr(each, part))} for each, part in parts]


def blank_table(found: Sequence[ModeFigures]) -> list[dict[str, str]]:
    """Return what the negative slides of each mode read."""
    return [
        {
            "mode": each.mode,
            "limit of blank": _share(each.blank.limit),
            "how": each.blank.method + (f"; {each.blank.left_out} of too few cells left out" if each.blank.left_out else ""),
            "apparent fractions, %": ", ".join(percent(value) for value in sorted(each.blank.fractions)) or NONE,
        }
        for each in found
    ]


def window_table(found: Sequence[ModeFigures]) -> list[dict[str, str]]:
    """Return how far the share of windows that are called blast lies from the share of cells; it is not meant to be that."""
    known = [each for each in found if each.all.window_fraction.slides]
    return [
        {
            "mode": each.mode,
            "window fraction error": _points(each.all.window_fraction),
            "window fraction error, windows with a nucleus": _points(each.all.nucleus_window_fraction),
        }
        for each in known
    ]


def slides_table(scanned: ScannedMode) -> list[dict[str, str]]:
    """Return one row for each slide; in window mode also the fraction of windows."""
    windows = any(each.window_fraction is not None for each in scanned.slides)
    return [
        {
            "slide": f"fold {each.fold}, {each.key.rpartition('.')[0]}",
            "cells": f"{each.cells} of {each.true_cells}",
            "true": _share(each.truth),
            "apparent": _share(each.apparent),
            "adjusted": _share(each.adjusted),
            "interval": f"{_ends(each.interval)} %" if each.interval else NONE,
            **({"windows": _share(each.window_fraction)} if windows else {}),
        }
        for each in scanned.slides
    ]


def _accuracy_row(found: Accuracy) -> dict[str, str]:
    covered = found.coverage
    width = f", {covered.mean_width:.0f} points wide" if covered.mean_width is not None else ""
    return {
        "slides": str(found.slides),
        "recall": _rate(found.recall),
        "precision": _rate(found.precision),
        "apparent error": _points(found.apparent),
        "adjusted error": _points(found.adjusted),
        "interval holds the truth": f"{covered.held} of {covered.slides}{width}" if covered.slides else NONE,
    }


def _rate(rate: Rate) -> str:
    if rate.value is None:
        return NONE
    ends = f" ({100 * rate.interval.low:.1f}-{100 * rate.interval.high:.1f})" if rate.interval else ""
    return f"{100 * rate.value:.1f} %{ends}"


def _points(found: Errors) -> str:
    return NONE if found.mean_absolute is None else f"{found.mean_absolute:.1f} (bias {found.bias:+.1f})"


def _share(value: float | None) -> str:
    return NONE if value is None else f"{percent(value)} %"


def _ends(interval: Interval) -> str:
    return f"{percent(interval.low)}-{percent(interval.high)}"


def _number(value: float | None, how: str) -> str:
    return NONE if value is None else format(value, how)
