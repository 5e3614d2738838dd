"""The fraction corrected for a classifier whose sensitivity and specificity differ from subject to subject (D6).

A new slide's sensitivity is not the mean of the validation subjects: it is one more draw from the
spread between them. What that spread is, a dozen subjects tell only roughly, so it is integrated over:

1. For each kind of cell the subjects' counts are beta-binomial with mean m and correlation r; m has
   Jeffreys' prior, r is log-uniform on [0.01, 0.5]. Their posterior is computed on a grid.
2. 2000 pairs (sensitivity, specificity) of a slide are drawn from it, from a fixed seed.
3. A true fraction belongs to the interval when the observed count lies between the 2.5 % and 97.5 %
   points (mid-p) of the counts that it predicts over these pairs.
4. Where the slide reads less than such slides read without any blast, step 3 alone would end in an interval
   of next to no width, as if an unlucky model were a certain one. The upper end then takes the chance of so
   low a count relative to that at a fraction of 0 (the CLs rule of Read 2002), down to a one-sided 95 % limit;
   likewise the lower end at a fraction of 1. Where hardly a pair explains the count, there is no adjustment.

With 12 + 12 subjects this covers 0.96 on average and 0.94 at worst at a mean width of 0.33 (`benchmarks/coverage.py`,
2000 slides for each of 15 conditions; without step 4: 0.95, 0.93, 0.33). Resampling the subjects and fitting by moments,
the textbook way to step 1, covers 0.94 and 0.91 at 0.29 (without step 4: 0.92, 0.89): it cannot imagine a spread wider
than the sample's, and does not hold the 95 % that it states.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import betainc, betaincinv, betaln

from smearscan.intervals.adjustment import MINIMUM_J, AdjustmentRefused, clip
from smearscan.intervals.binomial import CONFIDENCE
from smearscan.results import Interval

DRAWS: Final = 2000
SEED: Final = 6
MINIMUM_BLAST_SUBJECTS: Final = 5
MINIMUM_OTHER_SUBJECTS: Final = 10
R_RANGE: Final = (0.01, 0.5)  # correlation of two cells of one subject: at a mean of 0.9, a spread of SD 0.03 to 0.21
MEANS, CORRELATIONS = 80, 30  # steps of the grid
TAIL: Final = (1 - CONFIDENCE) / 2
FRACTION_TOLERANCE: Final = 1e-7
EXPLAINED: Final = 5 / DRAWS  # the chance below which only a handful of pairs explains a count: too few to rest an interval on

CONTRADICTION: Final = "the card's validation does not explain"

Floats = NDArray[np.float64]


class Contradiction(AdjustmentRefused):
    """The slide reads what no subject of the validation lets one expect of any true fraction."""


@dataclass(frozen=True)
class SubjectTallies:
    """How many cells of each subject there were, and how many were called right; hashable, so that draws are made once."""

    right: tuple[int, ...]
    cells: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.right) != len(self.cells) or any(not 0 <= k <= m or m < 1 for k, m in zip(self.right, self.cells, strict=False)):
            raise ValueError(f"Right calls {self.right} do not go with the cells {self.cells} of these subjects.")


@dataclass(frozen=True)
class SlideRates:
    """Draws of what the classifier may do on one more slide."""

    sensitivity: Floats
    specificity: Floats


@dataclass(frozen=True)
class SubjectAdjustment:
    fraction: float
    unclipped: float
    interval: Interval


@lru_cache(maxsize=16)
def draw_slide_rates(blast: SubjectTallies, other: SubjectTallies, draws: int = DRAWS) -> SlideRates:
    """Draw pairs of rates for one more slide; refused where the classifier is, on the whole, hardly better than a coin."""
    rng = np.random.default_rng(SEED)
    rates = SlideRates(_draw_rates(blast, draws, rng), _draw_rates(other, draws, rng))
    j = float(np.median(rates.sensitivity) + np.median(rates.specificity) - 1)
    if j < MINIMUM_J:
        raise AdjustmentRefused(
            f"sensitivity + specificity - 1 of a typical subject is {j:.3f}, below {MINIMUM_J}, too little to correct with"
        )
    return rates


def _draw_rates(tallies: SubjectTallies, draws: int, rng: np.random.Generator) -> Floats:
    right, cells = np.asarray(tallies.right, np.float64), np.asarray(tallies.cells, np.float64)
    mean_rank, r_rank = (each.ravel() for each in np.meshgrid(_middles(MEANS), _middles(CORRELATIONS)))
    alpha, beta = _beta_parameters(mean_rank, r_rank)
    likelihood = (betaln(right + alpha[:, None], cells - right + beta[:, None]) - betaln(alpha, beta)[:, None]).sum(axis=1)
    posterior = np.cumsum(np.exp(likelihood - likelihood.max()))
    # One draw from each of `draws` equal slices: the posterior is met evenly, not at random.
    chosen = np.searchsorted(posterior, _middles(draws) * posterior[-1])
    # Within its cell of the grid a draw may lie anywhere, so that the grid does not show.
    mean_rank = mean_rank[chosen] + (rng.random(draws) - 0.5) / MEANS
    r_rank = r_rank[chosen] + (rng.random(draws) - 0.5) / CORRELATIONS
    rates: Floats = rng.permutation(rng.beta(*_beta_parameters(mean_rank, r_rank)))
    return rates


def _middles(count: int) -> Floats:
    return (np.arange(count) + 0.5) / count


def _beta_parameters(mean_rank: Floats, r_rank: Floats) -> tuple[Floats, Floats]:
    """Turn ranks in the two priors, both in (0, 1), into the parameters of the beta distribution between subjects."""
    mean = np.clip(np.sin(np.pi / 2 * mean_rank) ** 2, 1e-9, 1 - 1e-9)  # Jeffreys' prior is even in the arcsine
    low, high = np.log(R_RANGE)
    weight = np.exp(-(low + (high - low) * r_rank)) - 1  # (1 - r) / r
    return mean * weight, (1 - mean) * weight


class Inversion:
    """Confidence that the true fraction is at least pi, for one observed count; the interval's ends are where it crosses."""

    def __init__(self, x: float, n: float, rates: SlideRates) -> None:
        if not 0 <= x <= n or n <= 0:
            raise ValueError(f"{x} blasts of {n} cells make no fraction.")
        self._invented = 1 - rates.specificity
        self._gain = rates.sensitivity - self._invented
        self._nodes, self._levels = _tabulate(x, n)

    def at_least(self, pi: float) -> float:
        """Return Pr(true fraction >= pi): the mid-p chance, over the draws, of a count as low as the observed one."""
        called = self._invented + pi * self._gain
        return float(np.interp(called, self._nodes, self._levels, left=1.0, right=0.0).mean())

    def interval(self) -> Interval:
        at_none, at_all = self.at_least(0.0), self.at_least(1.0)
        as_low, as_high = at_none, 1 - at_all  # the chances of so low a count at a fraction of 0, so high a one at 1
        if min(as_low, as_high) < EXPLAINED:
            raise Contradiction(f"{CONTRADICTION} so {'low' if as_low < as_high else 'high'} a count at any true fraction")
        levels = 1 - TAIL * min(1.0, 2 * as_high), TAIL * min(1.0, 2 * as_low)
        low, high = (0.0 if at_none <= level else 1.0 if at_all >= level else self._where(level) for level in levels)
        return Interval(low, high)

    def _where(self, level: float) -> float:
        """Return the fraction at which `at_least` falls to `level`."""
        return float(brentq(lambda pi: self.at_least(pi) - level, 0.0, 1.0, xtol=FRACTION_TOLERANCE))


