"""Numbers, statuses and verdicts as a page says them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from smearscan.percentages import percent

STATUS = {
    "ok": "scanned",
    "partial": "partial",
    "insufficient": "too few cells",
    "no_cells": "no cells",
    "unreadable": "unreadable",
    "failed": "failed",
    "timed_out": "timed out",
    "stopped": "not reached",
}
WHAT_TO_DO = {
    "unreadable": (
        "Do what the sentence above asks for. If it asks for nothing, open the slide in the viewer of its scanner: "
        "one that opens there was damaged on its way here, so copy it again; one that does not must be scanned again. "
        "Then give the same command once more: slides that are done are left alone."
    ),
    "failed": (
        "This is a fault of the program and not of the slide; the other slides are not touched by it. "
        "Send the traceback and slide.json to those who look after the program. The same command tries this slide again."
    ),
    "refused": (  # failed, but by no bug: the scale is not known, say
        "Do what the sentence above asks for, and give the same command once more: slides that are done are left alone. "
        "The other slides are not touched by it."
    ),
    "timed_out": (
        "The slide took longer than --slide-timeout allows. See whether it lies on a slow disk or network, "
        "and give the same command with a longer time: slides that are done are left alone."
    ),
    "stopped": "The run ended before this slide was done. The same command goes on here.",
}
BANDS = {
    "no_cells": "no cells",
    "insufficient": "too few for a decision (200 are the least)",
    "limited": "limited (100 to 199 cells)",
    "standard": "standard (200 to 499 cells)",
    "decision": "enough for a decision at a threshold (500 or more)",
}
BANDS_SHORT = {
    "no_cells": "no cells",
    "insufficient": "insufficient",
    "limited": "limited",
    "standard": "standard",
    "decision": "decision",
}
VERDICT_MARKS = {"above": "▲", "indeterminate": "◆", "below": "▽", "insufficient": "–"}
VERDICTS = {"above": "above", "indeterminate": "indeterminate", "below": "below", "insufficient": "too few cells"}
BASES = {  # which interval the verdicts compare
    "adjusted": "the interval adjusted for the model's sensitivity and specificity",
    "clustered": "the interval that allows for clusters of cells",
    "wilson": "the Wilson interval",
}
ADJUSTMENTS = {
    "subjects": "for how sensitivity and specificity differ between subjects of the model's validation",
    "pooled_validation_optimistic": "by pooled validation counts, which is optimistic: subjects differ",
}
REASONS = {"glass": "empty glass", "thick": "too thick", "blurred": "out of focus", "no_nucleus": "no nucleus colour"}


def what_to_do(status: str, is_bug: bool) -> str:
    """Say what a person can do about a slide that was not scanned; a bug is known by the traceback it left."""
    return WHAT_TO_DO["refused" if status == "failed" and not is_bug else status]


def chance(probability: float) -> str:
    """Write a probability in whole percent, and no certainty that comes of rounding."""
    return "> 99 %" if probability > 0.99 else "< 1 %" if probability < 0.01 else f"{100 * probability:.0f} %"


def model_name(model: Mapping[str, Any]) -> str:
    """Name a classifier, or a detector: one that has weights of its own by those, too."""
    weights = model.get("settings", {}).get("detector")
    return f"{weights} ({model['name']})" if weights else str(model["name"])


def score(value: float) -> str:
    """Write three digits, and no certainty that comes of rounding."""
    return "> 0.999" if value > 0.9995 else "< 0.001" if value < 0.0005 else f"{value:.3f}"


def percents(threshold: float) -> str:
    """Write a threshold: 0.05 is "5 %"."""
    return f"{100 * threshold:g} %"


def interval(ends: Mapping[str, float]) -> str:
    """Write an interval: "3.2-9.6 %"."""
    return f"{percent(ends['low'])}-{percent(ends['high'])} %"


def share(part: int, whole: int, ends: Mapping[str, float] | None = None) -> str:
    """Write a count with its denominator: "12 of 214 (5.6 %, 3.2-9.6 %)"."""
    text = f"{part:,} of {whole:,}"
    if not whole:
        return text
    return f"{text} ({percent(part / whole)} %{', ' + interval(ends) if ends else ''})"


def area(value: float, unit: str) -> str:
    """Write an area with two digits, in mm2, or in megapixels where there is no scale."""
    if unit == "px":
        return f"{value / 1e6:.3g} Mpx" if value else "0 Mpx"
    return f"{value:.2f} mm²" if value >= 0.1 or not value else f"{value:.2g} mm²"


def left_out(area_record: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Return what the gate left out by reason, in one order whatever the file's; reasons it may learn come last."""
    order = list(REASONS)
    found = area_record["by_reason"].items()
    return sorted(found, key=lambda each: (order.index(each[0]) if each[0] in order else len(order), each[0]))


