"""summary.csv: one row a slide of this run, also of those that were not scanned, sorted by slide.

The columns up to `notice` always stand first and in this order. After them come further numbers; after those, one
column for each reason, threshold or part of the slide that occurs in the run, by name. `seconds` is the one column
that differs from run to run. A slide that lies in the report folder but is no longer in the input has no row.

`slide` is the path below the input, `folder` where its results are. They differ where the name would not work on
every system (see `smearscan.ledger.folders`); and a name that begins like a formula is written with "./" in front.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any

from smearscan.reports import count_columns
from smearscan.reports.spreadsheet import fraction, number, path, plain, to_csv, whole

# fmt: off
COLUMNS = (
    "slide", "specimen", "status", "reason", *count_columns.FIRST, "mpp", "mpp_source", "width", "height", "area_mm2",
    "unreadable_fraction", "flagged", "overlays", "seconds", "classifier", "classifier_sha256", "detector", "detector_sha256", "notice",
    "folder", "flags", "notes", *count_columns.FURTHER, "area_total_mm2", "scanned_fraction", "tiles",
    "red_cell_mpp", "red_cell_spread", "stain_nuclei",
)
# fmt: on
REASONS = ("excluded_", "area_mm2_", "tiles_")  # a scanned slide that lacks one of these has none of it: 0


def summary_row(record: Mapping[str, Any], seconds: float | None) -> dict[str, str]:
    """Return one slide's row, from its record and the time it took."""
    info = record["info"] or {}
    return {
        "slide": path(record["key"]),
        "specimen": plain(record["specimen"]),
        "status": record["status"],
        "reason": plain(record["reason"]),
        **(count_columns.columns_of(record["count"]) if record["count"] else {}),
        "mpp": number(info.get("mpp"), 6),
        "mpp_source": info.get("mpp_source") or "",
        "red_cell_mpp": number(info.get("red_cell_mpp"), 6),
        "red_cell_spread": fraction(info.get("red_cell_spread")),
        "stain_nuclei": whole((info.get("staining") or {}).get("nuclei")),
        "width": whole(info.get("width")),
        "height": whole(info.get("height")),
        **(_area_columns(record["area"]) if record["area"] else {}),
        "flagged": whole(record["flagged"]),
        "overlays": whole(record["overlays"]),
        "seconds": number(seconds, 1),
        "classifier": plain(record["classifier"]["name"]),
        "classifier_sha256": record["classifier"]["sha256"],
        "detector": plain(record["detector"]["name"]),
        "detector_sha256": record["detector"]["sha256"],
        "notice": record["notice"],
        "folder": path(record.get("folder", "")),
        "flags": plain(" ".join(record["flags"])),
        "notes": plain(" ".join(info.get("notes", ()))),
    }


def summary_csv(rows: Iterable[Mapping[str, str]]) -> str:
    """Return the table of the rows, which `summary_row` made; rows can be kept while further slides come in."""
    return table(rows, COLUMNS, sort_by="slide")


def table(rows: Iterable[Mapping[str, str]], columns: Sequence[str], sort_by: str) -> str:
    """Return rows with the given columns first and whatever else they hold after them, by name."""
    ordered = sorted(rows, key=lambda row: row[sort_by])
    others = sorted(set(chain.from_iterable(ordered)) - set(columns))
    zeros = {name: "0" for name in others if name.startswith(REASONS)}
    return to_csv([*columns, *others], [{**zeros, **row} if row.get("cells") else row for row in ordered])


def _area_columns(area: Mapping[str, Any]) -> dict[str, str]:
    columns = {
        "unreadable_fraction": fraction(area["unreadable_fraction"]),
        "scanned_fraction": fraction(area["scanned"] / area["total"] if area["total"] else None),
        "tiles": whole(area["tiles"]),
        **{f"tiles_{reason}": whole(tiles) for reason, tiles in area["tiles_by_reason"].items()},
    }
    if area["unit"] == "mm2":
        columns |= {"area_mm2": number(area["scanned"], 4), "area_total_mm2": number(area["total"], 4)}
        columns |= {f"area_mm2_{reason}": number(left_out, 4) for reason, left_out in area["by_reason"].items()}
    return columns
