"""The numbers of one question, by scikit-learn where it has them.

Macro and weighted means are over the classes that the data has cells of; a class that was never called has a precision of 0
in them, and none of its own. Probabilities are those of the files, rounded to six digits, and never nearer than that to 0
and 1 in the negative log-likelihood, which one cell would otherwise make infinite.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    brier_score_loss,
    precision_recall_fscore_support,
    roc_auc_score,
)

from classifiers.evaluation.records import DIGITS, Floats, Question
from classifiers.evaluation.reliability import expected_error

SMALLEST = 10.0**-DIGITS


def overall_names(question: Question) -> tuple[str, ...]:
    """Return the metrics of the whole question, in the order in which they are shown."""
    names = ("accuracy", "balanced_accuracy", "macro_precision", "weighted_precision", "macro_f1", "weighted_f1", "auc")
    return (*names, "average_precision" if question.binary else "weighted_auc", "ece", "brier", "nll")


def class_names(question: Question) -> tuple[str, ...]:
    """Return the kinds of metrics that each class has of its own: "recall" stands for recall_blast and so on."""
    kinds = ("precision", "recall", "specificity", "f1")
    return kinds if question.binary else (*kinds, "auc")


def measure(question: Question) -> dict[str, float]:
    """Return every metric by its name; not a number where it is not defined."""
    truth, called = question.truth, question.called
    present = sorted(set(truth.tolist()))
    found = {
        "accuracy": float(accuracy_score(truth, called)),
        "brier": brier(question),
        "nll": float(negative_log_likelihoods(question).mean()),
        "ece": expected_error(*judged(question)),
    }
    for average in ("macro", "weighted"):
        precision, recall, f1, _ = precision_recall_fscore_support(truth, called, labels=present, average=average, zero_division=0)
        found |= {f"{average}_precision": float(precision), f"{average}_f1": float(f1)}
        if average == "macro":
            found["balanced_accuracy"] = float(recall)
    found |= _of_each_class(question)
    if question.binary:
        found["auc"] = _auc(truth == 1, question.scores[:, 1])
        found["average_precision"] = float(average_precision_score(truth, question.scores[:, 1])) if 1 in present else math.nan
    else:
        areas = np.array([found[f"auc_{question.classes[column]}"] for column in present])
        found["auc"] = float(areas.mean())
        found["weighted_auc"] = float(np.average(areas, weights=np.bincount(truth)[present]))
    return found


def judged(question: Question) -> tuple[Floats, Floats]:
    """Return the probability whose calibration is judged, and what came true.

    Of the blast question it is P(blast); of many classes it is that of the called class, and whether the call was right.
    """
    if question.binary:
        return question.scores[:, 1], (question.truth == 1).astype(np.float64)
    rows = np.arange(len(question))
    return question.scores[rows, question.called], (question.called == question.truth).astype(np.float64)


def squared_errors(question: Question) -> Floats:
    """Return each cell's part of the Brier score: of two classes that of P(blast), of many the sum over the classes."""
    aims = np.eye(len(question.classes))[question.truth]
    errors: Floats = (question.scores - aims) ** 2
    return errors[:, 1] if question.binary else errors.sum(axis=1)


def brier(question: Question) -> float:
    """Return the mean squared error of the probabilities."""
    if question.binary:
        return float(brier_score_loss(question.truth, question.scores[:, 1], labels=[0, 1], pos_label=1))
    return float(squared_errors(question).mean())


def negative_log_likelihoods(question: Question) -> Floats:
    """Return each cell's -log of the probability that was given to what it is."""
    given = question.scores[np.arange(len(question)), question.truth]
    logs: Floats = -np.log(np.clip(given, SMALLEST, 1 - SMALLEST))
    return logs


def _of_each_class(question: Question) -> dict[str, float]:
    columns = range(len(question.classes))
    per_class = precision_recall_fscore_support(question.truth, question.called, labels=list(columns), average=None, zero_division=np.nan)
    confusion = question.confusion
    found: dict[str, float] = {}
    for column, name in enumerate(question.classes):
        precision, recall, f1 = (float(values[column]) for values in per_class[:3])
        others = len(question) - int(confusion[column].sum())
        mistaken = int(confusion[:, column].sum() - confusion[column, column])
        found |= {f"precision_{name}": precision, f"recall_{name}": recall, f"f1_{name}": f1}
        found[f"specificity_{name}"] = (others - mistaken) / others if others else math.nan
        if not question.binary:
            found[f"auc_{name}"] = _auc(question.truth == column, question.scores[:, column])
    return found


def _auc(positive: NDArray[np.bool_], scores: Floats) -> float:
    return float(roc_auc_score(positive, scores)) if 0 < positive.sum() < len(positive) else math.nan
