"""What an evaluation says, as records: numbers with their intervals, tables of subjects, counts of calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from classifiers.card import Role
from classifiers.datasets.base import DatasetError

DIGITS: Final = 6  # of a probability in files: calls are made on these, so that a reader of the files finds the same ones

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class EvaluationError(DatasetError):
    """These cells cannot be evaluated on as asked."""


@dataclass(frozen=True)
class Metric:
    """One number with its 95 % interval; `note` says why either is missing."""

    value: float | None
    low: float | None = None
    high: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Question:
    """What was asked of every cell, and what the model answered: blast or not, or which of several classes."""

    name: str  # "blast", "classes" or "grouped"
    classes: tuple[str, ...]  # of the blast question two: not blast first
    roles: tuple[Role, ...]
    rule: str  # how a call is made from the probabilities, in words
    rows: NDArray[np.intp]  # of the samples, those that the question can be asked of
    truth: Integers  # indexes in `classes`
    called: Integers
    scores: Floats  # (n, classes)
    groups: Integers  # 0, 1, 2 ...: what belongs together, as the bootstrap draws it

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def binary(self) -> bool:
        return len(self.classes) == 2

    @property
    def confusion(self) -> Integers:
        """Return how many cells of each class (rows) were called each class (columns)."""
        counts = np.zeros((len(self.classes),) * 2, np.int64)
        np.add.at(counts, (self.truth, self.called), 1)
        return counts


@dataclass(frozen=True)
class Bin:
    """One bin of the reliability plot; all have the same mass, so a cell on an edge may belong to two in part."""

    cells: float
    mean_probability: float
    share_right: float  # that are blast; of many classes: that were called right
    low: float  # probabilities from, to
    high: float


@dataclass(frozen=True)
class SubjectRow:
    """One subject's cells: what they are, and how they were called."""

    group: str
    subjects: tuple[str, ...]  # names of one person, as identical pictures show
    cells: int
    blasts: int
    blasts_called: int  # of the blasts, called blast
    others_called: int  # of the other cells, called blast
    mean_probability: float
    brier: float
    ece: float | None  # from 15 cells on
    auc: float | None  # where the subject has both kinds
    sensitivity: Metric
    specificity: Metric

    @property
    def others(self) -> int:
        return self.cells - self.blasts


@dataclass(frozen=True)
class Spread:
    """How one number lies over the subjects."""

    subjects: int
    median: float
    worst: float
    worst_group: str


@dataclass(frozen=True)
class Answer:
    """How well one question was answered."""

    question: Question
    metrics: Mapping[str, Metric]
    bins: tuple[Bin, ...]
    called_excluded: int = 0  # cells called a class that counts for nothing, such as an artefact; here: not called blast
    draws: Mapping[str, Floats] = field(default_factory=dict, repr=False)  # of the bootstrap, metric by metric


@dataclass(frozen=True)
class Sizes:
    """What the cells' size tells by itself and what the model tells beyond it; areas under the ROC curve."""

    cells: int  # whose area is known
    bins: int  # of equal mass, in which cells are of the same size
    area: Metric
    model: Metric
    model_same_size: Metric


@dataclass(frozen=True)
class ClassMatch:
    """What became of one class of the data."""

    data_class: str
    role: Role
    cells: int
    model_class: str | None  # None: the model does not know it
    how: str  # "given", "name", "role", "unknown"
    note: str = ""


@dataclass(frozen=True)
class Evaluation:
    """One model on one set of cells."""

    blast: Answer
    classes: Answer | None  # of a model with more than two classes
    grouped: Mapping[str, Answer]  # the same with classes put together, by the grouping's name
    matches: tuple[ClassMatch, ...]
    subjects: tuple[SubjectRow, ...]
    spread: Mapping[str, Spread]  # "sensitivity", "specificity", "brier", "ece"
    subjects_known: bool
    notes: tuple[str, ...]  # what a reader must know of these numbers, in sentences
    sizes: Sizes | None = None  # where the cells' areas are known

    def value(self, metric: str) -> float | None:
        """Return a number by its name, of the class question where the model has one, else of the blast question."""
        answer = self.classes or self.blast
        found = answer.metrics.get(metric) or self.blast.metrics.get(metric)
        if found is None:
            raise EvaluationError(f"There is no metric {metric!r}. Known: {', '.join({**self.blast.metrics, **answer.metrics})}.")
        return found.value
