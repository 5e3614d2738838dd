"""The pages of a comparison: one of all slides, and one a slide with its map and the cells that the two reports disagree on.

Of three or more reports each two have such pages, and one page leads to all of them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from smearscan.percentages import percent
from smearscan.reports.pages.figures import scale_bar
from smearscan.reports.pages.files import href
from smearscan.reports.pages.templating import render

FILES: Final = {
    "comparison.csv": "all numbers of every slide",
    "cells.csv": "every cell: both, only A, only B",
    "comparison.json": "everything on this page, for programs",
}
TICKS: Final = (0.0, 0.01, 0.05, 0.1, 0.2, 0.5, 1.0)
SIDE: Final = 100.0  # of a plot, in its own units
GALLERIES: Final = ("changed", "only_a", "only_b")
NOT_NOTED: Final = "the run did not note it"

Record = Mapping[str, Any]
Text = tuple[str, str]  # what is shown, "" where there is nothing, and then why


@dataclass(frozen=True)
class Point:
    """One slide in a plot, 0 to 100 from the left and from the bottom, with the ends of its intervals where it has any."""

    slide: str
    page: str
    x: float
    y: float
    text: str
    across: tuple[float, float] | None = None
    up: tuple[float, float] | None = None


def comparison_page(record: Record, pages: Mapping[str, str], links: Mapping[str, str], cards: Mapping[str, str] | None = None) -> str:
    """Return index.html of a comparison from its record; `pages` are those of its slides.

    `links` lead to both reports, `cards` to those of their classifiers where they have one.
    """
    return render(
        "comparison.html.j2",
        "comparison.js",
        {},
        more_style="comparison.css",
        record=record,
        a=record["a"]["name"],
        b=record["b"]["name"],
        links=links,
        cards={"a": "", "b": "", **(cards or {})},
        pages={key: href(page) for key, page in pages.items()},
        rows=mode_rows([record["a"], record["b"]]),
        scatter=_scatter(record, pages),
        bland_altman=_bland_altman(record, pages),
        ticks=[(tick, _root(tick)) for tick in TICKS],
        sizes=_sizes(record),
        files=FILES,
        points=points,
        share=share,
    )


def overview_page(sides: Sequence[Record], records: Mapping[str, Record]) -> str:
    """Return index.html of several comparisons by their folders; `sides` are their reports, none where they have no one table."""
    reports = {record[letter]["name"]: record[letter] for record in records.values() for letter in "ab"}
    return render(
        "comparisons.html.j2",
        "not_scanned.js",
        {},
        more_style="comparison.css",
        reports_by_name=reports,
        rows=mode_rows(sides) if sides else [],
        records=records,
        slides=max(len(record["slides"]) for record in records.values()),
    )


def compared_slide_page(slide: Record, view: Record, names: Sequence[str], home: str) -> str:
    """Return index.html of one compared slide; `view` holds its galleries, map and links."""
    dots = view["map"]
    return render(
        "compared_slide.html.j2",
        "compared_slide.js",
        dots,
        more_style="comparison.css",
        slide=slide,
        view=view,
        a=names[0],
        b=names[1],
        home=home,
        galleries=GALLERIES,
        bar=scale_bar(dots["width"], dots["mpp"]),
        share=share,
        points=points,
    )


def mode_rows(sides: Sequence[Record]) -> list[tuple[str, tuple[Text, ...]]]:
    """Return the table of the reports that were compared: what, and of each the number or why there is none."""
    rows: list[tuple[str, Callable[[Record], Text]]] = [
        ("Slides scanned", lambda side: (f"{side['scanned']:,} of {side['slides']:,}", "")),
        ("Cells", lambda side: (f"{side['cells']:,}", "")),
        ("Blasts", lambda side: (f"{side['blasts']:,}", "")),
        (_mean_label(sides[0]["fraction"]["slides"]), _mean_fraction),
    ]
    if any(side["truth"] for side in sides):
        rows += [
            (f"{label}, {what}", partial(_rate, of, name))
            for of, what in (("cells", "white cells"), ("blasts", "blasts"))
            for name, label in (("recall", "Recall"), ("precision", "Precision"), ("f1", "F1"))
        ]
        rows += [("Fraction, mean error", _fraction_error)]
    rows += [
        ("Seconds", lambda side: _number(side["cost"]["seconds"], "{:,.0f}", side["cost"]["note"] or NOT_NOTED)),
        ("Crops scored", lambda side: _number(side["crops"], "{:,}", "no slide was scanned")),
        ("Crops per cell", lambda side: _number(side["crops_per_cell"], "{:.2f}", "there is no cell")),
        ("Megapixels looked at", lambda side: _number(side["pixels"] and side["pixels"] / 1e6, "{:,.1f}", NOT_NOTED)),
        ("Peak memory, MB", lambda side: _number(_mega(side["cost"]), "{:,.0f}", side["cost"]["note"] or NOT_NOTED)),
    ]
    return [(label, tuple(say(side) for side in sides)) for label, say in rows]


def _mean_label(slides: int) -> str:
    return f"Fraction, mean of {slides:,} slides" if slides > 1 else "Apparent fraction"


def _mean_fraction(side: Record) -> Text:
    mean = side["fraction"]["mean"]
    return ("", "no slide has a fraction in every report") if mean is None else (f"{percent(mean)} %", "")


def _mega(cost: Record) -> float | None:
    return None if cost["peak_memory_bytes"] is None else cost["peak_memory_bytes"] / 1e6


def _number(value: float | None, how: str, why: str) -> Text:
    return ("", why) if value is None else (how.format(value), "")


def _rate(of: str, name: str, side: Record) -> Text:
    truth = side["truth"]
    if truth is None or truth[of] is None:
        return "", "nothing is known of the cells that were not found" if truth else "no slide has a truth"
    rate = truth[of][name]
    if rate["value"] is None:
        return "", "there is none to be found"
    ends = f" ({share(rate['interval']['low'])}-{share(rate['interval']['high'])})" if rate["interval"] else ""
    return f"{share(rate['value'])} %{ends}", ""


def _fraction_error(side: Record) -> Text:
    error = side["truth"] and side["truth"]["fraction_error"]
    return ("", "no slide has both a fraction and a truth of all its cells") if error is None else (f"{points(error)} points", "")


def _sizes(record: Record) -> list[tuple[str, list[Text]]]:
    """Return how many cells of each size were missed, where both reports know that of the same cells."""
    sides = [(record[side]["truth"] or {}).get("missed_by_size") or [] for side in "ab"]
    if not sides[0] or [each["cells"] for each in sides[0]] != [each["cells"] for each in sides[1]]:
        return []
    rows = []
    for first, second in zip(*sides, strict=True):
        low, high = first["from_um"], first["to_um"]
        label = f"{low:g} µm and more" if high is None else f"under {high:g} µm" if not low else f"{low:g} to {high:g} µm"
        texts = [(f"{each['missed']:,} of {each['cells']:,} ({share(each['missed'] / each['cells'])} %)", "") for each in (first, second)]
        rows.append((label, texts))
    return rows


def _scatter(record: Record, pages: Mapping[str, str]) -> list[Point]:
    """Place the slides by their two fractions, both on a square-root scale."""
    found = []
    for slide in _with_fractions(record):
        a, b = slide["a"], slide["b"]
        text = f"{slide['slide']}: {_said(record['a'], a)}, {_said(record['b'], b)}"
        across, up = ((_root(each["wilson"]["low"]), _root(each["wilson"]["high"])) for each in (a, b))
        found.append(
            Point(slide["slide"], href(pages.get(slide["slide"], "")), _root(a["fraction"]), _root(b["fraction"]), text, across, up)
        )
    return found


def _bland_altman(record: Record, pages: Mapping[str, str]) -> dict[str, Any] | None:
    """Place the slides by mean and difference of their fractions; None where there is nothing to place."""
    slides, lines = _with_fractions(record), record["fractions"]["bland_altman"]
    if not slides or lines is None:
        return None
    known = [lines["bias"], *(lines[end] for end in ("low", "high") if lines[end] is not None)]
    most = max(abs(value) for value in [*known, *(slide["difference"] for slide in slides)])
    reach = _round_up(most * 1.1) if most else 0.01

    def height(difference: float) -> float:
        return SIDE / 2 + difference / reach * SIDE / 2

    found = []
    for slide in slides:
        mean = (slide["a"]["fraction"] + slide["b"]["fraction"]) / 2
        text = f"{slide['slide']}: mean {percent(mean)} %, difference {points(slide['difference'])} points"
        found.append(Point(slide["slide"], href(pages.get(slide["slide"], "")), _root(mean), height(slide["difference"]), text))
    return {
        "points": found,
        "bias": height(lines["bias"]),
        "low": None if lines["low"] is None else height(lines["low"]),
        "high": None if lines["high"] is None else height(lines["high"]),
        "ticks": [(f"{100 * value:+.3g}" if value else "0", height(value)) for value in (-reach, -reach / 2, 0.0, reach / 2, reach)],
        "lines": lines,
    }


def _with_fractions(record: Record) -> list[Record]:
    return [slide for slide in record["slides"] if slide["difference"] is not None and slide["compared"] != "none"]


def _said(report: Record, side: Record) -> str:
    return f"{report['name']} {side['blasts']:,} of {side['cells']:,} ({percent(side['fraction'])} %)"


def _root(fraction: float) -> float:
    """Return where a fraction lies on a scale of 0 to 100 % drawn by square root, so that 1 to 20 % can be read."""
    return round(SIDE * math.sqrt(min(max(fraction, 0.0), 1.0)), 2)


def _round_up(value: float) -> float:
    """Return 1, 2 or 5 times a power of ten, the next one up."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value)


def points(difference: float) -> str:
    """Write a difference of two shares in points of percent."""
    return f"{100 * difference:.1f}" if abs(difference) >= 0.0005 or not difference else f"{100 * difference:.2g}"


def share(value: float) -> str:
    """Write a share in percent, and no certainty that comes of rounding."""
    if 0.99 <= value < 1:
        return "99.9" if value > 0.999 else f"{100 * value:.1f}"
    return percent(value)
