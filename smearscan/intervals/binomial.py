"""Intervals of a plain fraction: x cells of n (D1, D2, D10)."""

from __future__ import annotations

from math import sqrt
from typing import Final, Literal

from scipy.stats import binomtest, norm

from smearscan.results import Interval

CONFIDENCE: Final = 0.95
Z: Final = float(norm.ppf(0.5 + CONFIDENCE / 2))  # 1.959964


def wilson(x: int, n: int) -> Interval:
    """D1, the main interval of every fraction."""
    return _scipy_interval(x, n, "wilson")


def clopper_pearson(x: int, n: int) -> Interval:
    """D2, the exact interval that haematologists know as Rümke's limits."""
    return _scipy_interval(x, n, "exact")


def _scipy_interval(x: int, n: int, method: Literal["wilson", "exact"]) -> Interval:
    found = binomtest(int(x), int(n)).proportion_ci(CONFIDENCE, method=method)
    return Interval(float(found.low), float(found.high))


def wilson_effective(fraction: float, n_eff: float) -> Interval:
    """D1 on an effective number of cells, which is no integer and which scipy therefore refuses."""
    if not 0 <= fraction <= 1 or n_eff <= 0:
        raise ValueError(f"No interval of fraction {fraction} of {n_eff} cells.")
    weight = Z**2 / n_eff
    middle = (fraction + weight / 2) / (1 + weight)
    half = Z * sqrt((fraction * (1 - fraction) + weight / 4) / n_eff) / (1 + weight)
    # At 0 and 1 the end is 0 and 1 exactly; the square root would leave it a rounding error away.
    low = 0.0 if fraction == 0 else max(0.0, middle - half)
    high = 1.0 if fraction == 1 else min(1.0, middle + half)
    return Interval(low, high)


def upper_limit_of_none_seen(n: int) -> float:
    """D10: the one-sided upper 95 % limit where none of n cells was called blast."""
    if n < 1:
        raise ValueError(f"No limit can be stated from {n} cells.")
    return float(1 - (1 - CONFIDENCE) ** (1 / n))
