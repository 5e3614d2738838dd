"""The folder of an explanation: a sheet a cell, what the gallery shows, and the numbers for others to compute with.

| file | what |
|---|---|
| sheets/NUMBER-NAME.png | one cell: crop, maps, overlays, colour bars, scores |
| activations/NUMBER-NAME-LAYER.png | what channels of a layer answer to it |
| cells/NUMBER.png, cells/NUMBER-VIEW.png | the crop, and each view's map on it, for the page |
| explanations.csv | one row a cell and view |
| maps.npz | the maps as numbers, by view: (cells, height, width), in the rows' order; and the crops |
| explanations.json | everything on the page, for programs |
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from smearscan.reports import spreadsheet
from smearscan.reports.explanation_sheet import overlay
from smearscan.reports.overlay_pictures import write_png
from smearscan.results import NOTICE, Picture

RECORD, TABLE, MAPS = "explanations.json", "explanations.csv", "maps.npz"
SHEETS, ACTIVATIONS, CELLS = "sheets", "activations", "cells"
NOT_IN_A_NAME: Final = re.compile(r"[^\w.+-]+")  # of a file, on any system
LONGEST: Final = 60  # characters of a cell's name that go into the names of its files
COLUMNS: Final = (
    *("number", "cell", "source", "label", "wrong", "called", "p_blast", "threshold", "explained", "p_explained", "method", "layer"),
    *("signed", "largest", "fit", "p_hidden", "share_inside", "cell_share", "sheet", "map"),
)


def file_stem(number: int, name: str) -> str:
    """Return what a cell's files are called: its number, and as much of its name as any system takes."""
    short = NOT_IN_A_NAME.sub("-", Path(name).with_suffix("").as_posix() if "." in name else name).strip("-.")
    return f"{number:04d}-{short[-LONGEST:]}".rstrip("-")


def crop_file(number: int) -> str:
    return f"{CELLS}/{number:04d}.png"


def overlay_file(number: int, view: int) -> str:
    return f"{CELLS}/{number:04d}-{view}.png"


def write_tiles(folder: Path, number: int, crop: Picture, maps: Sequence[tuple[NDArray[np.float32], bool]]) -> None:
    """Write what the gallery shows of one cell: its crop, and each map, (values, signed), on it."""
    (folder / CELLS).mkdir(exist_ok=True)
    write_png(folder / crop_file(number), crop)
    for view, (values, signed) in enumerate(maps):
        write_png(folder / overlay_file(number, view), overlay(crop, values, signed=signed))


def write_sheet(folder: Path, name: str, sheet: Picture) -> None:
    """Write a sheet under its name in the folder."""
    (folder / name).parent.mkdir(exist_ok=True)
    write_png(folder / name, sheet)


def write_maps(folder: Path, maps: Mapping[str, NDArray[np.float32]], crops: NDArray[np.uint8]) -> None:
    """Write maps.npz; numpy gives its parts one date, so the same maps are the same bytes."""
    content = io.BytesIO()
    np.savez_compressed(content, allow_pickle=False, crops=crops, **{name: values.astype(np.float32) for name, values in maps.items()})
    (folder / MAPS).write_bytes(content.getvalue())


def write_table(folder: Path, rows: Iterable[Mapping[str, str | float | bool | int | None]]) -> None:
    """Write explanations.csv; the last column carries the research-use line."""
    with (folder / TABLE).open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*COLUMNS, "notice"])
        writer.writerows([*(_text(row[name]) for name in COLUMNS), NOTICE] for row in rows)


def write_record(folder: Path, record: Mapping[str, Any]) -> None:
    """Write explanations.json."""
    text = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    (folder / RECORD).write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")


def _text(value: str | float | bool | int | None) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return spreadsheet.yes_no(value)
    if isinstance(value, float):
        return f"{value:.6f}"
    return spreadsheet.path(value) if isinstance(value, str) else str(value)
