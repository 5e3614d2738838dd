"""The page of a model card: what the model is for, what its numbers are and on whom, and where it fails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from smearscan.reports.card_sections import CalibrationBin
from smearscan.reports.card_view import CardView, SubjectRow, blank_text, common_place, counted_text, percents_text
from smearscan.reports.pages.templating import render

SIDE: Final = 100.0  # of a plot, in its own units
OPEN_ROWS: Final = 24  # of subjects that are shown without being asked for


@dataclass(frozen=True)
class Plot:
    """A line in the unit square, with its points: x to the right and y downwards, 0 to `SIDE`."""

    title: str
    text: str  # what it shows, for those who do not see it
    across: str
    up: str
    points: tuple[tuple[float, float], ...]
    dots: bool


def card_page(view: CardView, home: str = "") -> str:
    """Return index.html of a model card; its pictures lie beside it under the names that the card gives them.

    `home` leads back to the report that the card belongs to, "" where there is none.
    """
    sections = view.sections
    plots = [_calibration(sections.calibration_bins)] if sections.calibration_bins else []
    plots += [_roc(sections.roc)] if sections.roc else []
    return render(
        "card.html.j2",
        "card.js",
        {},
        more_style="card.css",
        view=view,
        sections=sections,
        plots=plots,
        home=home,
        side=SIDE,
        open_rows=OPEN_ROWS,
        subjects=worst_first(view.subjects),
        blank="" if view.blank is None else blank_text(view.blank),
        common_place=common_place,
        counted=counted_text,
        percents=percents_text,
        path=_path,
    )


def worst_first(rows: Sequence[SubjectRow]) -> list[SubjectRow]:
    """Return blasts' subjects, then the others', each kind's worst first."""
    return sorted(rows, key=lambda each: (each.role, each.share, each.subject))


def _calibration(bins: Sequence[CalibrationBin]) -> Plot:
    points = tuple((SIDE * each.said, SIDE * (1 - each.true)) for each in bins)
    cells = sum(each.cells for each in bins)
    title = "Does a probability come true?"
    counted = f" of {cells:,.0f} cells" if cells else ""
    text = f"Calibration: {len(bins)} bins{counted}, what was said against what came true; the same stands in the table"
    return Plot(title, text, "said: P(blast)", "came true: share of blasts", points, True)


def _roc(curve: Sequence[tuple[float, float]]) -> Plot:
    points = tuple((SIDE * false, SIDE * (1 - true)) for false, true in curve)
    text = "ROC curve: the share of blasts called blast against the share of other cells called blast, over all thresholds"
    return Plot("ROC", text, "other cells called blast", "blasts called blast", points, False)


def _path(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.2f},{y:.2f}" for x, y in points)
