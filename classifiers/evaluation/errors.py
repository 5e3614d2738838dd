"""Which cells several models get wrong, together and alone: whether putting them together can help.

Models of equal accuracy may miss the same cells, and then an average of them misses these too; or different ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classifiers.evaluation.intervals import interval_of
from classifiers.evaluation.records import Answer, EvaluationError, Metric


@dataclass(frozen=True)
class Pair:
    """How two models differ, cell by cell."""

    first: str
    second: str
    called_differently: int
    only_first_right: int
    only_second_right: int
    both_wrong: int
    difference: Metric  # of balanced accuracy, first minus second; drawn by subjects, both models on the same ones


@dataclass(frozen=True)
class ErrorAnalysis:
    """The errors of several models on the same cells."""

    question: str  # "blast" or "classes"
    models: tuple[str, ...]
    classes: tuple[str, ...]
    rows: NDArray[np.intp]  # of the samples
    wrong: NDArray[np.bool_]  # (models, cells)
    missed_by: tuple[int, ...]  # cells that 0, 1, 2 ... models miss
    all_miss: Mapping[str, int]  # cells that every model misses, by class
    alone_right: Mapping[str, int]  # by model: cells that no other model gets right
    alone_wrong: Mapping[str, int]  # by model: cells that every other model gets right
    pairs: tuple[Pair, ...]

    @property
    def cells(self) -> int:
        return len(self.rows)

    @property
    def times_missed(self) -> NDArray[np.int64]:
        """Return for each cell how many models miss it."""
        times: NDArray[np.int64] = self.wrong.sum(axis=0)
        return times

    @property
    def missed_by_all(self) -> NDArray[np.intp]:
        """Return the places, in `rows`, of the cells that every model misses."""
        return np.flatnonzero(self.wrong.all(axis=0))


def analyse_errors(answers: Mapping[str, Answer]) -> ErrorAnalysis:
    """Compare what models, by name, answered to the same question on the same cells."""
    if len(answers) < 2:
        raise EvaluationError("Errors are compared between two models or more.")
    questions = [answer.question for answer in answers.values()]
    first = questions[0]
    for name, other in zip(answers, questions, strict=True):
        if not (np.array_equal(other.rows, first.rows) and np.array_equal(other.truth, first.truth)):
            raise EvaluationError(f"{name!r} was asked about other cells than {next(iter(answers))!r}: their errors cannot be compared.")
    names = tuple(answers)
    wrong = np.stack([each.called != each.truth for each in questions])
    missed = wrong.sum(axis=0)
    together = wrong.all(axis=0)
    only_right, only_wrong = missed == len(names) - 1, missed == 1
    return ErrorAnalysis(
        question=first.name,
        models=names,
        classes=first.classes,
        rows=first.rows,
        wrong=wrong,
        missed_by=tuple(np.bincount(missed, minlength=len(names) + 1).tolist()),
        all_miss={name: int((together & (first.truth == column)).sum()) for column, name in enumerate(first.classes)},
        alone_right={name: int((~wrong[index] & only_right).sum()) for index, name in enumerate(names)},
        alone_wrong={name: int((wrong[index] & only_wrong).sum()) for index, name in enumerate(names)},
        pairs=tuple(_pair(a, b, answers, wrong, names) for a in range(len(names)) for b in range(a + 1, len(names))),
    )


def _pair(a: int, b: int, answers: Mapping[str, Answer], wrong: NDArray[np.bool_], names: Sequence[str]) -> Pair:
    one, two = answers[names[a]], answers[names[b]]
    return Pair(
        first=names[a],
        second=names[b],
        called_differently=int((one.question.called != two.question.called).sum()),
        only_first_right=int((~wrong[a] & wrong[b]).sum()),
        only_second_right=int((wrong[a] & ~wrong[b]).sum()),
        both_wrong=int((wrong[a] & wrong[b]).sum()),
        difference=_difference(one, two, "balanced_accuracy"),
    )


def _difference(one: Answer, two: Answer, name: str) -> Metric:
    first, second = one.metrics[name], two.metrics[name]
    if first.value is None or second.value is None:
        return Metric(None, note=first.note or second.note)
    drawn = [answer.draws.get(name) for answer in (one, two)]
    if first.low is None or drawn[0] is None or drawn[1] is None:
        return Metric(first.value - second.value, note=first.note)
    ends = interval_of(drawn[0] - drawn[1])
    return Metric(first.value - second.value, *(ends or (None, None)))
