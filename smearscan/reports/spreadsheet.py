"""CSV that any reader takes and that is harmless in a spreadsheet.

UTF-8 without a mark, "\\n", a missing value is an empty field. A spreadsheet runs a field that begins with =, +, - or @
as a formula, also one that came from a file's name. So text that begins like that gets a ' in front, as spreadsheets
themselves mark text, and a path gets "./", which leaves it the same path: joins on file names still work.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

FORMULA = tuple("=+-@\t\r\n＝＋－＠")
CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def to_csv(columns: Sequence[str], rows: Iterable[Mapping[str, str]]) -> str:
    """Return a table as text; a column that a row lacks is empty there."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def plain(text: str) -> str:
    """Return text on one line that no spreadsheet takes for a formula."""
    line = CONTROL.sub(" ", text)
    return "'" + line if text.startswith(FORMULA) else line


def path(text: str) -> str:
    """Return a relative path that no spreadsheet takes for a formula; control characters as in the slide's folder: %0A."""
    line = CONTROL.sub(lambda found: f"%{ord(found[0]):02X}", text)
    return "./" + line if text.startswith(FORMULA) else line


def fraction(value: float | None) -> str:
    """Return a share in [0, 1]."""
    return "" if value is None else f"{value:.6f}"


def percent(value: float | None) -> str:
    """Return a share in percent, for the columns named so."""
    return "" if value is None else f"{100 * value:.2f}"


def number(value: float | None, decimals: int) -> str:
    return "" if value is None else f"{value:.{decimals}f}"


def ends(name: str, interval: Mapping[str, Any] | None) -> dict[str, str]:
    """Return an interval as two columns."""
    return {f"{name}_{end}": fraction(interval[end]) if interval else "" for end in ("low", "high")}


def whole(value: int | None) -> str:
    return "" if value is None else str(value)


def yes_no(value: bool | None) -> str:
    return "" if value is None else str(int(value))
