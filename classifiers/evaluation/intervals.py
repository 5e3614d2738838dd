"""Intervals of every number by drawing subjects with replacement, all cells of one together (the cluster bootstrap).

Cells of one subject are alike, so an interval that takes them for independent is far too narrow. What is drawn are the
groups of the samples: subjects, and those joined whose pictures are the same. The percentiles of 2,000 draws are the interval;
with few groups it is a little too narrow, and below 5 that bear on a number there is none.

Every draw counts each group so many times. The metrics are computed again with these counts as weights, for many draws at
once; with all counts 1 they are those of `metrics.measure`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from classifiers.evaluation.metrics import judged, measure, negative_log_likelihoods, squared_errors
from classifiers.evaluation.records import Floats, Integers, Metric, Question
from classifiers.evaluation.reliability import Reliability

DRAWS: Final = 2000
FEWEST_GROUPS: Final = 5
ENDS: Final = (0.025, 0.975)
BIASED: Final = {"ece": "no interval: a set drawn anew is calibrated worse than the whole by chance alone"}
DEFINED: Final = 0.9  # of the draws: where a number is defined in fewer, their percentiles would be of a selection
ENTRIES: Final = 2_000_000  # of the arrays that are worked on at once


def with_intervals(question: Question, draws: int = DRAWS, seed: int = 0) -> tuple[dict[str, Metric], dict[str, Floats]]:
    """Return every metric with its interval, and the metric in each draw (equal seeds and groups: the same draws)."""
    values = measure(question)
    bearing = _bearing_groups(question)
    total = int(question.groups.max(initial=-1)) + 1
    drawn: dict[str, Floats] = {}
    if total >= FEWEST_GROUPS and draws:
        weighed = Weighed(question)
        parts = [weighed.at(counts) for counts in draw_groups(total, draws, seed, len(question))]
        drawn = {name: np.concatenate([part[name] for part in parts]) for name in values}
    found = {name: _metric(value, drawn.get(name), bearing[name]) for name, value in values.items()}
    for name in BIASED.keys() & found.keys():
        if found[name].low is not None:
            found[name] = replace(found[name], low=None, high=None, note=BIASED[name])
    return found, drawn


def draw_groups(total: int, draws: int, seed: int, cells: int) -> Iterator[Floats]:
    """Yield (some draws, groups): how often each group was drawn; as many draws at once as `cells` allow."""
    generator = np.random.default_rng(seed)
    at_once = max(1, ENTRIES // max(cells, total, 1))
    for start in range(0, draws, at_once):
        count = min(at_once, draws - start)
        chosen = generator.integers(total, size=(count, total)) + total * np.arange(count)[:, None]
        yield np.bincount(chosen.ravel(), minlength=count * total).reshape(count, total).astype(np.float64)


def interval_of(drawn: Floats) -> tuple[float, float] | None:
    """Return the percentiles of the draws in which a number is defined; None where it is not in too many."""
    defined = drawn[np.isfinite(drawn)]
    if not len(drawn) or len(defined) < DEFINED * len(drawn):
        return None
    low, high = np.quantile(defined, ENDS)
    return float(low), float(high)


def _metric(value: float, drawn: Floats | None, groups: int) -> Metric:
    if not np.isfinite(value):
        return Metric(None, note="not defined: the data lacks cells of one side, or none was called so")
    if groups < FEWEST_GROUPS:
        return Metric(value, note=f"no interval: {groups} groups bear on it, {FEWEST_GROUPS} are the least")
    ends = None if drawn is None else interval_of(drawn)
    if ends is None:
        return Metric(value, note="no interval: none was drawn" if drawn is None else "no interval: not defined in too many draws")
    if ends[0] == ends[1]:  # all right in every subject, say: no draw can then show how many might be wrong in the next
        return Metric(value, note="no interval: it is the same in every draw")
    return Metric(value, *ends)


def _bearing_groups(question: Question) -> dict[str, int]:
    """Return for each metric how many groups its value rests on: of the classes that it is about, the one with the fewest."""
    holds = [set(question.groups[question.truth == column].tolist()) for column in range(len(question.classes))]
    everyone = len(set(question.groups.tolist()))
    of_class = [len(each) for each in holds]
    not_of_class = [len(set(question.groups[question.truth != column].tolist())) for column in range(len(question.classes))]
    fewest = min(each for each in of_class if each)
    found = dict.fromkeys(("accuracy", "brier", "nll", "ece"), everyone)
    mixed = ("balanced_accuracy", "macro_precision", "macro_f1", "weighted_precision", "weighted_f1", "auc", "weighted_auc")
    found |= dict.fromkeys((*mixed, "average_precision"), fewest)
    for column, name in enumerate(question.classes):
        both = min(of_class[column], not_of_class[column])
        found |= {f"recall_{name}": of_class[column], f"specificity_{name}": not_of_class[column]}
        found |= {f"{kind}_{name}": both for kind in ("precision", "f1", "auc")}
    return found


class Weighed:
    """The metrics of one question for groups that count several times or not at all."""

    def __init__(self, question: Question) -> None:
        self._classes = question.classes
        self._binary = question.binary
        self._present = sorted(set(question.truth.tolist()))
        groups, k = int(question.groups.max()) + 1, len(question.classes)
        self._groups = question.groups
        self._confusion = np.zeros((groups, k, k))
        np.add.at(self._confusion, (question.groups, question.truth, question.called), 1)
        self._losses = {
            name: np.bincount(question.groups, losses, minlength=groups)
            for name, losses in (("brier", squared_errors(question)), ("nll", negative_log_likelihoods(question)))
        }
        columns = [1] if self._binary else self._present
        by_pairs = not self._binary and groups * len(question) <= ENTRIES
        kind = _Pairs if by_pairs else _Ranking
        self._rankings = {column: kind(question.scores[:, column], question.truth == column, question.groups) for column in columns}
        self._reliability = Reliability(*judged(question))
        self._sorted_groups = question.groups[self._reliability.order]

    def at(self, counts: Floats) -> dict[str, Floats]:
        """Return every metric for each row of `counts`, (draws, groups)."""
        k = len(self._classes)
        confusion = (counts @ self._confusion.reshape(len(self._confusion), k * k)).reshape(-1, k, k)
        cells = confusion.sum(axis=(1, 2))
        found = self._of_confusion(confusion, cells)
        found |= {name: _share(counts @ sums, cells) for name, sums in self._losses.items()}
        found["ece"] = np.array([self._reliability.error(weights) for weights in counts[:, self._sorted_groups]])
        found |= self._of_rankings(counts, confusion)
        return found

    def _of_confusion(self, confusion: Floats, cells: Floats) -> dict[str, Floats]:
        right = np.diagonal(confusion, axis1=1, axis2=2)
        of_class, called = confusion.sum(axis=2), confusion.sum(axis=1)
        precision, recall, f1 = _share(right, called), _share(right, of_class), _share(2 * right, of_class + called)
        others = cells[:, None] - of_class
        specificity = _share(others - (called - right), others)
        found = {"accuracy": _share(right.sum(axis=1), cells), "balanced_accuracy": _mean(recall, of_class > 0)}
        for kind, values in (("precision", precision), ("f1", f1)):
            found[f"macro_{kind}"] = _mean(values, of_class > 0)
            found[f"weighted_{kind}"] = _share((np.nan_to_num(values) * of_class).sum(axis=1), cells)
        for column, name in enumerate(self._classes):
            parts = {"precision": precision, "recall": recall, "f1": f1, "specificity": specificity}
            found |= {f"{kind}_{name}": values[:, column] for kind, values in parts.items()}
        return found

    def _of_rankings(self, counts: Floats, confusion: Floats) -> dict[str, Floats]:
        areas = {column: ranking.areas(counts) for column, ranking in self._rankings.items()}
        if self._binary:
            return {"auc": areas[1][0], "average_precision": areas[1][1]}
        none = np.full(len(counts), np.nan)
        found = {f"auc_{name}": areas[column][0] if column in areas else none for column, name in enumerate(self._classes)}
        every = np.stack([areas[column][0] for column in self._present], axis=1)
        of_class = confusion.sum(axis=2)[:, self._present]
        defined = np.isfinite(every)
        weights = np.where(defined, of_class, 0)
        found["auc"] = _mean(every, defined)
        found["weighted_auc"] = _share((np.nan_to_num(every) * weights).sum(axis=1), weights.sum(axis=1))
        return found


class _Ranking:
    """Cells sorted by one class's probability: the areas under its ROC and precision-recall curves, many times."""

    def __init__(self, scores: Floats, positive: NDArray[np.bool_], groups: Integers) -> None:
        order = np.argsort(-scores, kind="stable")  # highest first
        ranked = scores[order]
        self._groups = groups[order]
        self._positive = positive[order].astype(np.float64)
        self._last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))  # of each run of equal probabilities

    def areas(self, counts: Floats) -> tuple[Floats, Floats]:
        """Return the area under the ROC curve, equal probabilities counting half, and the average precision."""
        weights = counts[:, self._groups]
        found = np.cumsum(weights * self._positive, axis=1)[:, self._last]
        taken = np.cumsum(weights, axis=1)[:, self._last]
        mistaken = taken - found
        gained = np.diff(found, axis=1, prepend=0.0)
        wrong = np.diff(mistaken, axis=1, prepend=0.0)
        positives, negatives = found[:, -1], mistaken[:, -1]
        below = (wrong * (found - gained / 2)).sum(axis=1)  # pairs in which the positive ranks higher
        precision = np.divide(found, taken, out=np.zeros_like(found), where=taken > 0)
        return _share(below, positives * negatives), _share((gained * precision).sum(axis=1), positives)


