"""The tables of a whole run, made from its slides' records: by a run as it goes on, and again without any slide."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from smearscan import reports
from smearscan.counting import explain_specimen, sum_counts
from smearscan.ledger import Ledger

Records: TypeAlias = Mapping[str, Mapping[str, Any]]  # slide.json of every slide of the run, by key


def write_slides(book: Ledger, records: Records, rows: Iterable[Mapping[str, str]]) -> None:
    """Write the tables that grow with every slide; `rows` are those of summary.csv, kept while further slides come in."""
    book.write("summary.csv", reports.summary_csv(rows))
    book.write("classes.csv", reports.classes_csv(records.values()))


def write_specimens(book: Ledger, records: Records) -> None:
    """Write the table that needs all slides of a specimen."""
    book.write("specimens.csv", reports.specimens_csv(specimens(records)))


def specimens(records: Records) -> list[reports.SpecimenReport]:
    """Return every specimen of a run with the sum of its slides, sorted by name."""
    slides: dict[str, list[str]] = {}
    for key, record in sorted(records.items()):
        slides.setdefault(record["specimen"], []).append(key)
    return [_specimen(name, keys, records) for name, keys in sorted(slides.items())]


def _specimen(name: str, keys: Sequence[str], records: Records) -> reports.SpecimenReport:
    counts = {key: count for key in keys if (count := reports.count_of(records[key])) is not None}
    # Slides of one run were scanned with the same card: a slide of another is scanned again.
    total = sum_counts(list(counts.values()), reports.card_of(records[next(iter(counts))])) if counts else None
    missing = tuple(key for key in keys if key not in counts)
    return reports.SpecimenReport(name, tuple(counts), missing, total, explain_specimen(counts))


def write_index(book: Ledger, records: Records, started: str) -> None:
    """Write the page of the whole run; `started` is when the run began, in ISO form."""
    from smearscan.reports.pages import batch_page

    book.write("index.html", batch_page(records.values(), date=started))
