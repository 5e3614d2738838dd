"""The cells of a slide as cells.csv has them: rounded, named, in columns, from a scan or from the file.

Whatever is made of cells (cells.csv itself, cells.geojson.gz, a slide's page) is made of this table, so that it is the
same right after a scan and a year later, when only the file is left.
"""

from __future__ import annotations

import csv
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

from detectors import boxes
from smearscan.errors import OutputError
from smearscan.reports import spreadsheet
from smearscan.reports.base import SlideReport
from smearscan.results import NOTICE, Scanned

COLUMN: TypeAlias = NDArray[np.float64]
PLACE = ("id", "left", "top", "right", "bottom", "x_um", "y_um", "diameter_um")
PIXEL_DIGITS, SCORE_DIGITS, PLACE_UM_DIGITS, DIAMETER_UM_DIGITS, SHARE_DIGITS = 1, 6, 3, 2, 3


@dataclass(frozen=True)
class CellTable:
    """Every cell of a slide, or in window mode every window that was kept, in the order of cells.csv."""

    ids: tuple[str, ...]
    boxes: COLUMN  # (n, 4) level-0 pixels, right and bottom exclusive
    centres_um: COLUMN | None  # (n, 2) x, y from the slide's upper left corner; None without a scale or without cells
    diameters_um: COLUMN | None  # (n,) None as well for windows, whose size says nothing of a cell
    probabilities: COLUMN  # (n, k)
    classes: tuple[str, ...]  # of the probabilities' columns
    called: tuple[str, ...]
    flagged: NDArray[np.bool_]
    objectness: COLUMN
    overlay: tuple[str, ...]  # file in the slide's folder, "" where there is none
    cam_in_cell: COLUMN  # (n,) share of the heat map's mass that lies in the cell; not a number where that is not known
    excluded: tuple[str, ...]  # why it is not counted, "" if it is

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def from_scanned(cls, slide: SlideReport) -> Self:
        """Return the cells of a slide that was just scanned."""
        outcome = slide.outcome
        if not isinstance(outcome, Scanned):
            raise ValueError(f"{slide.key} was not scanned and has no cells.")
        cells, mpp = outcome.cells, outcome.info.mpp if len(outcome.cells) else None
        named = _Names(cells.classes)
        across = None if mpp is None or outcome.count.windows is not None else boxes.diameters(cells.boxes) * mpp
        return cls(
            ids=slide.cell_ids,
            boxes=_rounded(boxes.as_boxes(cells.boxes), PIXEL_DIGITS),
            centres_um=None if mpp is None else _rounded(boxes.centres(cells.boxes) * mpp, PLACE_UM_DIGITS),
            diameters_um=None if across is None else _rounded(across, DIAMETER_UM_DIGITS),
            # As counting does before it calls a cell, so that a reader of the file finds the same calls.
            probabilities=_rounded(cells.probabilities.astype(np.float64), SCORE_DIGITS),
            classes=cells.classes,
            called=tuple(map(named.as_read, outcome.called)),
            flagged=outcome.flagged,
            objectness=_rounded(cells.objectness.astype(np.float64), SCORE_DIGITS),
            overlay=tuple(slide.overlays.get(each, "") for each in slide.cell_ids),
            cam_in_cell=_rounded(_shares(outcome), SHARE_DIGITS),
            excluded=tuple(map(named.as_read, outcome.excluded)),
        )

    @classmethod
    def from_csv(cls, path: Path, classes: Sequence[str]) -> Self:
        """Read cells.csv; `classes` are the card's, since the file has their names as a spreadsheet may see them."""
        try:
            with path.open(encoding="utf-8", newline="") as file:
                return cls._read(csv.reader(file), tuple(classes))
        except FileNotFoundError:
            raise OutputError(f"{path} is gone: scan the slide again.") from None
        except (OSError, ValueError, csv.Error) as error:
            raise OutputError(f"{path} cannot be read as a table of cells: {error}. Scan the slide again.") from error

    @classmethod
    def _read(cls, rows: Iterator[list[str]], classes: tuple[str, ...]) -> Self:
        found, wanted = next(rows, []), header(classes)
        if found != wanted:
            odd = sorted(set(found) ^ set(wanted))
            raise ValueError(f"its columns are not those of this version ({', '.join(odd) or 'they stand in another order'})")
        columns = _Columns(len(classes))
        for number, row in enumerate(rows, start=2):
            if len(row) != len(wanted):
                raise ValueError(f"line {number} has {len(row)} fields and not {len(wanted)}")
            columns.add(row)
        return cls(**columns.finished(_Names(classes)), classes=classes)


