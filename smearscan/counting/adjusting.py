"""The blast fraction corrected for what the card's validation says of its classifier (D4 to D6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from classifiers.card import ModelCard
from smearscan.intervals import (
    MINIMUM_BLAST_SUBJECTS,
    MINIMUM_OTHER_SUBJECTS,
    AdjustmentRefused,
    Pooled,
    SlideRates,
    SubjectTallies,
    adjust_by_subjects,
    confidence_at_least,
    draw_slide_rates,
    lang_reiczigel,
    rogan_gladen,
)
from smearscan.results import Adjusted

SUBJECTS = "subjects"
POOLED = "pooled_validation_optimistic"


def adjust(x: float, n: float, card: ModelCard, thresholds: Sequence[float]) -> tuple[Adjusted, Mapping[float, float]]:
    """Correct x blasts of n cells (effective counts); with it Pr(true fraction >= threshold) where D6 gives it.

    D6 where the card has enough subjects. With fewer, D5: it takes the subjects for one, which is said in the method.
    """
    blast, other = tallies(card, "blast"), tallies(card, "other")
    if blast is None or other is None:
        missing = "per-subject counts" if blast is other else f"per-subject counts of {'blasts' if blast is None else 'other cells'}"
        return Adjusted(None, None, f"none: the card carries no {missing} at threshold {card.threshold:g}"), {}
    try:
        if len(blast.cells) >= MINIMUM_BLAST_SUBJECTS and len(other.cells) >= MINIMUM_OTHER_SUBJECTS:
            rates = draw_slide_rates(blast, other)
            return _by_subjects(x, n, rates), {each: confidence_at_least(each, x, n, rates) for each in thresholds}
        return _pooled(x, n, blast, other), {}
    except AdjustmentRefused as refusal:
        return Adjusted(None, None, f"none: {refusal}"), {}


def _by_subjects(x: float, n: float, rates: SlideRates) -> Adjusted:
    found = adjust_by_subjects(x, n, rates)
    return Adjusted(found.fraction, found.interval, SUBJECTS, found.unclipped, found.fraction != found.unclipped)


def _pooled(x: float, n: float, blast: SubjectTallies, other: SubjectTallies) -> Adjusted:
    sensitivity, specificity = (Pooled(sum(each.right), sum(each.cells)) for each in (blast, other))
    unclipped = rogan_gladen(x / n, sensitivity.rate, specificity.rate)
    fraction, interval = lang_reiczigel(x, n, sensitivity, specificity)
    return Adjusted(fraction, interval, POOLED, unclipped, fraction != unclipped)


def tallies(card: ModelCard, role: str) -> SubjectTallies | None:
    """Return the subjects whose cells are of `role`, each once and in order of name; None where there is none."""
    cells: dict[str, int] = {}
    right: dict[str, int] = {}
    for each in card.subjects:
        if each.role == role and each.cells > 0:
            cells[each.subject] = cells.get(each.subject, 0) + each.cells
            correct = each.called_blast if role == "blast" else each.cells - each.called_blast
            right[each.subject] = right.get(each.subject, 0) + correct
    names = sorted(cells)
    return SubjectTallies(tuple(right[name] for name in names), tuple(cells[name] for name in names)) if names else None
