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
| cam_in_cell | share of the heat map's mass inside the cell, which is the ellipse in its box; empty without a map, and for windows |
| excluded | why it is not counted, empty if it is |

The research-use notice is the name of a last, empty column: it is there in a table without rows, costs one byte a row
in a table of a million, and no reader stumbles over it as over a line of comment.
A slide that was not scanned has no cells.csv: a table without rows would say that it holds no cells.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path

from smearscan.reports import spreadsheet
from smearscan.reports.base import ReportWriter, SlideReport
from smearscan.reports.cell_table import COLUMN, DIAMETER_UM_DIGITS, PLACE_UM_DIGITS, SCORE_DIGITS, SHARE_DIGITS, CellTable, header
from smearscan.results import Scanned


class CellsCsv(ReportWriter):
    """Writes the table of all cells of a slide."""

    name = "cells"

    def write(self, slide: SlideReport, folder: Path) -> None:
        if not isinstance(slide.outcome, Scanned):
            return
        cells = CellTable.from_scanned(slide)
        with (folder / "cells.csv").open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(header(cells.classes))
            writer.writerows(_rows(cells))


def _rows(cells: CellTable) -> Iterator[tuple[str, ...]]:
    nothing = [""] * len(cells)
    columns: list[Iterable[str]] = [cells.ids, *(_pixels(cells.boxes[:, side]) for side in range(4))]
    columns += [nothing if cells.centres_um is None else _decimals(cells.centres_um[:, axis], PLACE_UM_DIGITS) for axis in range(2)]
    columns += [nothing if cells.diameters_um is None else _decimals(cells.diameters_um, DIAMETER_UM_DIGITS)]
    columns += [_decimals(cells.probabilities[:, index], SCORE_DIGITS) for index in range(len(cells.classes))]
    columns += [
        map(spreadsheet.plain, cells.called),
        ("1" if flagged else "0" for flagged in cells.flagged.tolist()),
        _decimals(cells.objectness, SCORE_DIGITS),
        cells.overlay,
        ("" if text == "nan" else text for text in _decimals(cells.cam_in_cell, SHARE_DIGITS)),
        map(spreadsheet.plain, cells.excluded),
        nothing,
    ]
    return zip(*columns, strict=True)


def _pixels(values: COLUMN) -> Iterator[str]:
    """Write a tenth of a pixel, and no decimals where there are none."""
    return (repr(value).removesuffix(".0") for value in values.tolist())


def _decimals(values: COLUMN, digits: int) -> Iterator[str]:
    return (f"{value:.{digits}f}" for value in values.tolist())
