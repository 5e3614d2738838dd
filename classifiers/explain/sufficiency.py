"""Is what an explanation shows enough? Keep a crop's first n superpixels, hide the rest, and classify it again.

The experiment is chapter 6 of a thesis on 21 classes of bone marrow cells (LIME, quick shift, 128 perturbations, what is
hidden is grey, n = 1, 5, 15, 25, 30, 35, 40, 45), after Shah and Sheppard. Its definitions are kept:

* What is ranked is what speaks for the class that the model calls the whole crop.
* A crop with fewer than n superpixels is left out at that n.
* Precision is the measure: of the crops that are called a class, the share that are of it. With all classes together it is
  the mean over the classes, one that is never called counting as 0. The thesis says "average global precision".
* An explanation of n superpixels is sufficient where precision is at least 2/3 of that of the whole crops.

Two things are kept in sight that a precision by itself hides. A class may be called twice and be right twice, as plasma
cells were at n = 15: so each line says how often a class was called, and accuracy beside it. And precision may pass the
line and fall below it again: so the first n that suffices and the n from which all do are both said.

The thesis asks for 1,000 perturbations in place of 128, for other methods, and whether 2/3 means anything: for that there is
`rankings`, with an order by chance as the control, and `removal` with measures that need no threshold.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import precision_score

from classifiers.base import Classifier, ClassifierError
from classifiers.explain.perturbations import score_hidden
from classifiers.explain.rankings import Ranking
from classifiers.explain.superpixels import Hiding

COUNTS: Final = (1, 5, 15, 25, 30, 35, 40, 45)  # superpixels that are kept
SHARE: Final = 2 / 3  # of the precision on whole crops, from which an explanation is sufficient
EVERY_CLASS: Final = "every class"
LEFT_OUT: Final = -1  # a crop with fewer superpixels


@dataclass(frozen=True)
class Line:
    """How well crops are called with so many superpixels kept."""

    method: str
    class_name: str  # or EVERY_CLASS
    kept: int | None  # superpixels; None: the whole crop
    cells: int  # of the class, with at least so many superpixels
    called: int  # crops of any class that were called it
    precision: float  # not a number where the class is never called
    accuracy: float  # share of the class's cells that are called it
    sufficient: bool


@dataclass(frozen=True)
class Needed:
    """How many superpixels are sufficient, of those counts that were tried; None where none is."""

    class_name: str
    first: int | None  # the least
    lasting: int | None  # the least from which on all are


@dataclass(frozen=True)
class Sufficiency:
    """What cells were called with their first superpixels kept, as columns of the card's classes."""

    method: str
    classes: tuple[str, ...]
    truths: NDArray[np.intp]  # (cells,)
    whole: NDArray[np.intp]  # (cells,) called with nothing hidden
    counts: tuple[int, ...]
    kept: NDArray[np.intp]  # (counts, cells) called with so many kept; LEFT_OUT where a crop has fewer
    seconds_per_cell: float  # to score what is kept, without the ranking

    def lines(self) -> list[Line]:
        """Return the whole table: every class and all together, for whole crops and for each count."""
        names = [EVERY_CLASS, *(name for column, name in enumerate(self.classes) if (self.truths == column).any())]
        return [self.line(name, count) for name in names for count in (None, *self.counts)]

    def line(self, class_name: str, count: int | None) -> Line:
        """Return one line of the table; `count` None is the whole crop."""
        called = self.whole if count is None else self.kept[self.counts.index(count)]
        shown = called != LEFT_OUT
        truths, called = self.truths[shown], called[shown]
        precision, precision_whole = self._precision(class_name, truths, called), self._precision(class_name, self.truths, self.whole)
        sufficient = bool(precision >= SHARE * precision_whole)  # never where it is not a number
        if class_name == EVERY_CLASS:
            right = float((truths == called).mean()) if len(truths) else np.nan
            return Line(self.method, class_name, count, len(truths), len(truths), precision, right, sufficient)
        column = self.classes.index(class_name)
        own = truths == column
        right = float((called[own] == column).mean()) if own.any() else np.nan
        return Line(self.method, class_name, count, int(own.sum()), int((called == column).sum()), precision, right, sufficient)

    def needed(self, class_name: str = EVERY_CLASS) -> Needed:
        """Return how many superpixels are sufficient; counts that no cell of the class has as superpixels are not asked."""
        lines = [line for line in (self.line(class_name, count) for count in self.counts) if line.cells]
        enough = [line.kept for line in lines if line.sufficient and line.kept is not None]
        lasting = [
            line.kept for index, line in enumerate(lines) if line.kept is not None and all(each.sufficient for each in lines[index:])
        ]
        return Needed(class_name, min(enough, default=None), min(lasting, default=None))

    def _precision(self, class_name: str, truths: NDArray[np.intp], called: NDArray[np.intp]) -> float:
        if not len(truths):
            return np.nan
        if class_name == EVERY_CLASS:
            present = np.unique(self.truths)
            return float(precision_score(truths, called, labels=present, average="macro", zero_division=0))
        column = self.classes.index(class_name)
        return float((truths[called == column] == column).mean()) if (called == column).any() else np.nan


def measure_sufficiency(
    method: str,
    classifier: Classifier,
    crops: NDArray[np.uint8],
    truths: Sequence[str],
    rankings: Sequence[Ranking],
    *,
    counts: Sequence[int] = COUNTS,
    hiding: Hiding = "grey",
) -> Sufficiency:
    """Classify crops again with only their first superpixels left; `truths` are the cells' classes, `method` is for the table."""
    card, counts = classifier.card, tuple(sorted(set(counts)))
    if unknown := sorted(set(truths) - set(card.classes)):
        raise ClassifierError(f"{card.name!r} has no class {', '.join(unknown)}; its classes are {', '.join(card.classes)}.")
    if not len(crops) == len(truths) == len(rankings) or not counts or counts[0] < 1:
        raise ClassifierError(
            f"{len(crops)} crops need as many classes and rankings, not {len(truths)} and {len(rankings)}, and counts from 1 on."
        )
    started = time.perf_counter()
    possible = [[count for count in counts if count <= ranking.pieces] for ranking in rankings]
    keeps = [ranking.keep_first(some) for ranking, some in zip(rankings, possible, strict=True)]
    scores = score_hidden(classifier, crops, [each.labels for each in rankings], keeps, hiding=hiding)
    kept = np.full((len(counts), len(crops)), LEFT_OUT, np.intp)
    for cell, (some, rows) in enumerate(zip(possible, scores, strict=True)):
        kept[[counts.index(count) for count in some], cell] = card.called(rows)
    seconds = (time.perf_counter() - started) / max(len(crops), 1)
    columns = np.array([card.classes.index(each) for each in truths], np.intp)
    return Sufficiency(method, card.classes, columns, card.called(classifier.predict(crops).probabilities), counts, kept, seconds)


def called_names(classifier: Classifier, crops: NDArray[np.uint8]) -> list[str]:
    """Return the class that each whole crop is called: what its explanation is to be sufficient for."""
    return [classifier.card.classes[column] for column in classifier.card.called(classifier.predict(crops).probabilities)]
