"""traceback.txt: where the program failed on a slide; for whoever mends it.

It stands in a file of its own because it names the folders of one machine, which slide.json must not.
"""

from __future__ import annotations

from pathlib import Path

from smearscan.reports.base import ReportWriter, SlideReport
from smearscan.results import NotScanned


class TracebackText(ReportWriter):
    """Writes the traceback of a slide that failed by a programming error, and else nothing."""

    name = "traceback"

    def write(self, slide: SlideReport, folder: Path) -> None:
        if isinstance(slide.outcome, NotScanned) and slide.outcome.traceback:
            (folder / "traceback.txt").write_text(slide.outcome.traceback, encoding="utf-8", errors="backslashreplace", newline="\n")
