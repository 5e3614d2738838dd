"""specimens.csv: the slides of one specimen together, one row a specimen, sorted by name.

A specimen whose slides were not all scanned says so: its numbers are those of the slides that were.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from smearscan.reports import count_columns
from smearscan.reports.slide_json import rounded
from smearscan.reports.spreadsheet import path, plain, whole
from smearscan.reports.summary_csv import table
from smearscan.results import NOTICE, SlideCount

COLUMNS = (
    *("specimen", "slides", "slides_scanned", "slides_not_scanned", "not_scanned"),
    *(*count_columns.FIRST, "flags", "notice", *count_columns.FURTHER),
)


@dataclass(frozen=True)
class SpecimenReport:
    """One specimen: which slides it has, and their sum."""

    specimen: str
    scanned: tuple[str, ...]  # keys
    not_scanned: tuple[str, ...]
    count: SlideCount | None  # of the scanned slides together; None where none was
    flags: tuple[str, ...] = ()


def specimens_csv(specimens: Iterable[SpecimenReport]) -> str:
    """Return the table of all specimens."""
    return table((_row(each) for each in specimens), COLUMNS, sort_by="specimen")


def _row(each: SpecimenReport) -> dict[str, str]:
    return {
        "specimen": plain(each.specimen),
        "slides": whole(len(each.scanned) + len(each.not_scanned)),
        "slides_scanned": whole(len(each.scanned)),
        "slides_not_scanned": whole(len(each.not_scanned)),
        "not_scanned": " ".join(path(key) for key in sorted(each.not_scanned)),
        **(count_columns.columns_of(rounded(each.count)) if each.count else {}),
        "flags": plain(" ".join(each.flags)),
        "notice": NOTICE,
    }
