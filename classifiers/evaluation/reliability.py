"""Whether a probability of 0.8 comes true eight times in ten: bins of equal mass, and how far they are off (D12).

Each of the 15 bins holds exactly a fifteenth of the cells; one that lies on an edge belongs to both sides in part, and cells
with equal probabilities share what became of them. So neither the order of the cells nor their number being no multiple of 15
moves the number.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from classifiers.evaluation.records import Bin, Floats

BINS: Final = 15


def expected_error(probabilities: ArrayLike, came_true: ArrayLike, bins: int = BINS) -> float:
    """Return the expected calibration error: the mean distance, over the bins, of probability and what came true."""
    return Reliability(probabilities, came_true, bins).error(None)


def reliability_bins(probabilities: ArrayLike, came_true: ArrayLike, bins: int = BINS) -> tuple[Bin, ...]:
    """Return what each bin holds, lowest probabilities first."""
    found = Reliability(probabilities, came_true, bins)
    mass, chances, true = found.sums(None)
    if not len(mass):
        return ()
    edges = found.edges()
    return tuple(
        Bin(float(cells), float(chance / cells), float(right / cells), float(low), float(high))
        for cells, chance, right, low, high in zip(mass, chances, true, edges[:-1], edges[1:], strict=True)
    )


class Reliability:
    """Cells sorted by probability once, to be weighed many times."""

    def __init__(self, probabilities: ArrayLike, came_true: ArrayLike, bins: int = BINS) -> None:
        given = np.asarray(probabilities, np.float64)
        self.order = np.argsort(given, kind="stable")
        self._chances = given[self.order]
        self._true = np.asarray(came_true, np.float64)[self.order]
        self._last = np.append(self._chances[1:] != self._chances[:-1], True) if len(given) else np.zeros(0, np.bool_)
        self._shares = np.linspace(0, 1, bins + 1)

    def error(self, weights: Floats | None) -> float:
        """Return the expected error with these weights, which go with the cells in sorted order; None: all alike."""
        mass, chances, true = self.sums(weights)
        return float(np.abs(chances - true).sum() / mass.sum()) if mass.sum() > 0 else float("nan")

    def sums(self, weights: Floats | None) -> tuple[Floats, Floats, Floats]:
        """Return of each bin its mass, the sum of probabilities, and the sum of what came true."""
        if not len(self._chances):
            return np.zeros(0), np.zeros(0), np.zeros(0)
        given = np.ones(len(self._chances)) if weights is None else weights
        running = [np.concatenate([[0.0], np.cumsum(each)[self._last]]) for each in (given, given * self._chances, given * self._true)]
        at = self._shares * running[0][-1]
        mass, chances, true = (np.diff(np.interp(at, running[0], each)) for each in running)
        return mass, chances, true

    def edges(self) -> Floats:
        """Return the probabilities at which the bins meet."""
        places = np.ceil(self._shares * len(self._chances)).astype(int) - 1
        edges: Floats = self._chances[np.clip(places, 0, None)]
        return edges
