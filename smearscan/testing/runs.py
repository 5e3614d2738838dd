"""What two runs must have in common."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

TIMED = ("run.json", "index.html", "summary.csv")  # of the whole run; of summary.csv only the column `seconds`


def lasting_results(report: Path) -> dict[str, bytes]:
    """Return the content of every file of a report that must be the same in every run over the same slides.

    Left out are run.json, the batch page with its date, every times.json and the column `seconds` of summary.csv: they
    hold times and facts of the machine, and nothing else may.
    """
    files = {path.relative_to(report).as_posix(): path for path in sorted(report.rglob("*")) if path.is_file()}
    kept = {name: path.read_bytes() for name, path in files.items() if not _is_timed(name)}
    rows = [{**row, "seconds": ""} for row in csv.DictReader(io.StringIO((report / "summary.csv").read_text(encoding="utf-8")))]
    return {**kept, "summary.csv": json.dumps(rows).encode()}


def _is_timed(name: str) -> bool:
    return name in TIMED or name.endswith("/times.json") or name.startswith(".smearscan/")