class _Pairs:
    """The area under one class's ROC curve from counted pairs of groups: quick where there are few groups."""

    def __init__(self, scores: Floats, positive: NDArray[np.bool_], groups: Integers) -> None:
        order = np.argsort(scores, kind="stable")
        ranked, positive, groups = scores[order], positive[order], groups[order]
        member = np.zeros((len(scores), int(groups.max()) + 1))
        member[np.arange(len(scores)), groups] = 1
        negatives = np.cumsum(member * ~positive[:, None], axis=0)
        first, last = np.searchsorted(ranked, ranked, "left"), np.searchsorted(ranked, ranked, "right") - 1
        below = np.where(first[:, None] > 0, negatives[first - 1], 0)
        self._won = (member * positive[:, None]).T @ ((below + negatives[last]) / 2)  # (groups of positives, groups of negatives)
        self._of_group = np.bincount(groups, positive), np.bincount(groups, ~positive)

    def areas(self, counts: Floats) -> tuple[Floats, Floats]:
        """Return the area under the ROC curve; the average precision is not known here."""
        pairs = (counts @ self._of_group[0]) * (counts @ self._of_group[1])
        return _share(((counts @ self._won) * counts).sum(axis=1), pairs), np.full(len(counts), np.nan)


def _share(part: Floats, whole: Floats) -> Floats:
    shares: Floats = np.full(np.broadcast_shapes(part.shape, whole.shape), np.nan)
    np.divide(part, whole, out=shares, where=whole > 0)
    return shares


def _mean(values: Floats, where: NDArray[np.bool_]) -> Floats:
    """Return the mean over the classes that are there; a precision that is not defined counts as 0."""
    return _share((np.nan_to_num(values) * where).sum(axis=1), where.sum(axis=1).astype(np.float64))
