"""The start page of three or more reports, each two of which were compared: one table of all, and a link to each comparison."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from smearscan.errors import ConfigError, OutputError
from smearscan.reports.pages import write_page
from smearscan.reports.pages.comparison_page import overview_page
from smearscan.reports.pages.files import PAGE
from smearscan.results import NOTICE

Record = Mapping[str, Any]


def sides_of(records: Sequence[Record]) -> list[Record]:
    """Return what is said of each report, once; nothing where that differs from comparison to comparison.

    It does where one report lacks a slide: what is said of the others is then of other slides in each comparison. The mean
    fraction is made anew, of the slides that have a fraction in every report.
    """
    found: dict[str, dict[str, Any]] = {}
    fractions: dict[str, dict[str, float | None]] = {}
    for record, letter in product(records, "ab"):
        name, side = record[letter]["name"], {**record[letter], "fraction": None}
        if found.setdefault(name, side) != side:
            return []
        fractions[name] = {slide["slide"]: slide[letter]["fraction"] for slide in record["slides"]}
    common = [slide for slide in records[0]["slides"] if all(of.get(slide["slide"]) is not None for of in fractions.values())]
    for name, side in found.items():
        known = [fractions[name][slide["slide"]] or 0.0 for slide in common]
        side["fraction"] = {"slides": len(known), "mean": sum(known) / len(known) if known else None}
    return list(found.values())


def check_overview(out: Path) -> None:
    """Refuse to put the page where somebody else's stands."""
    page = out / PAGE
    if page.is_file() and NOTICE not in page.read_text(encoding="utf-8", errors="replace"):
        raise ConfigError(f"{page} is there already and is no page of smearscan. Give another folder with --out.")


def publish_overview(records: Mapping[str, Record], out: Path) -> None:
    """Write the page; `records` are those of the comparisons by their folders in `out`."""
    try:
        write_page(out, overview_page(sides_of(list(records.values())), records))
    except OSError as error:
        raise OutputError(f"The page {out / PAGE} cannot be written: {error.strerror}.") from error
