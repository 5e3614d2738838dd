"""What follows from a number: limit of blank, verdict, band, calibration alarm, overlap of windows (D7, D8, D11, D13)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from smearscan.results import Interval

ENOUGH_BLANKS: Final = 20  # negative slides from which a percentile can be taken
NORMAL_95: Final = 1.645
COUNTS_ONLY_BELOW: Final = 50  # cells under which no percentage is stated
ALARM_POINTS: Final = 0.02


def limit_of_blank(fractions: Sequence[float]) -> tuple[float | None, str]:
    """D7: what 95 % of negative slides stay at or below, and how it was found."""
    count = len(fractions)
    if count >= ENOUGH_BLANKS:
        return float(np.quantile(np.asarray(fractions), 0.95)), f"95th percentile of {count} negative slides"
    if count < 2:
        return None, "none: the card carries no negative slides" if count == 0 else "none: the card carries one negative slide"
    values = np.asarray(fractions)
    limit = float(values.mean() + NORMAL_95 * values.std(ddof=1))
    return min(1.0, limit), f"mean + 1.645 SD of only {count} negative slides"


def verdict(interval: Interval, threshold: float) -> str:
    """D8: where an interval stands against a threshold; the threshold itself counts as reached."""
    if interval.low >= threshold:
        return "above"
    return "below" if interval.high < threshold else "indeterminate"


def cells_band(n: int) -> str:
    """Return whether n cells are enough: what each band allows is said in the README."""
    for below, band in ((1, "no_cells"), (100, "insufficient"), (200, "limited"), (500, "standard")):
        if n < below:
            return band
    return "decision"


def calibration_alarm(mean_probability: float, fraction: float, interval: Interval) -> bool:
    """D11: whether the mean P(blast) contradicts the fraction called blast, by chance excluded and by 2 points at least.

    The floor keeps large slides quiet, where chance alone explains next to nothing.
    """
    outside = not interval.low <= mean_probability <= interval.high
    return outside and abs(mean_probability - fraction) >= ALARM_POINTS


def overlap_factor(size: float, step: float) -> float:
    """D13: in how many windows the same point lies."""
    return (size / step) ** 2
