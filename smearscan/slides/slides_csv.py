"""The table that says what files do not: which specimen a slide is of, and its scale."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from smearscan.errors import ConfigError
from smearscan.slides.damage import describe
from smearscan.slides.scale import require_plausible

COLUMNS = ("slide", "specimen", "mpp")


@dataclass(frozen=True)
class SlideRow:
    """One line of the table; None where the cell is empty or the column is not there."""

    slide: str
    specimen: str | None
    mpp: float | None
    line: int


def read_slides_csv(path: Path) -> dict[str, SlideRow]:
    """Read the table by the name in its column `slide`: the slide's key, or its file name.

    Commas or semicolons separate; with semicolons, as spreadsheets of many countries write them, a decimal comma is read too.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read as a table in UTF-8: {describe(error)}.") from error
    lines = text.splitlines()
    header = lines[0] if lines else ""
    delimiter = ";" if ";" in header and "," not in header else ","
    reader = csv.DictReader(lines, delimiter=delimiter, restkey="", strict=True)
    rows: dict[str, SlideRow] = {}
    try:
        _check_header(path, reader.fieldnames or ())
        for record in reader:
            row = _row(path, reader.line_num, record, delimiter)
            if row is None:
                continue
            if row.slide in rows:
                raise ConfigError(f"{path}, line {row.line}: {row.slide!r} is on line {rows[row.slide].line} already. Remove one.")
            rows[row.slide] = row
    except csv.Error as error:
        raise ConfigError(f"{path}, line {reader.line_num + 1}: {error}.") from error
    return rows


def row_of(rows: Mapping[str, SlideRow], key: str) -> SlideRow | None:
    """Return the row of the slide with this key; a row that gives the key wins over one that gives the file name."""
    return rows.get(key) or rows.get(key.rsplit("/", 1)[-1])


def unused_rows(rows: Mapping[str, SlideRow], keys: Iterable[str]) -> tuple[SlideRow, ...]:
    """Return the rows that are of none of these slides: most likely a name is misspelt, and a scale goes unused."""
    used = {id(row_of(rows, key)) for key in keys}
    return tuple(row for row in rows.values() if id(row) not in used)


def _check_header(path: Path, names: object) -> None:
    found = [str(name).strip() for name in names] if isinstance(names, list | tuple) else []
    known = ", ".join(COLUMNS)
    if "slide" not in found:
        raise ConfigError(f"{path}, line 1: there is no column 'slide'. The columns are {known}; the last two may be missing.")
    for name in found:
        if name not in COLUMNS or found.count(name) > 1:
            raise ConfigError(f"{path}, line 1: the column {name!r} is not known or there twice. The columns are {known}.")


def _row(path: Path, line: int, record: Mapping[str | None, object], delimiter: str) -> SlideRow | None:
    cells = {str(name).strip(): (value or "").strip() if isinstance(value, str | None) else value for name, value in record.items()}
    if cells.get(""):
        raise ConfigError(f"{path}, line {line}: there are more cells than columns ({cells['']!r}).")
    slide = str(cells.get("slide", "")).replace("\\", "/").removeprefix("./")
    if not any(cells.values()):
        return None
    if not slide:
        raise ConfigError(f"{path}, line {line}: the cell 'slide' is empty.")
    said = str(cells.get("mpp", ""))
    return SlideRow(slide, str(cells.get("specimen", "")) or None, _mpp(path, line, said, delimiter) if said else None, line)


def _mpp(path: Path, line: int, said: str, delimiter: str) -> float:
    try:
        value = float(said.replace(",", ".") if delimiter == ";" else said)
    except ValueError as error:
        raise ConfigError(f"{path}, line {line}: mpp is {said!r}, which is no number.") from error
    return require_plausible(value, f"{path}, line {line},")