def why_no_fraction(record: Mapping[str, Any]) -> str:
    """Say why a slide has no fraction."""
    count = record["count"]
    if record["reason"] and record["status"] != "partial":
        return str(record["reason"])
    return f"{count['cells']} cells are too few for a percentage (50 are the least)." if count["cells"] else "No white cell was counted."


def why_not_adjusted(count: Mapping[str, Any]) -> str:
    """Say why there is no adjusted fraction."""
    return str(count["adjusted"]["method"]).removeprefix("none: ")


def decisive_verdict(count: Mapping[str, Any], threshold: float) -> Mapping[str, Any] | None:
    """Return the verdict at a threshold, None where the run did not ask for it."""
    return next((each for each in count["verdicts"] if each["threshold"] == threshold), None)


def why_no_picture(others_have_one: bool) -> str:
    """Say why a cell of the gallery has no picture."""
    return "no picture: it is past the number of pictures a slide" if others_have_one else "no picture: this run made none"


def further(count: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return the numbers that fewer people ask for: name, value, and why there is none where it is empty."""
    why = "there are no cells" if not count["cells"] else "there are too few cells" if count["fraction"] is None else ""
    few_tiles = why or "it needs ten tiles with cells, and both blasts and others"
    blank = str(count["limit_of_blank_note"]).removeprefix("none: ")

    def ends(name: str) -> str:
        return interval(count[name]) if count[name] else ""

    def factor(name: str) -> str:
        return "" if count[name] is None else f"{count[name]:.2f}"

    return [
        ("Exact interval (Clopper-Pearson, Rümke's limits)", ends("exact"), why),
        ("Design effect of cells that cluster", factor("deff"), few_tiles),
        ("Interval that allows for clusters", ends("clustered"), few_tiles),
        ("Halves of the slide against chance", factor("heterogeneity"), few_tiles),
        ("Limit of blank", _with_note(count["limit_of_blank"], blank), blank),
        ("Upper limit with no blast seen (one-sided)", _percent_or_empty(count["no_blast_upper"]), why or "blasts were seen"),
        ("Mean score", _percent_or_empty(count["mean_probability"]), why),
        ("Proposals, and how many were another's cell", f"{count['proposals']:,}, {count['duplicates']:,}", ""),
        ("Tiles with cells", f"{count['tiles']['tiles']:,}", ""),
    ]


def _percent_or_empty(fraction: float | None) -> str:
    return "" if fraction is None else f"{percent(fraction)} %"


def _with_note(fraction: float | None, note: str) -> str:
    return "" if fraction is None else f"{percent(fraction)} %, {note}"


def scale(info: Mapping[str, Any]) -> str:
    """Say how large a pixel of a slide is, from where that is known, and what its red cells say of it."""
    if info["mpp"] is None:
        return "not known"
    said = f"{info['mpp']:.4g} µm per pixel"
    other, spread = info.get("red_cell_mpp"), info.get("red_cell_spread")  # no run of an earlier version has them
    spread = "" if spread is None else f" (spread {percent(spread)} %)"
    if info["mpp_source"] == "red cells":
        return f"{said}, estimated from its red cells{spread}"
    by_cells = "" if other is None else f"; its red cells say {other:.4g}{spread}"
    return f"{said}, from {info['mpp_source']}{by_cells}"


def staining(info: Mapping[str, Any]) -> str:
    """Say how a slide's colours were brought to those that its model knows; "" where the model knows none."""
    known = info.get("staining")  # no run of an earlier version has it
    if known is None:
        return ""
    lobed = "lobed " if known.get("lobed") else ""  # no run of an earlier version asks for their shape
    many = "one nucleus" if known["nuclei"] == 1 else f"{known['nuclei']} {lobed}nuclei"
    return f"scored in the stain that the model knows, told by {many}; pictures have the slide's own colours"
