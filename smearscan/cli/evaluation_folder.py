"""The folder of an evaluation, written beside its place and moved there when it is whole."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smearscan.errors import ConfigError, OutputError
from smearscan.reports.evaluation_files import MISSED, RECORD, write_pictures, write_record, write_tables

if TYPE_CHECKING:
    from classifiers.evaluation.report import Report


def check_target(out: Path) -> None:
    """Refuse a place where something else stands; an earlier evaluation is replaced."""
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not (out / RECORD).is_file()):
        raise ConfigError(f"{out} is there already and is no evaluation. Give another folder with --out.")


def publish(report: Report, record: Mapping[str, Any], out: Path) -> None:
    """Write everything of an evaluation to `out`; whoever looks there finds the old one or the new one, whole."""
    from classifiers.evaluation.plots import write_plots
    from classifiers.evaluation.tables import tables
    from smearscan.reports.pages import write_page
    from smearscan.reports.pages.evaluation_page import evaluation_page

    check_target(out)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as scratch:
            folder = Path(scratch) / "new"
            folder.mkdir()
            write_tables(tables(report), folder)
            write_plots(report, folder)
            for model in report.models:
                write_pictures(model.pictures.values(), folder, model.key)
            if report.missed:
                write_pictures(report.missed, folder, MISSED)
            write_record(record, folder)
            write_page(folder, evaluation_page(record))
            if out.is_dir():
                out.rename(Path(scratch) / "old")
            folder.rename(out)
    except OSError as error:
        raise OutputError(f"The evaluation cannot be written to {out}: {error}.") from error
