"""Deletion and insertion: how a score falls as the most important superpixels go, and rises as they come.

As in Petsiuk and others, "RISE" (2018), by superpixels in place of pixels: hidden in the order of their importance
(deletion), or shown in that order on a crop in which all is hidden (insertion), the probability of the explained class
being noted after each, over the share of the crop's pixels that were changed. A good explanation has a small area under the
deletion curve and a large one under the insertion curve. No threshold is needed, but a control is: by chance, a curve falls
and rises as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import auc

from classifiers.base import Classifier, ClassifierError
from classifiers.explain.perturbations import score_hidden
from classifiers.explain.rankings import Ranking
from classifiers.explain.superpixels import Hiding

GRID: Final = np.linspace(0, 1, 51)  # shares of the crop at which the curves of many cells are averaged

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Curves:
    """One cell's curves: the probability of its class after each superpixel, the first point before any."""

    changed: Floats  # (superpixels + 1,) share of the crop's pixels hidden by then, or shown
    deletion: Floats  # (superpixels + 1,)
    insertion: Floats

    @property
    def deletion_area(self) -> float:
        return float(auc(self.changed, self.deletion))

    @property
    def insertion_area(self) -> float:
        return float(auc(self.changed, self.insertion))


@dataclass(frozen=True)
class Removal:
    """The curves of many cells by one method."""

    method: str
    cells: tuple[Curves, ...]

    @property
    def deletion_area(self) -> float:
        return _mean([each.deletion_area for each in self.cells])

    @property
    def insertion_area(self) -> float:
        return _mean([each.insertion_area for each in self.cells])

    def mean_curves(self) -> tuple[Floats, Floats]:
        """Return the mean deletion and insertion curve over the cells, at the shares of GRID."""
        deletion, insertion = (
            np.mean([np.interp(GRID, each.changed, getattr(each, name)) for each in self.cells], axis=0)
            for name in ("deletion", "insertion")
        )
        return deletion, insertion


def measure_removal(
    method: str,
    classifier: Classifier,
    crops: NDArray[np.uint8],
    class_names: Sequence[str],
    rankings: Sequence[Ranking],
    *,
    hiding: Hiding = "grey",
) -> Removal:
    """Hide and show superpixels one after the other; `class_names` has the class that each cell's ranking explains."""
    if not len(crops) == len(class_names) == len(rankings):
        raise ClassifierError(f"{len(crops)} crops need as many classes and rankings, not {len(class_names)} and {len(rankings)}.")
    shown = [ranking.keep_first(range(ranking.pieces + 1)) for ranking in rankings]  # from nothing to all
    keeps = [np.concatenate([each, ~each]) for each in shown]
    scores = score_hidden(classifier, crops, [each.labels for each in rankings], keeps, hiding=hiding)
    cells = []
    for ranking, rows, name in zip(rankings, scores, class_names, strict=True):
        column = rows[:, classifier.card.classes.index(name)]
        sizes = np.bincount(ranking.labels.ravel(), minlength=ranking.pieces)[ranking.order]
        changed = np.concatenate([[0], np.cumsum(sizes)]) / ranking.labels.size
        cells.append(Curves(changed, deletion=column[len(changed) :], insertion=column[: len(changed)]))
    return Removal(method, tuple(cells))


def _mean(areas: Sequence[float]) -> float:
    return float(np.mean(areas)) if areas else float("nan")
