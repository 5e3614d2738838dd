"""What is fitted and counted on cells that the network did not learn from: temperature, threshold, calls by subject.

Logits are (n, 1) for a sigmoid, whose label 1 is the positive class, and (n, k) for a softmax.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_softmax, softmax

from classifiers.base import ClassifierError
from classifiers.card import Activation, ModelCard, Role, SubjectCounts

Floats = NDArray[np.float64]
TEMPERATURES = (0.25, 20.0)  # a few cells told apart without a mistake would ask for certainty
SMALLEST_THRESHOLD = 1e-4  # a card's threshold lies between 0 and 1
RULES = ("youden", "fixed:P", "specificity:P", "sensitivity:P")


def probabilities(logits: Floats, activation: Activation, temperature: float = 1.0) -> Floats:
    """Return (n, k) probabilities of logits divided by a temperature, as a classifier does."""
    cooled = np.asarray(logits, np.float64) / temperature
    if activation == "sigmoid":
        return np.hstack([expit(-cooled), expit(cooled)])
    return np.asarray(softmax(cooled, axis=1), np.float64)


def temperature(logits: Floats, labels: NDArray[np.integer]) -> float:
    """Return what the logits must be divided by for the smallest mean negative log likelihood, 0.25 to 20."""
    if not len(labels):
        raise ClassifierError("There are no cells to fit a temperature on.")
    both = np.hstack([np.zeros_like(logits), logits]) if logits.shape[1] == 1 else np.asarray(logits, np.float64)
    rows = np.arange(len(labels))

    def loss(log_temperature: float) -> float:
        return -float(log_softmax(both / np.exp(log_temperature), axis=1)[rows, labels].mean())

    found = minimize_scalar(loss, bounds=tuple(np.log(TEMPERATURES)), method="bounded", options={"xatol": 1e-6})
    return round(float(np.exp(found.x)), 6)


def threshold(scores: Floats, is_blast: NDArray[np.bool_], rule: str = "youden") -> float:
    """Return the P(blast) from which on a cell is called blast.

    `youden` makes sensitivity + specificity greatest; `specificity:0.95` is the lowest threshold, so the most sensitive one, at
    which at least that share of the other cells is called other; `sensitivity:0.95` the highest at which at least that share of
    the blasts is called blast; `fixed:0.5` is that number. A threshold lies midway between two scores that occur.
    """
    kind, number = read_rule(rule)
    if kind == "fixed":
        return number
    if is_blast.all() or not is_blast.any():
        raise ClassifierError(
            f"The threshold rule {rule!r} needs blasts and other cells; there are {int(is_blast.sum())} of {len(is_blast)}."
        )
    values = np.unique(scores)
    candidates = np.concatenate([[0.0], (values[1:] + values[:-1]) / 2, [1.0]])
    blasts, others = np.sort(scores[is_blast]), np.sort(scores[~is_blast])
    sensitivity = 1 - np.searchsorted(blasts, candidates, side="left") / len(blasts)
    specificity = np.searchsorted(others, candidates, side="left") / len(others)
    if kind == "youden":
        sums = sensitivity + specificity
        best = candidates[sums >= sums.max() - 1e-12]
        chosen = best[np.argmin(abs(best - 0.5))]
    elif kind == "specificity":
        chosen = candidates[specificity >= number - 1e-12].min()
    else:
        chosen = candidates[sensitivity >= number - 1e-12].max()
    return round(float(np.clip(chosen, SMALLEST_THRESHOLD, 1 - SMALLEST_THRESHOLD)), 6)


def says_nothing(card: ModelCard) -> bool:
    """Whether temperature or threshold lies at its limit: on the calibration cells nothing told blasts from others."""
    return card.temperature >= TEMPERATURES[1] - 0.01 or not SMALLEST_THRESHOLD < card.threshold < 1 - SMALLEST_THRESHOLD


def read_rule(rule: str) -> tuple[str, float]:
    """Return the kind of a threshold rule and its number; refuses one that is not understood."""
    kind, _, text = rule.partition(":")
    try:
        number = 0.0 if rule == "youden" else float(text)
    except ValueError:
        number = np.nan
    if rule != "youden" and (kind not in {"fixed", "specificity", "sensitivity"} or not 0 < number < 1):
        raise ClassifierError(f"The threshold rule {rule!r} is not understood. Write one of {', '.join(RULES)}, with P between 0 and 1.")
    return kind, number


def subject_counts(groups: Sequence[str], roles: Sequence[Role], called_blast: NDArray[np.bool_]) -> tuple[SubjectCounts, ...]:
    """Return how each subject's cells were called, sorted; cells of an excluded class say nothing of either rate."""
    cells: dict[tuple[str, Role], list[bool]] = {}
    for group, role, called in zip(groups, roles, called_blast, strict=True):
        if role != "excluded":
            cells.setdefault((group, role), []).append(bool(called))
    return tuple(SubjectCounts(group, role, len(calls), sum(calls)) for (group, role), calls in sorted(cells.items()))
