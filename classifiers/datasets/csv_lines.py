"""Tables beside pictures, read with their faults named."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from pathlib import Path

from classifiers.datasets.base import DatasetError


def read_lines(path: Path, needed: Iterable[str]) -> list[dict[str, str]]:
    """Return the lines of a CSV by column; all `needed` columns are there, and an empty field is ""."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            if missing := sorted(set(needed) - set(reader.fieldnames or ())):
                raise DatasetError(f"{path} has no column {missing[0]!r}. It needs {', '.join(sorted(needed))}.")
            return [{key: (value or "").strip() for key, value in line.items() if isinstance(key, str)} for line in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path} cannot be read as a CSV in UTF-8: {error}.") from error


def read_header(path: Path) -> tuple[str, ...]:
    """Return the column names of a file that may be a CSV; none where it is not."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            return tuple(next(csv.reader(file), []))
    except (OSError, UnicodeDecodeError, csv.Error):
        return ()
