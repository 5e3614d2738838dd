"""The page of a whole run: every slide in one table, those that want attention first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from smearscan.reports.pages import figures, wording
from smearscan.reports.pages.files import PAGE, THUMBNAIL, href
from smearscan.reports.pages.templating import render

VERDICT_AT: Final = 0.20
ATTENTION: Final = ("not scanned", "above", "indeterminate", "insufficient", "below")  # worst first
TABLES: Final = {
    "summary.csv": "all numbers of every slide",
    "specimens.csv": "slides of one specimen together",
    "classes.csv": "every class of every slide",
    "run.json": "arguments, versions and times",
}


@dataclass(frozen=True)
class Row:
    """One slide in the table."""

    record: Mapping[str, Any]
    rank: int  # in ATTENTION
    verdict: str
    page: str  # links, "" where there is nothing
    thumbnail: str

    @property
    def count(self) -> Any:
        return self.record["count"]


def batch_page(records: Iterable[Mapping[str, Any]], *, date: str = "", tables: Iterable[str] = TABLES) -> str:
    """Return index.html of a report from its slides' records, as the ledger returns them.

    `date` is the one thing on the page that differs between equal runs; `tables` are the files beside it.
    """
    records = sorted(records, key=lambda record: str(record["key"]))
    threshold = _threshold(records)
    rows = sorted((_row(record, threshold) for record in records), key=_worst_first)
    statuses = Counter(row.record["status"] for row in rows)
    return render(
        "batch.html.j2",
        "batch.js",
        {},
        rows=rows,
        date=date,
        threshold=threshold,
        statuses={status: statuses[status] for status in wording.STATUS if statuses[status]},
        verdicts={name: count for name in ATTENTION if (count := sum(ATTENTION[row.rank] == name for row in rows))},
        counts=_counts(rows),
        models=_models(records),
        summaries=sorted({each["classifier"]["summary"] for each in records if each["classifier"]["summary"]}),
        tables=[(name, TABLES.get(name, "")) for name in tables],
        dots=figures.strip([row.record for row in rows]),
        root=figures.root_percent,
        ticks=figures.TICKS,
        windows=any(row.count and row.count["windows"] for row in rows),
    )


def _row(record: Mapping[str, Any], threshold: float) -> Row:
    count = record["count"]
    found = wording.decisive_verdict(count, threshold) if count else None
    verdict = "not scanned" if count is None else str(found["verdict"]) if found else "insufficient"
    folder, files = record.get("folder", ""), record.get("files", {})
    page, thumbnail = (href(f"{folder}/{name}") if folder and name in files else "" for name in (PAGE, THUMBNAIL))
    return Row(record, ATTENTION.index(verdict), verdict, page, thumbnail)


def _worst_first(row: Row) -> tuple[int, float, str]:
    low = row.count["wilson"]["low"] if row.count and row.count["wilson"] else 0.0
    return row.rank, -low, str(row.record["key"])


def _threshold(records: Iterable[Mapping[str, Any]]) -> float:
    """Return the threshold whose verdict the table shows: 20 %, or the highest one of a run without it."""
    asked = {each["threshold"] for record in records if record["count"] for each in record["count"]["verdicts"]}
    return VERDICT_AT if VERDICT_AT in asked or not asked else max(asked)


def _counts(rows: Iterable[Row]) -> Mapping[str, int]:
    counts = Counter("partial" if row.record["status"] == "partial" else "scanned" if row.count else "not scanned" for row in rows)
    return {name: counts[name] for name in ("scanned", "partial", "not scanned")}


def _models(records: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[tuple[str, str, str]]]]:
    """Return the models of the run by what they do, each with its name, the first digits of its digest and its card's page."""
    return [(kind, _of_kind(records, kind)) for kind in ("classifier", "detector")]


def _of_kind(records: Sequence[Mapping[str, Any]], kind: str) -> list[tuple[str, str, str]]:
    pages: dict[tuple[str, str], str] = {}
    for record in records:
        model = wording.model_name(record[kind]), record[kind]["sha256"][:12]
        pages[model] = pages.get(model) or record.get("card_pages", {}).get(kind, "")  # a slide of an earlier version knows of none
    return [(*model, href(page)) for model, page in sorted(pages.items())]
