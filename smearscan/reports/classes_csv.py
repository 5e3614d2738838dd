"""classes.csv: one row a slide and class, in the order of the card's classes; what a 21-class card is read for.

An excluded class has a number of cells and no fraction: its cells are not in the denominator.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from smearscan.reports.spreadsheet import ends, fraction, path, percent, plain, to_csv, whole

COLUMNS = ("slide", "specimen", "class", "role", "cells", "of_cells", "fraction", "percent", "wilson_low", "wilson_high", "notice")


def classes_csv(records: Iterable[Mapping[str, Any]]) -> str:
    """Return the table of every class of every scanned slide, from the slides' records."""
    scanned = sorted((record for record in records if record["count"]), key=lambda record: str(record["key"]))
    return to_csv(COLUMNS, (_row(record, each) for record in scanned for each in record["count"]["classes"]))


def _row(record: Mapping[str, Any], each: Mapping[str, Any]) -> dict[str, str]:
    return {
        "slide": path(record["key"]),
        "specimen": plain(record["specimen"]),
        "class": plain(each["name"]),
        "role": each["role"],
        "cells": whole(each["cells"]),
        "of_cells": whole(record["count"]["cells"]),
        "fraction": fraction(each["fraction"]),
        "percent": percent(each["fraction"]),
        **ends("wilson", each["wilson"]),
        "notice": record["notice"],
    }