def header(classes: Sequence[str]) -> list[str]:
    """Return the columns of cells.csv, for the classes of a card."""
    scores = [f"p_{spreadsheet.plain(name)}" for name in classes]
    return [*PLACE, *scores, "called", "flagged", "objectness", "overlay", "cam_in_cell", "excluded", NOTICE]


class _Names:
    """Names as this table has them: a class's own, and of any other text what a spreadsheet may see."""

    def __init__(self, classes: Sequence[str]) -> None:
        self._names = {spreadsheet.plain(name): name for name in classes}

    def as_read(self, text: str) -> str:
        shown = spreadsheet.plain(text)
        return self._names.get(shown, shown)


class _Columns:
    """The columns of a file that is being read; numbers go straight to arrays, for there may be a million rows."""

    def __init__(self, classes: int) -> None:
        self.scores_end = len(PLACE) + classes
        self.ids: list[str] = []
        self.texts: tuple[list[str], list[str], list[str]] = ([], [], [])  # called, overlay, excluded
        self.boxes, self.centres, self.diameters = array("d"), array("d"), array("d")
        self.probabilities, self.objectness, self.cam_in_cell = array("d"), array("d"), array("d")
        self.flagged = array("b")
        self.known: dict[str, str] = {}  # names recur: one object each

    def add(self, row: list[str]) -> None:
        end = self.scores_end
        self.ids.append(row[0])
        self.boxes.extend(map(float, row[1:5]))
        self.centres.extend(float(text) for text in row[5:7] if text)
        if row[7]:
            self.diameters.append(float(row[7]))
        self.probabilities.extend(map(float, row[len(PLACE) : end]))
        for column, text in zip(self.texts, (row[end], row[end + 3], row[end + 5]), strict=True):
            column.append(self.known.setdefault(text, text))
        self.flagged.append(row[end + 1] == "1")
        self.objectness.append(float(row[end + 2]))
        self.cam_in_cell.append(float(row[end + 4] or "nan"))

    def finished(self, named: _Names) -> dict[str, Any]:
        n = len(self.ids)
        if len(self.centres) not in (0, 2 * n) or len(self.diameters) not in (0, n):
            raise ValueError("some rows have a place or a diameter in micrometres, and others none")
        called, overlay, excluded = self.texts
        return {
            "ids": tuple(self.ids),
            "boxes": np.array(self.boxes).reshape(n, 4),
            "centres_um": np.array(self.centres).reshape(n, 2) if self.centres else None,
            "diameters_um": np.array(self.diameters) if self.diameters else None,
            "probabilities": np.array(self.probabilities).reshape(n, self.scores_end - len(PLACE)),
            "called": tuple(map(named.as_read, called)),
            "flagged": np.array(self.flagged, dtype=np.bool_),
            "objectness": np.array(self.objectness),
            "overlay": tuple(overlay),
            "cam_in_cell": np.array(self.cam_in_cell),
            "excluded": tuple(map(named.as_read, excluded)),
        }


def _shares(outcome: Scanned) -> COLUMN:
    shares: COLUMN = np.full(len(outcome.cells), np.nan)
    for picture in outcome.pictures:
        if picture.cam_in_cell is not None:
            shares[picture.row] = picture.cam_in_cell
    return shares


def _rounded(values: COLUMN, digits: int) -> COLUMN:
    """Round as the file will show; adding 0 makes -0 a 0."""
    rounded: COLUMN = np.round(values, digits) + 0.0
    return rounded
