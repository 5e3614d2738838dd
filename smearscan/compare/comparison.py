"""Two reports of the same slides held against each other: slide by slide, and where it can be cell by cell.

pair_slides ─▶ pair_cells ─▶ Calls, tallies against truth  ─▶ one SlideComparison each  ─▶ Comparison
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from smearscan.compare.agreement import BlandAltman, Calls, bland_altman, lin_concordance
from smearscan.compare.cost import RunCost, SlideCost, run_cost, slide_cost
from smearscan.compare.pairing import CellPairs, SlidePair, allowance, pair_cells, pair_slides
from smearscan.compare.report_folder import Report, ReportSlide
from smearscan.compare.truth import FoundCells, Rate, TruthTally, rates, slide_truth, tally_labels, tally_places
from smearscan.errors import OutputError
from smearscan.labels import Labels
from smearscan.ledger.changes import differences
from smearscan.reports import card_of


@dataclass(frozen=True)
class Side:
    """What one of the two reports says of a slide."""

    status: str  # "" where the report has no such slide
    count: Mapping[str, Any] | None
    cost: SlideCost
    truth: TruthTally | None = None

    @property
    def cells(self) -> int | None:
        return self.count["cells"] if self.count else None

    @property
    def blasts(self) -> int | None:
        return self.count["blasts"] if self.count else None

    @property
    def fraction(self) -> float | None:
        return self.count["fraction"] if self.count else None

    @property
    def verdicts(self) -> dict[float, str]:
        return {each["threshold"]: each["verdict"] for each in self.count["verdicts"]} if self.count else {}


@dataclass(frozen=True)
class SlideComparison:
    """One slide, compared."""

    pair: SlidePair
    a: Side
    b: Side
    level: str  # cells | fractions | none: how far it was compared
    reason: str
    matched: int | None = None  # None where not compared cell by cell
    only_a: int | None = None
    only_b: int | None = None
    within_half_diameter: int | None = None
    left_out_by_a: int | None = None  # of only_b: A has something there and does not count it
    left_out_by_b: int | None = None
    calls: Calls | None = None

    @property
    def key(self) -> str:
        return self.pair.key

    @property
    def difference(self) -> float | None:
        """Fraction of B minus that of A."""
        return None if self.a.fraction is None or self.b.fraction is None else self.b.fraction - self.a.fraction

    @property
    def verdict_changes(self) -> dict[float, tuple[str, str]]:
        """Thresholds at which the two reports say different things."""
        if self.level == "none":
            return {}
        first, second = self.a.verdicts, self.b.verdicts
        return {each: (first[each], second[each]) for each in first if each in second and first[each] != second[each]}


@dataclass(frozen=True)
class TruthRates:
    """A report against the truth on all slides that have one."""

    slides: int
    cells: Mapping[str, Rate] | None  # recall, precision, f1 of finding white cells; None where labels know only found cells
    blasts: Mapping[str, Rate]  # of finding blasts and calling them so
    total: TruthTally
    fraction_error: float | None  # mean over slides of |apparent - true fraction|


@dataclass(frozen=True)
class Comparison:
    """Everything that is said of two reports."""

    a: Report
    b: Report
    slides: tuple[SlideComparison, ...]
    cost_a: RunCost
    cost_b: RunCost
    truth_a: TruthRates | None = None
    truth_b: TruthRates | None = None
    settings: tuple[str, ...] = ()  # what was set otherwise in B, as phrases

    def at(self, *levels: str) -> list[SlideComparison]:
        return [each for each in self.slides if each.level in levels]

    @property
    def calls(self) -> Calls:
        return sum((each.calls for each in self.slides if each.calls), Calls())

    @property
    def fractions(self) -> list[SlideComparison]:
        """The slides that have a fraction in both reports."""
        return [each for each in self.at("cells", "fractions") if each.difference is not None]

    @property
    def bland_altman(self) -> BlandAltman | None:
        return bland_altman(*self.fraction_columns())

    @property
    def lin(self) -> float | None:
        return lin_concordance(*self.fraction_columns())

    def fraction_columns(self) -> tuple[list[float], list[float]]:
        """Return the fractions of A and those of B of the slides that have one in both."""
        pairs = [(each.a.fraction, each.b.fraction) for each in self.fractions]
        return [float(first or 0) for first, _ in pairs], [float(second or 0) for _, second in pairs]


@dataclass(frozen=True)
class SlideCells:
    """The cells of a slide while it is compared; gone when the next one comes."""

    pairs: CellPairs
    labels_a: tuple[str, ...]  # what is known of each cell, "" where nothing is
    labels_b: tuple[str, ...]


Visitor = Callable[[SlideComparison, SlideCells | None], None]


def compare(a: Report, b: Report, labels: Labels | None = None, visit: Visitor = lambda slide, cells: None) -> Comparison:
    """Compare two reports; `visit` is given each slide with its cells, which are not kept."""
    slides = []
    for pair in pair_slides(a, b):
        slide, cells = _compare_slide(pair, labels)
        visit(slide, cells)
        slides.append(slide)
    return Comparison(
        a=a,
        b=b,
        slides=tuple(slides),
        cost_a=run_cost(a),
        cost_b=run_cost(b),
        truth_a=_truth_rates(each.a for each in slides if each.level == "cells"),
        truth_b=_truth_rates(each.b for each in slides if each.level == "cells"),
        settings=tuple(_changed_settings(slides)),
    )


def _compare_slide(pair: SlidePair, labels: Labels | None) -> tuple[SlideComparison, SlideCells | None]:
    a, b = _side(pair.a), _side(pair.b)
    if pair.level != "cells" or pair.a is None or pair.b is None:
        return SlideComparison(pair, a, b, pair.level, pair.reason), None
    try:
        pairs = pair_cells(pair.a, pair.b)
    except OutputError as error:
        return SlideComparison(pair, a, b, "fractions", f"{error} Only the fractions are compared."), None
    truth_a, labels_a = _against_truth(labels, pair.a, pairs, first=True)
    truth_b, labels_b = _against_truth(labels, pair.b, pairs, first=False)
    matched = len(pairs.matching)
    compared = SlideComparison(
        pair=pair,
        a=Side(a.status, a.count, a.cost, truth_a),
        b=Side(b.status, b.count, b.cost, truth_b),
        level="cells",
        reason="",
        matched=matched,
        only_a=len(pairs.a) - matched,
        only_b=len(pairs.b) - matched,
        within_half_diameter=pairs.within_half_diameter,
        left_out_by_a=sum(map(bool, pairs.left_out_by_a)),
        left_out_by_b=sum(map(bool, pairs.left_out_by_b)),
        calls=_calls(pairs),
    )
    return compared, SlideCells(pairs, labels_a, labels_b)


def _side(slide: ReportSlide | None) -> Side:
    if slide is None:
        return Side("", None, SlideCost())
    return Side(str(slide.record["status"]), slide.count, slide_cost(slide))


def _calls(pairs: CellPairs) -> Calls:
    first, second = pairs.a.blast[pairs.matching.first], pairs.b.blast[pairs.matching.second]
    both, either = int((first & second).sum()), int((first | second).sum())
    return Calls(both, int(first.sum()) - both, int(second.sum()) - both, len(first) - either)


def _against_truth(
    labels: Labels | None, slide: ReportSlide, pairs: CellPairs, *, first: bool
) -> tuple[TruthTally | None, tuple[str, ...]]:
    cells, reach = (pairs.a, pairs.reach_a) if first else (pairs.b, pairs.reach_b)
    nothing = ("",) * len(cells)
    if labels is None:
        return None, nothing
    found = FoundCells(cells, reach, allowance(slide), card_of(slide.record), slide.mpp)
    truth = slide_truth(labels, slide.key)
    if truth is not None:
        return tally_places(truth, found)
    known = labels.of_cells(slide.key, cells.ids, cells.boxes)
    return (tally_labels(known, found), known) if any(known) else (None, nothing)


def _truth_rates(sides: Iterable[Side]) -> TruthRates | None:
    known = [side for side in sides if side.truth is not None]
    tallies = [side.truth for side in known if side.truth is not None]
    if not tallies:
        return None
    found = [each.cells for each in tallies if each.cells is not None]
    errors = [
        abs(side.fraction - side.truth.true_fraction)
        for side in known
        if side.truth is not None and side.fraction is not None and side.truth.true_fraction is not None
    ]
    return TruthRates(
        slides=len(tallies),
        cells=rates(found) if found else None,
        blasts=rates([each.blasts for each in tallies]),
        total=sum(tallies[1:], tallies[0]),
        fraction_error=float(np.mean(errors)) if errors else None,
    )


def _changed_settings(slides: Iterable[SlideComparison]) -> list[str]:
    """Return what differs between the settings of the two reports, from the first slide that both scanned."""
    for each in slides:
        if each.level != "none" and each.pair.a and each.pair.b:
            return differences(_science(each.pair.a), _science(each.pair.b))
    return []


def _science(slide: ReportSlide) -> dict[str, Any]:
    return {name: value for name, value in slide.record["science"].items() if name not in ("csv_mpp", "mpp")}
