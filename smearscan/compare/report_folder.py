"""A finished report, read back for a comparison: what was done to each slide, and its cells as columns.

    run.json                       settings and cost of the run
    slides/*/slide.json            status, scale, models, count
    slides/*/cells.csv             the cells, read one slide at a time
    slides/*/times.json            seconds

`smearscan.reports.CellTable` reads cells.csv of this version, whole, to write it again. Here any version will do whose
table has the columns that a comparison needs, and of them numbers alone are kept: there may be a million rows.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from operator import itemgetter
from pathlib import Path, PurePosixPath
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from detectors import boxes
from smearscan import ledger, reports
from smearscan.errors import ConfigError, OutputError
from smearscan.ledger.disk import read_json
from smearscan.reports.spreadsheet import plain

SIDES: Final = ("left", "top", "right", "bottom")
TEXTS: Final = ("id", "called", "flagged", "excluded")
ROWS_AT_ONCE: Final = 20_000


@dataclass(frozen=True)
class CellColumns:
    """The cells of one slide, or in window mode the windows that were kept, in the order of cells.csv."""

    ids: tuple[str, ...]
    boxes: NDArray[np.float64]  # (n, 4) level-0 pixels
    scores: NDArray[np.float64]  # (n,) P(blast) among the classes that count
    blast: NDArray[np.bool_]  # (n,) called blast
    called: NDArray[np.intp]  # (n,) indices of `names`
    excluded: NDArray[np.intp]  # (n,) indices of `names`, that of "" where the cell was counted
    names: tuple[str, ...]  # names[0] is ""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def counted(self) -> NDArray[np.intp]:
        """The rows of the cells in the denominator."""
        return np.flatnonzero(self.excluded == 0)

    def take(self, rows: NDArray[np.intp]) -> CellColumns:
        """Return some of the cells."""
        ids = tuple(self.ids[row] for row in rows.tolist())
        return replace(
            self,
            ids=ids,
            boxes=self.boxes[rows],
            scores=self.scores[rows],
            blast=self.blast[rows],
            called=self.called[rows],
            excluded=self.excluded[rows],
        )


@dataclass(frozen=True)
class ReportSlide:
    """What a report says of one slide."""

    folder: Path  # its results; holds nothing where the run did not come to the slide
    record: Mapping[str, Any]
    times: Mapping[str, float]

    @property
    def key(self) -> str:
        return str(self.record["key"])

    @property
    def count(self) -> Any:
        return self.record.get("count")

    @property
    def mpp(self) -> float | None:
        info = self.record.get("info") or {}
        found: float | None = info.get("mpp")
        return found

    @property
    def windows(self) -> Mapping[str, Any] | None:
        """Size, step and counts of the windows; None where cells were proposed one by one."""
        found: Mapping[str, Any] | None = self.count["windows"] if self.count else None
        return found

    def cells(self) -> CellColumns:
        """Read the slide's cells.csv; an OutputError names the columns that are missing."""
        path = self.folder / "cells.csv"
        card = reports.card_of(self.record)
        try:
            with path.open(encoding="utf-8", newline="") as file:
                columns = _Reader(csv.reader(file), card.classes).read()
        except FileNotFoundError:
            raise OutputError(f"{path} is gone: scan the slide again.") from None
        except (OSError, ValueError, csv.Error) as error:
            raise OutputError(f"{path} cannot be read as a table of cells: {error}.") from error
        return CellColumns(
            ids=tuple(columns.ids),
            boxes=columns.boxes,
            scores=card.blast_probability(columns.probabilities),
            blast=columns.flagged,
            called=columns.called,
            excluded=columns.excluded,
            names=tuple(columns.names),
        )


@dataclass(frozen=True)
class Report:
    """A finished report."""

    name: str
    folder: Path
    slides: Mapping[str, ReportSlide]  # by key, sorted
    run: Mapping[str, Any] = field(default_factory=dict)  # run.json, empty where it is gone


def read_report(folder: Path, name: str = "") -> Report:
    """Read everything of a report but its cells; `name` is what the comparison calls it, by default its folder's name."""
    records = dict(ledger.read_records(folder)) if folder.is_dir() else {}
    if not records and not ledger.is_report(folder):
        raise ConfigError(f"{folder} is no smearscan report: name the folder that was given to `smearscan run --out`.")
    run = read_json(folder / "run.json") or {}
    for key, ran in run.get("slides", {}).items():
        if key not in records and "record" in ran:
            records[key] = ran["record"]  # the run stopped before it: nothing was published
    slides = {}
    for key, record in sorted(records.items()):
        place = folder / PurePosixPath(record.get("folder") or "slides")
        slides[key] = ReportSlide(place, record, read_json(place / "times.json") or {})
    return Report(name or folder.resolve().name or "report", folder, slides, run)


@dataclass
class _Columns:
    """What is kept of a table."""

    ids: list[str]
    boxes: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    flagged: NDArray[np.bool_]
    called: NDArray[np.intp]
    excluded: NDArray[np.intp]
    names: list[str]


class _Reader:
    """Reads the columns that are needed, some thousand rows at a time, so that text does not pile up."""

    def __init__(self, rows: Iterator[list[str]], classes: Sequence[str]) -> None:
        self.rows = rows
        header = next(rows, [])
        scores = [f"p_{plain(name)}" for name in classes]
        missing = [name for name in (*TEXTS, *SIDES, *scores) if name not in header]
        if missing:
            raise ValueError(f"it lacks the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}")
        self.width = len(header)
        self.texts = itemgetter(*map(header.index, TEXTS))
        self.numbers = itemgetter(*map(header.index, (*SIDES, *scores)))
        self.columns = len(SIDES) + len(scores)
        self.real = {plain(name): name for name in classes}  # the file has them as a spreadsheet may see them
        self.codes = {"": 0}

    def read(self) -> _Columns:
        ids: list[str] = []
        numbers = [np.zeros((0, self.columns))]
        flagged, called, excluded = [np.zeros(0, np.bool_)], [np.zeros(0, np.intp)], [np.zeros(0, np.intp)]
        while rows := list(islice(self.rows, ROWS_AT_ONCE)):
            if odd := next((row for row in rows if len(row) != self.width), None):
                raise ValueError(f"a row has {len(odd)} fields and not {self.width}")
            names, calls, flags, reasons = zip(*map(self.texts, rows), strict=True)
            ids += names
            numbers.append(np.array([self.numbers(row) for row in rows]).astype(np.float64))
            flagged.append(np.array([flag == "1" for flag in flags]))
            called.append(self._coded(calls))
            excluded.append(self._coded(reasons))
        table = np.concatenate(numbers)
        return _Columns(
            ids=ids,
            boxes=boxes.as_boxes(table[:, : len(SIDES)].copy()),
            probabilities=table[:, len(SIDES) :],
            flagged=np.concatenate(flagged),
            called=np.concatenate(called),
            excluded=np.concatenate(excluded),
            names=[self.real.get(text, text) for text in self.codes],
        )

    def _coded(self, texts: Sequence[str]) -> NDArray[np.intp]:
        codes = self.codes
        return np.array([codes.setdefault(text, len(codes)) for text in texts], np.intp)
