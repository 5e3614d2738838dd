"""Writes the page of a slide into the slide's folder."""

from __future__ import annotations

from pathlib import Path

from smearscan.reports.base import ReportWriter, SlideReport
from smearscan.reports.cell_table import CellTable
from smearscan.reports.pages.files import PAGE, find_files
from smearscan.reports.pages.map_pictures import write_map
from smearscan.reports.pages.slide_page import slide_page
from smearscan.reports.slide_json import slide_record
from smearscan.results import Scanned


class SlidePage(ReportWriter):
    """Writes index.html, and the pictures of the whole slide; runs after all writers whose files the page links."""

    name = "page"

    def write(self, slide: SlideReport, folder: Path) -> None:
        outcome = slide.outcome
        scanned = isinstance(outcome, Scanned)
        if isinstance(outcome, Scanned) and outcome.slide_map is not None:
            write_map(outcome.slide_map, folder)
        cells = CellTable.from_scanned(slide) if scanned else None
        write_page(folder, slide_page(slide_record(slide), cells, find_files(folder)))


def write_page(folder: Path, page: str) -> None:
    """Write a page; a name that is no text stays legible."""
    (folder / PAGE).write_text(page, encoding="utf-8", errors="backslashreplace", newline="\n")
