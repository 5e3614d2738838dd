"""How each subject's cells were called, and how far subjects differ: a mean over cells hides the one whose cells all go wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

from classifiers.evaluation.metrics import squared_errors
from classifiers.evaluation.records import Metric, Question, Spread, SubjectRow
from classifiers.evaluation.reliability import BINS, expected_error

FEWEST_CELLS: Final = 10  # of a subject that is named as the worst: one cell of one wrong is no finding


def subject_rows(question: Question, groups: Sequence[str], subjects: Sequence[str]) -> tuple[SubjectRow, ...]:
    """Return one row for each group of the samples, sorted by name; `groups` and `subjects` are the samples' columns."""
    of_rows = [groups[row] for row in question.rows.tolist()]
    places: dict[str, list[int]] = {}
    for place, group in enumerate(of_rows):
        places.setdefault(group, []).append(place)
    named: dict[str, set[str]] = {}
    for group, row in zip(of_rows, question.rows.tolist(), strict=True):
        named.setdefault(group, set()).add(subjects[row])
    losses = squared_errors(question)
    return tuple(
        _row(group, tuple(sorted(named[group] - {""})), question, losses, np.asarray(places[group], np.intp)) for group in sorted(places)
    )


def spread_over(rows: Sequence[SubjectRow]) -> dict[str, Spread]:
    """Return the median and the worst subject of each number; the worst is sought among subjects of 10 cells and more."""
    kinds: dict[str, tuple[Callable[[SubjectRow], float | None], Callable[[SubjectRow], int], bool]] = {
        "sensitivity": (lambda row: row.sensitivity.value, lambda row: row.blasts, False),
        "specificity": (lambda row: row.specificity.value, lambda row: row.others, False),
        "brier": (lambda row: row.brier, lambda row: row.cells, True),
        "ece": (lambda row: row.ece, lambda row: row.cells, True),
    }
    found = {}
    for name, (value_of, cells_of, high_is_worse) in kinds.items():
        having = [(value, cells_of(row), row.group) for row in rows if (value := value_of(row)) is not None]
        if having:
            enough = [each for each in having if each[1] >= FEWEST_CELLS] or having
            worst = min(enough, key=lambda each: (-each[0] if high_is_worse else each[0], each[2]))
            found[name] = Spread(len(having), float(np.median([each[0] for each in having])), worst[0], worst[2])
    return found


def proportion(part: int, whole: int, lacking: str) -> Metric:
    """Return a share of cells with its Wilson interval (D1): of one subject, whose cells are what there is to count."""
    if not whole:
        return Metric(None, note=lacking)
    ends = binomtest(part, whole).proportion_ci(0.95, method="wilson")
    return Metric(part / whole, float(ends.low), float(ends.high))


def _row(group: str, subjects: tuple[str, ...], question: Question, losses: NDArray[np.float64], places: NDArray[np.intp]) -> SubjectRow:
    truth, called, scores = question.truth[places], question.called[places], question.scores[places, 1]
    blasts, blasts_called = int(truth.sum()), int(called[truth == 1].sum())
    others, others_called = len(places) - blasts, int(called[truth == 0].sum())
    return SubjectRow(
        group=group,
        subjects=subjects,
        cells=len(places),
        blasts=blasts,
        blasts_called=blasts_called,
        others_called=others_called,
        mean_probability=float(scores.mean()),
        brier=float(losses[places].mean()),
        ece=expected_error(scores, truth) if len(places) >= BINS else None,
        auc=float(roc_auc_score(truth, scores)) if blasts and others else None,
        sensitivity=proportion(blasts_called, blasts, "the subject has no blast"),
        specificity=proportion(others - others_called, others, "the subject has blasts only"),
    )
