"""cells.csv: one row a cell, or in window mode a window, sorted by top then left.

| column | meaning |
|---|---|
| id | the pixel of its centre, see `cell_ids` |
| left, top, right, bottom | level-0 pixels, right and bottom exclusive |
| x_um, y_um | centre from the slide's upper left corner; empty without a scale |
| diameter_um | mean of width and height; empty without a scale, and for windows, whose size says nothing of a cell |
| p_CLASS | the classifier's calibrated probability, one column a class |
| called | the class it was called |
| flagged | 1: called blast |
| objectness | the detector's score |
| overlay | the heat map's file in the same folder |
| excluded | why it is not counted, empty if it is |

The research-use notice is the name of a last, empty column: it is there in a table without rows, costs one byte a row
in a table of a million, and no reader stumbles over it as over a line of comment.
A slide that was not scanned has no cells.csv: a table without rows would say that it holds no cells.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detectors import boxes
from smearscan.reports import spreadsheet
from smearscan.reports.base import ReportWriter, SlideReport
from smearscan.results import NOTICE, Scanned


class CellsCsv(ReportWriter):
    """Writes the table of all cells of a slide."""

    name = "cells"

    def write(self, slide: SlideReport, folder: Path) -> None:
        if not isinstance(slide.outcome, Scanned):
            return
        with (folder / "cells.csv").open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(_header(slide.outcome))
            writer.writerows(_rows(slide, slide.outcome))


def _header(outcome: Scanned) -> list[str]:
    scores = [f"p_{spreadsheet.plain(name)}" for name in outcome.cells.classes]
    place = ["id", "left", "top", "right", "bottom", "x_um", "y_um", "diameter_um"]
    return [*place, *scores, "called", "flagged", "objectness", "overlay", "excluded", NOTICE]


def _rows(slide: SlideReport, outcome: Scanned) -> Iterator[tuple[str, ...]]:
    cells = outcome.cells
    columns: list[Iterable[str]] = [slide.cell_ids, *_corners(cells.boxes), *_micrometres(outcome)]
    columns += [_scores(cells.probabilities[:, index]) for index in range(len(cells.classes))]
    columns += [
        map(spreadsheet.plain, outcome.called),
        ("1" if flagged else "0" for flagged in outcome.flagged.tolist()),
        _scores(cells.objectness),
        (slide.overlays.get(each, "") for each in slide.cell_ids),
        map(spreadsheet.plain, outcome.excluded),
        [""] * len(cells),
    ]
    return zip(*columns, strict=True)


def _corners(cell_boxes: NDArray[np.float32]) -> list[Iterator[str]]:
    """Write a tenth of a pixel, and no decimals where there are none; adding 0 makes -0 a 0."""
    rounded = np.round(boxes.as_boxes(cell_boxes), 1) + 0.0
    return [(repr(value).removesuffix(".0") for value in rounded[:, side].tolist()) for side in range(4)]


def _micrometres(outcome: Scanned) -> list[Iterable[str]]:
    mpp, cell_boxes = outcome.info.mpp, outcome.cells.boxes
    nothing = [""] * len(cell_boxes)
    if mpp is None:
        return [nothing, nothing, nothing]
    x_um, y_um = (boxes.centres(cell_boxes) * mpp).T.tolist() if len(cell_boxes) else ([], [])
    diameters = boxes.diameters(cell_boxes) * mpp
    across = nothing if outcome.count.windows is not None else [f"{value:.2f}" for value in diameters.tolist()]
    return [(f"{value:.3f}" for value in x_um), (f"{value:.3f}" for value in y_um), across]


def _scores(values: NDArray[np.float32]) -> Iterator[str]:
    """Round as counting does before it calls a cell, so that a reader of the file finds the same calls."""
    return (f"{value:.6f}" for value in np.round(values.astype(np.float64), 6).tolist())
