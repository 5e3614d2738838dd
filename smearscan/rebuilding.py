"""A report made again from what a run left of each slide: tables, exports and pages, without a model or a slide.

    slides/*/{slide.json, cells.csv, times.json}  ─▶  cells.geojson.gz, index.html beside them
    all slide.json, run.json                      ─▶  summary.csv, classes.csv, specimens.csv, index.html
    models/*/card.json                            ─▶  index.html beside it

What is made of the slides' pixels or of every window's score (overlays, the map of the smear, the score map) stays as
it is; where it is gone, that is said, and the next run over the slides scans those again.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

from smearscan import reports, tables
from smearscan.errors import ConfigError, OutputError
from smearscan.ledger import Ledger, is_report, read_records
from smearscan.ledger.disk import read_json
from smearscan.models import card_files
from smearscan.models.shelf import CARD
from smearscan.reports.spreadsheet import path as path_in_table

STOPPED = "stopped"  # a slide that the run did not reach: its record is in run.json, for nothing is published of it
AFTER_PAGE = {"slide.json", "times.json", "index.html"}  # not there yet when a run writes a slide's page, so it shows none of them
LEDGERS = {"format", "folder", "files"}  # what the ledger adds to a record
KINDS = {"overlays": "overlays", "scores.zarr": "score maps", "map.png": "maps", "map-areas.png": "maps", "thumbnail.jpg": "thumbnails"}


@dataclass
class Rebuilt:
    """What was done, and what would need the slides."""

    records: dict[str, Mapping[str, Any]] = field(default_factory=dict)  # of every slide of the run
    replaced: list[str] = field(default_factory=list)  # files of slides that were missing or different
    problems: list[str] = field(default_factory=list)  # sentences about single slides
    lost: dict[str, int] = field(default_factory=dict)  # kind of file -> slides that had it

    @property
    def missing(self) -> list[str]:
        """Return what could not be made again, in sentences."""
        scanned = sum(record["count"] is not None for record in self.records.values())
        gone = [f"{kind} of {slides} of {scanned} slides are missing: run again with the slides." for kind, slides in self.lost.items()]
        return [*self.problems, *(f"{sentence[:1].upper()}{sentence[1:]}" for sentence in gone)]


def rebuild(out: Path) -> Rebuilt:
    """Write everything in a report folder again that needs neither a slide nor a model."""
    found = read_records(out) if out.is_dir() else {}
    if not found and not is_report(out):
        raise ConfigError(f"{out} is no smearscan report: name the folder that was given to `smearscan run --out`.")
    facts = read_json(out / "run.json") or {}
    with Ledger(out, found) as book:
        rebuilt = Rebuilt()
        times = {}
        for key in _slides_of_run(found, facts, out):
            ran = facts.get("slides", {}).get(key, {})
            if key in found and not _was_stopped(key, ran, out):
                rebuilt.records[key] = _rebuild_slide(book, found[key], rebuilt)
                times[key] = (read_json(out / found[key]["folder"] / "times.json") or {}).get("total")
            elif "record" in ran:
                rebuilt.records[key] = ran["record"]
                times[key] = ran.get("times", {}).get("total")
            else:
                rebuilt.problems.append(f"The results of {key} are gone: run again with the slide.")
        rows = [reports.summary_row(record, times[key]) for key, record in rebuilt.records.items()]
        tables.write_slides(book, rebuilt.records, rows)
        _rebuild_cards(book, rebuilt)
        tables.write_specimens(book, rebuilt.records)
        tables.write_index(book, rebuilt.records, str(facts.get("started") or ""))
    return rebuilt


def _rebuild_cards(book: Ledger, rebuilt: Rebuilt) -> None:
    """Write the pages of the models' cards again from the cards that lie beside them."""
    named = {(page, kind) for record in rebuilt.records.values() for kind, page in record.get("card_pages", {}).items()}
    for page, kind in sorted(named):
        folder = (book.out / PurePosixPath(page)).parent
        if (folder / CARD).is_file():
            book.write(page, card_files.again(folder, kind))
        else:
            rebuilt.problems.append(f"The card of the {kind} in {folder.name} is gone: run again with the slides.")


def _slides_of_run(found: Iterable[str], facts: Mapping[str, Any], out: Path) -> list[str]:
    """Return the keys of the slides that the last run had: what lies in the folder of an earlier input is not in its tables.

    A run that was killed has noted the slides it did in summary.csv and none in run.json, so both count.
    """
    listed = _statuses(out)
    return sorted({*facts.get("slides", ()), *(key for key in found if path_in_table(key) in listed)} or found)


def _was_stopped(key: str, ran: Mapping[str, Any], out: Path) -> bool:
    """Return whether the last run stopped before this slide, whatever an earlier run has published of it."""
    return ran.get("status") == STOPPED and _statuses(out).get(path_in_table(key), STOPPED) == STOPPED


def _statuses(out: Path) -> dict[str, str]:
    """Return the status of every slide in summary.csv, by what stands in its column `slide`."""
    try:
        with (out / "summary.csv").open(encoding="utf-8", newline="") as file:
            return {row["slide"]: row["status"] for row in csv.DictReader(file) if row.get("slide") and row.get("status")}
    except (FileNotFoundError, UnicodeDecodeError, csv.Error):
        return {}


def _rebuild_slide(book: Ledger, record: Mapping[str, Any], rebuilt: Rebuilt) -> Mapping[str, Any]:
    """Write a slide's exports and page again; return its record with the files as they are now."""
    folder = book.out / PurePosixPath(record["folder"])
    cells = None
    if record["count"] is not None:
        try:
            cells = reports.CellTable.from_csv(folder / "cells.csv", record["classifier"]["classes"])
        except OutputError as error:
            rebuilt.problems.append(f"{record['key']}: {error}")
            return record
    exports = ("geojson",) if cells is not None else ()
    changed, replaced = book.refresh(record, lambda staged: _fill(staged, folder, record, cells), exports)
    rebuilt.replaced += [f"{record['folder']}/{name}" for name in replaced]
    for kind in sorted(_lost(folder, changed)):
        rebuilt.lost[kind] = rebuilt.lost.get(kind, 0) + 1
    return changed


def _fill(staged: Path, folder: Path, record: Mapping[str, Any], cells: reports.CellTable | None) -> None:
    from smearscan.reports import pages

    if cells is not None:
        reports.write_geojson(cells, record, staged)
    there, fresh = pages.find_files(folder), pages.find_files(staged)
    files = replace(there, names=(there.names | fresh.names) - AFTER_PAGE)
    known = {name: value for name, value in record.items() if name not in LEDGERS}
    pages.write_page(staged, pages.slide_page(known, cells, files))


def _lost(folder: Path, record: Mapping[str, Any]) -> set[str]:
    """Return the kinds of files that a run wrote of a slide and that are gone."""
    gone = {PurePosixPath(name).parts[0] for name in record["files"] if not (folder / name).is_file()}
    return {KINDS.get(name, name) for name in gone}
