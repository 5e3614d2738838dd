"""The folder of a comparison, filled beside its place and moved there when it is whole.

index.html          the page             slides/SLIDE/index.html    map and galleries of one slide
comparison.csv      a row a slide        cells.csv                  a row a cell
comparison.json     everything
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from smearscan.compare.comparison import Comparison, SlideCells, SlideComparison, compare
from smearscan.compare.cutting import PictureSource, add_pictures
from smearscan.compare.gallery import link_between, pictures, slide_view
from smearscan.compare.record import comparison_record, slide_record
from smearscan.compare.report_folder import Report
from smearscan.compare.tables import CellRows, comparison_csv
from smearscan.errors import ConfigError, OutputError
from smearscan.labels import Labels
from smearscan.reports.pages import write_page
from smearscan.reports.pages.comparison_page import compared_slide_page, comparison_page
from smearscan.reports.pages.files import href

RECORD, PAGE = "comparison.json", "index.html"


def check_target(out: Path, *reports: Path) -> None:
    """Refuse a place where something else stands, or that holds one of the reports or lies in it; an earlier comparison is replaced."""
    for report in reports:
        if report.resolve() == out.resolve() or out.resolve() in report.resolve().parents:
            raise ConfigError(f"{out} holds the report {report}. Give another folder with --out.")
        if report.resolve() in out.resolve().parents:
            raise ConfigError(f"{out} lies in the report {report}. Give another folder with --out.")
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not (out / RECORD).is_file()):
        raise ConfigError(f"{out} is there already and is no comparison. Give another folder with --out.")


def publish(
    a: Report, b: Report, labels: Labels | None, out: Path, source: PictureSource | None = None
) -> tuple[Comparison, dict[str, Any]]:
    """Compare two reports and put everything at `out`; whoever looks there finds the old comparison or the new one, whole."""
    check_target(out, a.folder, b.folder)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as scratch:
            folder = Path(scratch) / "new"
            folder.mkdir()
            comparison, record = _fill(_Task(a, b, labels, folder, out, source or PictureSource()))
            if out.is_dir():
                out.rename(Path(scratch) / "old")
            folder.rename(out)
    except OSError as error:
        raise OutputError(f"The comparison cannot be written to {out}: {error}.") from error
    return comparison, record


@dataclass(frozen=True)
class _Task:
    """What is written into `folder`, with links as they must be from `out`."""

    a: Report
    b: Report
    labels: Labels | None
    folder: Path
    out: Path
    source: PictureSource


def _fill(task: _Task) -> tuple[Comparison, dict[str, Any]]:
    a, b, folder, out = task.a, task.b, task.folder, task.out
    pages: dict[str, str] = {}
    with (folder / "cells.csv").open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        rows = CellRows(file)

        def visit(slide: SlideComparison, cells: SlideCells | None) -> None:
            if cells is not None and slide.pair.a is not None:
                rows.add(slide, cells)
                place = PurePosixPath(slide.pair.a.record["folder"])
                pages[slide.key] = f"{place}/{PAGE}"
                _write_slide_page(slide, cells, task, place)

        comparison = compare(a, b, task.labels, visit)
    record = comparison_record(comparison)
    (folder / "comparison.csv").write_text(comparison_csv(comparison), encoding="utf-8", errors="backslashreplace", newline="")
    (folder / RECORD).write_text(json.dumps(record, indent=2, sort_keys=True, allow_nan=False) + "\n", encoding="utf-8", newline="\n")
    links = {"a": f"{link_between(out, a.folder)}/{PAGE}", "b": f"{link_between(out, b.folder)}/{PAGE}"}
    cards = {"a": _card_page(a, out), "b": _card_page(b, out)}
    write_page(folder, comparison_page(record, pages, links, cards))
    return comparison, record


def _card_page(report: Report, out: Path) -> str:
    """Return a link to the card of a report's classifier; "" where the report has none."""
    pages = (slide.record.get("card_pages", {}).get("classifier", "") for slide in report.slides.values())
    page = next(filter(None, pages), "")
    return f"{link_between(out, report.folder)}/{href(page)}" if page else ""


def _write_slide_page(slide: SlideComparison, cells: SlideCells, task: _Task, place: PurePosixPath) -> None:
    """Write map and galleries of one slide."""
    if slide.pair.a is None or slide.pair.b is None:
        return
    folder, final = task.folder / place, task.out / place
    folder.mkdir(parents=True)
    view = slide_view(slide, cells, pictures(slide.pair.a, final), pictures(slide.pair.b, final))
    for letter, found, report in (("a", slide.pair.a, task.a), ("b", slide.pair.b, task.b)):
        view["notes"] += add_pictures(view, letter, found, folder, name=report.name, source=task.source)
    home = "../" * len(place.parts) + PAGE
    write_page(folder, compared_slide_page(slide_record(slide), view, (task.a.name, task.b.name), home))
