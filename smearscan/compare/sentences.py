"""What a comparison comes to, in a few plain sentences that claim no more than was measured."""

from __future__ import annotations

from smearscan.compare.comparison import Comparison, SlideComparison, TruthRates
from smearscan.compare.truth import Rate
from smearscan.reports.pages.comparison_page import points, share

FEW_SLIDES = 10  # limits of agreement from fewer say little


def summary(comparison: Comparison) -> list[str]:
    """Return the sentences, the most important first."""
    return [
        *_what_was_compared(comparison),
        *_cells(comparison),
        *_calls(comparison),
        *_fractions(comparison),
        *_truth(comparison),
        *_cost(comparison),
    ]


def _what_was_compared(comparison: Comparison) -> list[str]:
    slides, cells = len(comparison.slides), len(comparison.at("cells"))
    rest = [f"{len(found)} {words}" for level, words in REST.items() if (found := comparison.at(level))]
    if not rest:
        return []
    return [f"{cells} of {slides} slides were compared cell by cell; {', '.join(rest)}. The reason stands beside each."]


REST = {"fractions": "by their fractions only", "none": "not at all"}


def _cells(comparison: Comparison) -> list[str]:
    compared = comparison.at("cells")
    if not compared:
        return []
    a, b = comparison.a.name, comparison.b.name
    cells_a, cells_b = (sum(each.cells or 0 for each in sides) for sides in zip(*((slide.a, slide.b) for slide in compared), strict=True))
    matched = sum(each.matched or 0 for each in compared)
    only_b = sum(each.only_b or 0 for each in compared)
    dropped = sum(each.left_out_by_a or 0 for each in compared)
    more = f"{only_b:,} more" if only_b else "none besides"
    sentence = (
        f"{b} found {matched:,} of the {cells_a:,} cells of {a}, and {more}." if cells_a else f"{a} has no cell; {b} has {cells_b:,}."
    )
    if dropped:
        which = "all of those" if dropped == only_b else f"{dropped:,} of those"
        sentence += f" {a} saw {which} too and left them out of its count."
    return [sentence]


def _calls(comparison: Comparison) -> list[str]:
    calls = comparison.calls
    if not calls.cells:
        return []
    if not calls.changed:
        return [f"All {calls.cells:,} matched cells are called alike."]
    kappa = "" if calls.kappa is None else f" (kappa {calls.kappa:.2f})"
    sides = f"as blast by {comparison.a.name} alone {calls.only_a_blast:,}, by {comparison.b.name} alone {calls.only_b_blast:,}"
    return [f"{calls.changed:,} of {calls.cells:,} matched cells are called otherwise{kappa}: {sides}."]


def _fractions(comparison: Comparison) -> list[str]:
    slides, found = comparison.fractions, comparison.bland_altman
    if found is None:
        return ["No slide has a fraction in both reports, so none are compared."]
    apart = sum(abs(each.difference or 0) for each in slides) / len(slides)
    where = f"the {len(slides)} slides that have one in both" if len(slides) > 1 else "the one slide that has one in both"
    sentence = f"Apparent blast fractions differ by {points(apart)} points on average over {where}"
    if len(slides) > 1:
        sentence += f", {comparison.b.name} being {points(abs(found.bias))} points {'higher' if found.bias > 0 else 'lower'} in the mean"
    sentence = sentence if apart else f"Apparent blast fractions are the same on {where}"
    said = "One slide says" if len(slides) == 1 else f"{len(slides)} slides say"
    few = f" {said} little." if len(slides) < FEW_SLIDES and apart else ""
    changed = sum(bool(each.verdict_changes) for each in comparison.at("cells", "fractions"))
    verdicts = (
        f" On {changed} of {len(comparison.at('cells', 'fractions'))} slides a verdict changes." if changed else " No verdict changes."
    )
    return [f"{sentence}.{few}{verdicts}"]


def _truth(comparison: Comparison) -> list[str]:
    sides = [(comparison.a.name, comparison.truth_a), (comparison.b.name, comparison.truth_b)]
    known = [(name, found) for name, found in sides if found is not None]
    if not known:
        return ["Nothing here says what the cells are: how far two reports agree is not which of them is right."]
    return [" ".join(_against_truth(name, found) for name, found in known)]


def _against_truth(name: str, found: TruthRates) -> str:
    blasts = f"flags {_rate(found.blasts['recall'])} of the blasts"
    if found.cells is None:
        return f"Of cells with a label, {name} {blasts}."
    return f"Of {found.total.true_cells:,} true white cells {name} finds {_rate(found.cells['recall'])}, and {blasts}."


def _rate(rate: Rate) -> str:
    if rate.value is None:
        return "none"
    ends = f" ({share(rate.interval.low)}-{share(rate.interval.high)})" if rate.interval else ""
    return f"{share(rate.value)} %{ends}"


def _cost(comparison: Comparison) -> list[str]:
    a, b = comparison.cost_a, comparison.cost_b
    names = comparison.a.name, comparison.b.name
    if not all(_both_or_neither(slide) for slide in comparison.slides):
        return ["What they took is not compared, for the two did not scan the same slides."]
    sentences = []
    if a.seconds and b.seconds:
        where = "" if (a.device, a.cores) == (b.device, b.cores) else ", not on the same machine"
        sentences.append(f"{names[1]} took {b.seconds:,.0f} s, {names[0]} {a.seconds:,.0f} s{where}.")
    crops = [sum(slide.cost.crops or 0 for slide in sides) for sides in zip(*((each.a, each.b) for each in comparison.slides), strict=True)]
    if all(crops):
        sentences.append(f"{names[1]} scored {crops[1]:,} crops, {names[0]} {crops[0]:,}.")
    return [" ".join(sentences)] if sentences else []


def _both_or_neither(slide: SlideComparison) -> bool:
    """Return whether a slide was scanned in both reports or in neither."""
    return (slide.a.count is None) == (slide.b.count is None)