def _tabulate(x: float, n: float, nodes: int = 1025) -> tuple[Floats, Floats]:
    """Return call rates and the mid-p chance of at most x calls at each; where the nodes end it is 1 and 0 to nine digits.

    The incomplete beta function carries the binomial over to effective counts, which are no integers.
    """
    low = float(betaincinv(x, n - x + 1, 1e-9)) if x > 0 else 0.0
    high = float(betaincinv(x + 1, n - x, 1 - 1e-9)) if x < n else 1.0
    rate = np.linspace(low, high, nodes)
    at_most = betainc(n - x, x + 1, 1 - rate) if x < n else np.ones(nodes)
    fewer = betainc(n - x + 1, x, 1 - rate) if x > 0 else np.zeros(nodes)
    return rate, (at_most + fewer) / 2


def adjust_by_subjects(x: float, n: float, rates: SlideRates) -> SubjectAdjustment:
    """D6: the corrected fraction of x blasts among n cells (effective counts where cells cluster), and its interval."""
    j = rates.sensitivity + rates.specificity - 1
    usable = j >= MINIMUM_J
    corrected = (x / n + rates.specificity[usable] - 1) / j[usable]
    unclipped = float(np.median(corrected))
    return SubjectAdjustment(clip(unclipped), unclipped, Inversion(x, n, rates).interval())


def confidence_at_least(threshold: float, x: float, n: float, rates: SlideRates) -> float:
    """D8: Pr(true fraction >= threshold): the share of D6's draws whose corrected fraction, chance included, reaches it.

    An interval that is above (below) the threshold goes with at least 97.5 % (at most 2.5 %).
    """
    return Inversion(x, n, rates).at_least(threshold)
