"""The truth of a drawn smear, and the table that carries it."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from smearscan.errors import ConfigError, OutputError

COLUMNS = ("x", "y", "diameter", "class")
NOT_WHITE_CELLS = ("smudge", "debris")  # neither a hit nor a miss: whoever measures recall and precision leaves them out


@dataclass(frozen=True)
class TruthCell:
    """One object of a smear: its centre and diameter in level-0 pixels, and what it is."""

    x: float
    y: float
    diameter: float
    kind: str

    @property
    def is_white_cell(self) -> bool:
        """Whether it counts: a smudge cell and debris are listed, so that finding them is no error, but are no cells."""
        return self.kind not in NOT_WHITE_CELLS

    @property
    def box(self) -> tuple[float, float, float, float]:
        half = self.diameter / 2
        return (self.x - half, self.y - half, self.x + half, self.y + half)


def truth_path(slide: Path) -> Path:
    """Return where the truth of a drawn slide lies: `night/a.tif` -> `night/a.truth.csv`."""
    return slide.with_name(slide.stem + ".truth.csv")


def origins_path(slide: Path) -> Path:
    """Return where a composed slide says which picture each cell was cut out of: `night/a.tif` -> `night/a.origins.csv`."""
    return slide.with_name(slide.stem + ".origins.csv")


def write_origins(cells: Sequence[TruthCell], origins: Sequence[Mapping[str, str]], path: Path) -> None:
    """Write the truth once more, with the columns that say where each object comes from."""
    names = list(dict.fromkeys(name for origin in origins for name in origin))
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow([*COLUMNS, *names])
            for cell, origin in zip(cells, origins, strict=True):
                writer.writerow([*_row(cell), *(origin.get(name, "") for name in names)])
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}.") from error


def _row(cell: TruthCell) -> tuple[str, str, str, str]:
    return (f"{cell.x:.1f}", f"{cell.y:.1f}", f"{cell.diameter:.2f}", cell.kind)


def write_truth(cells: Iterable[TruthCell], path: Path) -> None:
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows(_row(cell) for cell in cells)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror or error}.") from error


def read_truth(path: Path) -> list[TruthCell]:
    """Read a truth table; raises ConfigError with the line that is wrong."""
    cells = []
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = csv.reader(file)
            if tuple(next(rows, ())) != COLUMNS:
                raise ConfigError(f"{path} is no truth table: its first line must be {','.join(COLUMNS)}.")
            for row in rows:
                x, y, diameter, kind = row
                cells.append(TruthCell(float(x), float(y), float(diameter), kind))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}.") from error
    except ValueError as error:
        raise ConfigError(f"{path}, line {len(cells) + 2}: {error}; a line is {','.join(COLUMNS)}.") from error
    return cells
