"""The folder of an evaluation: tables that others can recompute the numbers from, the record, and pictures of cells.

| file | what |
|---|---|
| evaluation.json | every number, for programs and for the page |
| metrics.csv, subjects.csv, confusion.csv | the same as tables |
| predictions.csv | what each model said of each cell |
| errors.csv | every cell that at least one model gets wrong |
| *.png, *-dark.png | the plots, on light and on dark paper |
| cells/MODEL/ROW.png, ROW-heat.png | a cell as the model saw it, and the heat map on it; ROW counts the cells of predictions.csv from 0 |
| cells/missed/ROW.png | a cell that every model misses |
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from smearscan.reports.overlay_pictures import write_png
from smearscan.reports.overlay_sheet import heat
from smearscan.reports.spreadsheet import fraction, path, plain, to_csv, whole, yes_no
from smearscan.results import NOTICE

RECORD = "evaluation.json"
CELLS, MISSED = "cells", "missed"


class TableLike(Protocol):
    """`classifiers.evaluation.tables.Table`."""

    @property
    def columns(self) -> tuple[str, ...]: ...

    @property
    def rows(self) -> Sequence[Sequence[str | int | float | bool | None]]: ...


class PictureLike(Protocol):
    """`classifiers.evaluation.galleries.Picture`."""

    @property
    def row(self) -> int: ...

    @property
    def crop(self) -> NDArray[np.uint8]: ...

    @property
    def heat_map(self) -> NDArray[np.float32] | None: ...


def write_record(record: Mapping[str, Any], folder: Path) -> None:
    """Write evaluation.json."""
    text = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    (folder / RECORD).write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")


def write_tables(tables: Mapping[str, TableLike], folder: Path) -> None:
    """Write each table under its name; the last column carries the research-use line."""
    for name, table in tables.items():
        columns = [plain(column) for column in table.columns]
        rows = ({**_row(columns, row), "notice": NOTICE} for row in table.rows)
        (folder / name).write_text(to_csv((*columns, "notice"), rows), encoding="utf-8", errors="backslashreplace", newline="")


def write_pictures(pictures: Iterable[PictureLike], folder: Path, key: str) -> None:
    """Write the cells that the galleries of one model show, or under the key `missed` those that every model misses."""
    (folder / CELLS / key).mkdir(parents=True, exist_ok=True)
    for picture in pictures:
        write_png(folder / crop_file(key, picture.row), picture.crop)
        if picture.heat_map is not None:
            write_png(folder / heat_file(key, picture.row), heat(picture.crop, picture.heat_map))


def crop_file(key: str, row: int) -> str:
    """Return where in the folder the picture of a cell lies."""
    return f"{CELLS}/{key}/{row}.png"


def heat_file(key: str, row: int) -> str:
    """Return where in the folder the heat map of a cell lies."""
    return f"{CELLS}/{key}/{row}-heat.png"


def _row(columns: Sequence[str], row: Sequence[str | int | float | bool | None]) -> dict[str, str]:
    return {name: _text(name, value) for name, value in zip(columns, row, strict=True)}


def _text(name: str, value: str | int | float | bool | None) -> str:
    if isinstance(value, bool) or value is None:
        return yes_no(value)
    if isinstance(value, str):
        return path(value) if name == "file" else plain(value)
    return fraction(value) if isinstance(value, float) else whole(value)
