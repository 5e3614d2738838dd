"""How far two reports agree: calls of the same cells, fractions of the same slides (D15)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy.stats import binomtest

from smearscan.intervals import wilson
from smearscan.results import Interval

LIMITS_SD: Final = 1.96  # Bland-Altman


@dataclass(frozen=True)
class Calls:
    """Matched cells by what the two reports called them."""

    both_blast: int = 0
    only_a_blast: int = 0
    only_b_blast: int = 0
    neither_blast: int = 0

    def __add__(self, other: Calls) -> Calls:
        return Calls(
            self.both_blast + other.both_blast,
            self.only_a_blast + other.only_a_blast,
            self.only_b_blast + other.only_b_blast,
            self.neither_blast + other.neither_blast,
        )

    @property
    def cells(self) -> int:
        return self.both_blast + self.only_a_blast + self.only_b_blast + self.neither_blast

    @property
    def changed(self) -> int:
        return self.only_a_blast + self.only_b_blast

    @property
    def agreement(self) -> float | None:
        """Share of the cells that both called alike; None where there are none."""
        return None if not self.cells else 1 - self.changed / self.cells

    @property
    def agreement_interval(self) -> Interval | None:
        return None if not self.cells else wilson(self.cells - self.changed, self.cells)

    @property
    def mcnemar_p(self) -> float | None:
        """Exact McNemar: the chance of so one-sided changes if either side were as likely; None without cells."""
        if not self.cells:
            return None
        return 1.0 if not self.changed else float(binomtest(self.only_a_blast, self.changed, 0.5).pvalue)

    @property
    def kappa(self) -> float | None:
        """Cohen's kappa; None where chance alone would agree on every cell, as when neither called any cell blast."""
        if self.cells in (self.both_blast, self.neither_blast):
            return None
        from sklearn.metrics import cohen_kappa_score

        counts = [self.both_blast, self.only_a_blast, self.only_b_blast, self.neither_blast]
        return float(cohen_kappa_score([1, 1, 0, 0], [1, 0, 1, 0], sample_weight=counts))


@dataclass(frozen=True)
class BlandAltman:
    """Differences of paired fractions, B minus A."""

    slides: int
    bias: float
    sd: float | None  # None of one slide
    low: float | None  # bias - 1.96 SD
    high: float | None


def bland_altman(a: Sequence[float], b: Sequence[float]) -> BlandAltman | None:
    """Return bias and limits of agreement; None without pairs."""
    difference = np.asarray(b, np.float64) - np.asarray(a, np.float64)
    if not len(difference):
        return None
    bias = float(difference.mean())
    if len(difference) < 2:
        return BlandAltman(1, bias, None, None, None)
    sd = float(difference.std(ddof=1))
    return BlandAltman(len(difference), bias, sd, bias - LIMITS_SD * sd, bias + LIMITS_SD * sd)


def lin_concordance(a: Sequence[float], b: Sequence[float]) -> float | None:
    """Return Lin's concordance correlation (1989, variances over n); None where all values are one, or there are fewer than two."""
    first, second = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if len(first) < 2:
        return None
    apart = first.var() + second.var() + (first.mean() - second.mean()) ** 2
    if apart == 0:
        return None
    together = ((first - first.mean()) * (second - second.mean())).mean()
    return float(2 * together / apart)
