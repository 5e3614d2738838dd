"""The fraction corrected for what the classifier misses and invents, its rates being pooled over subjects (D4, D5)."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Final

from smearscan.intervals.binomial import Z
from smearscan.results import Interval

MINIMUM_J: Final = 0.1  # sensitivity + specificity - 1; a coin has 0


class AdjustmentRefused(ValueError):
    """The classifier tells blasts from other cells too badly for its fraction to be corrected."""


@dataclass(frozen=True)
class Pooled:
    """Cells called right, of all cells of one kind, over all validation subjects."""

    right: int
    cells: int

    @property
    def rate(self) -> float:
        return self.right / self.cells


def rogan_gladen(fraction: float, sensitivity: float, specificity: float) -> float:
    """D4, unclipped: outside [0, 1] the observed fraction contradicts the two rates."""
    j = sensitivity + specificity - 1
    if j < MINIMUM_J:
        raise AdjustmentRefused(
            f"sensitivity {sensitivity:.3f} + specificity {specificity:.3f} - 1 = {j:.3f} is below {MINIMUM_J}, too little to correct with"
        )
    return (fraction + specificity - 1) / j


def lang_reiczigel(x: float, n: float, sensitivity: Pooled, specificity: Pooled) -> tuple[float, Interval]:
    """D5: the clipped fraction and its interval (Lang and Reiczigel 2014); x and n may be effective counts."""
    point = rogan_gladen(x / n, sensitivity.rate, specificity.rate)
    n_plus = n + Z**2
    p = (x + Z**2 / 2) / n_plus
    m_se, m_sp = sensitivity.cells + 2, specificity.cells + 2
    se, sp = (sensitivity.right + 1) / m_se, (specificity.right + 1) / m_sp
    j = se + sp - 1
    pi = (p + sp - 1) / j
    var_se, var_sp = se * (1 - se) / m_se, sp * (1 - sp) / m_sp
    shift = 2 * Z**2 * (pi * var_se - (1 - pi) * var_sp)
    spread = sqrt(p * (1 - p) / n_plus + pi**2 * var_se + (1 - pi) ** 2 * var_sp) / abs(j)
    return clip(point), Interval(clip(pi + shift - Z * spread), clip(pi + shift + Z * spread))


def clip(fraction: float) -> float:
    return min(1.0, max(0.0, fraction))
