"""Reasons to look at a slide, in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from scipy.stats import binom, chi2_contingency

from smearscan.intervals import CONTRADICTION, calibration_alarm
from smearscan.percentages import percent
from smearscan.results import SlideCount

CHANCE: Final = 0.01  # below it, something is not put down to chance
NOTABLE_DEFF: Final = 2.0  # the cells weigh like half their number
NOTABLE_HETEROGENEITY: Final = 2.0
NOTABLE_EXCLUDED: Final = 0.2


def explain(count: SlideCount) -> tuple[str, ...]:
    """Return what is remarkable about a slide's numbers; an empty tuple where nothing is."""
    found = (each(count) for each in (_one_tile, _blank, _clipped, _contradicted, _clusters, _halves, _calibration, _excluded))
    return tuple(sentence for sentence in found if sentence)


def explain_specimen(counts: Mapping[str, SlideCount]) -> tuple[str, ...]:
    """Return what is remarkable when the slides of one specimen, by name, are laid side by side."""
    stated = {name: count for name, count in counts.items() if count.fraction is not None}
    blasts = sum(count.blasts for count in stated.values())
    if len(stated) < 2 or blasts in (0, sum(count.cells for count in stated.values())):
        return ()
    # Cells that cluster count for less, or every large specimen would seem uneven.
    weighed = [(count.blasts / (count.deff or 1), (count.cells - count.blasts) / (count.deff or 1)) for count in stated.values()]
    if chi2_contingency(weighed, correction=False).pvalue >= CHANCE:
        return ()
    low = min(stated, key=lambda name: (stated[name].fraction or 0, name))
    high = max(stated, key=lambda name: (stated[name].fraction or 0, name))
    return (f"its slides differ more than chance allows: {_share(stated[low])} on {low}, {_share(stated[high])} on {high}",)


def _one_tile(count: SlideCount) -> str:
    tiles, blasts = count.tiles, count.blasts
    crowded = tiles.tiles > 1 and tiles.fullest_blasts >= 3 and 2 * tiles.fullest_blasts > blasts
    if not crowded:
        return ""
    # Any of the tiles might have been the one, hence the factor.
    chance = tiles.tiles * float(binom.sf(tiles.fullest_blasts - 1, blasts, tiles.fullest_cells / tiles.cells))
    return f"{tiles.fullest_blasts} of {blasts} flagged cells lie in one tile" if chance < CHANCE else ""


def _blank(count: SlideCount) -> str:
    if not count.below_limit_of_blank or count.limit_of_blank is None:
        return ""
    limit = f"{percent(count.limit_of_blank)} % ({count.limit_of_blank_note})"
    return f"not distinguishable from negative slides: {_share(count)} is within their limit of {limit}"


def _clipped(count: SlideCount) -> str:
    unclipped = count.adjusted.unclipped
    if not count.adjusted.clipped or unclipped is None:
        return ""
    if unclipped < 0:
        why = f"fewer cells were called blast, {_share(count)}, than this model calls so by mistake on a typical slide"
        return f"the adjusted fraction is cut off at 0 %: {why}"
    return (
        f"the adjusted fraction is cut off at 100 %: more cells were called blast, {_share(count)}, than this model's sensitivity explains"
    )


def _contradicted(count: SlideCount) -> str:
    if CONTRADICTION not in count.adjusted.method:
        return ""
    return f"no adjusted fraction, {_share(count)} being called blast: {count.adjusted.method.removeprefix('none: ')}"


def _clusters(count: SlideCount) -> str:
    if count.deff is None or count.deff < NOTABLE_DEFF:
        return ""
    n_eff = count.cells / count.deff
    return f"flagged cells cluster: the {count.cells} cells tell as much as {n_eff:.0f} independent ones (design effect {count.deff:.1f})"


def _halves(count: SlideCount) -> str:
    if count.heterogeneity is None or count.heterogeneity <= NOTABLE_HETEROGENEITY:
        return ""
    return f"heterogeneous: random halves of the slide differ {count.heterogeneity:.1f} times as much as chance allows"


def _calibration(count: SlideCount) -> str:
    if count.mean_probability is None or count.fraction is None or count.wilson is None:
        return ""
    if not calibration_alarm(count.mean_probability, count.fraction, count.clustered or count.wilson):
        return ""
    return f"scores and calls disagree: the mean blast score is {percent(count.mean_probability)} %, but {_share(count)} were called blast"


def _excluded(count: SlideCount) -> str:
    left_out = sum(count.excluded.values())
    every = left_out + count.cells
    if not every or left_out / every <= NOTABLE_EXCLUDED:
        return ""
    reasons = ", ".join(f"{number} {reason}" for reason, number in sorted(count.excluded.items(), key=lambda each: (-each[1], each[0])))
    return f"{left_out} of {every} cells were left out of the count: {reasons}"


def _share(count: SlideCount) -> str:
    share = "" if count.fraction is None else f" ({percent(count.fraction)} %)"
    return f"{count.blasts} of {count.cells}{share}"
