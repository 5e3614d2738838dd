"""The columns that a slide's row and a specimen's row have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from smearscan.reports.spreadsheet import ends, fraction, number, percent, plain, whole, yes_no

# fmt: off
FIRST = (
    "proposals", "cells", "excluded", "blasts", "blast_fraction", "blast_percent", "wilson_low", "wilson_high", "exact_low", "exact_high",
    "deff", "adjusted_fraction", "adjusted_low", "adjusted_high", "adjustment", "cells_band", "verdict_1", "verdict_5", "verdict_10",
    "verdict_20", "window_fraction",
)  # what everybody looks at, in this order
FURTHER = (
    "duplicates", "verdict_basis", "deff_note", "clustered_low", "clustered_high", "adjusted_unclipped", "adjusted_clipped",
    "limit_of_blank", "limit_of_blank_note", "below_limit_of_blank", "no_blast_upper", "mean_probability", "heterogeneity",
    "window_size", "window_step", "windows", "blast_windows", "nucleus_windows", "blast_nucleus_windows", "nucleus_window_fraction",
    "overlap_factor",
)
# fmt: on


def columns_of(count: Mapping[str, Any]) -> dict[str, str]:
    """Return a count, as slide.json has it, as columns."""
    adjusted = count["adjusted"]
    return {
        "proposals": whole(count["proposals"]),
        "cells": whole(count["cells"]),
        "excluded": whole(sum(count["excluded"].values())),
        "blasts": whole(count["blasts"]),
        "blast_fraction": fraction(count["fraction"]),
        "blast_percent": percent(count["fraction"]),
        **ends("wilson", count["wilson"]),
        **ends("exact", count["exact"]),
        "deff": number(count["deff"], 4),
        "deff_note": plain(count["deff_note"]),
        **ends("clustered", count["clustered"]),
        "adjusted_fraction": fraction(adjusted["fraction"]),
        **ends("adjusted", adjusted["interval"]),
        "adjustment": plain(adjusted["method"]),
        "adjusted_unclipped": fraction(adjusted["unclipped"]),
        "adjusted_clipped": yes_no(adjusted["clipped"] if adjusted["fraction"] is not None else None),
        "cells_band": count["band"],
        "verdict_basis": plain(count["verdict_basis"]),
        **{f"verdict_{percents(each['threshold'])}": each["verdict"] for each in count["verdicts"]},
        **{f"probability_{percents(each['threshold'])}": fraction(each["probability"]) for each in count["verdicts"]},
        "limit_of_blank": fraction(count["limit_of_blank"]),
        "limit_of_blank_note": plain(count["limit_of_blank_note"]),
        "below_limit_of_blank": yes_no(count["below_limit_of_blank"]),
        "no_blast_upper": fraction(count["no_blast_upper"]),
        "mean_probability": fraction(count["mean_probability"]),
        "heterogeneity": number(count["heterogeneity"], 4),
        "duplicates": whole(count["duplicates"]),
        **{f"excluded_{plain(reason)}": whole(cells) for reason, cells in count["excluded"].items()},
        **_window_columns(count["windows"]),
    }


def percents(threshold: float) -> str:
    """Return a threshold as it stands in a column's name: 0.05 is "5"."""
    return f"{100 * threshold:g}"


def _window_columns(windows: Mapping[str, Any] | None) -> dict[str, str]:
    if windows is None:
        return {}
    return {
        "window_fraction": fraction(windows["window_fraction"]),
        "window_size": whole(windows["size"]),
        "window_step": whole(windows["step"]),
        "windows": whole(windows["windows"]),
        "blast_windows": whole(windows["blast_windows"]),
        "nucleus_windows": whole(windows["nucleus_windows"]),
        "blast_nucleus_windows": whole(windows["blast_nucleus_windows"]),
        "nucleus_window_fraction": fraction(windows["nucleus_window_fraction"]),
        "overlap_factor": number(windows["overlap_factor"], 4),
    }
