"""The arithmetic of an ensemble: weights of sum 1, weighted means of probabilities, and how good the result is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from classifiers.base import ClassifierError

Floats = NDArray[np.float64]
DIGITS = 6  # of a weight, as the card carries it and as everything is computed with it
SMALLEST = 1e-12  # of a mixed probability, before its logarithm is taken
LARGEST = 2**24  # numbers held at once when many mixtures are judged


def normalise(weights: Floats) -> Floats:
    """Return weights along the last axis of sum 1; even ones where all are 0."""
    sums = weights.sum(axis=-1, keepdims=True)
    even = np.full_like(weights, 1 / weights.shape[-1])
    normalised: Floats = np.divide(weights, sums, out=even, where=sums > 0)
    return normalised


def check_weights(weights: Sequence[float], members: int) -> Floats:
    """Return weights as numbers; refuses those that are no weights of so many members."""
    given = np.asarray(weights, np.float64)
    if given.shape != (members,) or not np.isfinite(given).all() or given.min() < 0 or abs(given.sum() - 1) > members * 10**-DIGITS:
        raise ClassifierError(f"An ensemble of {members} members needs as many weights from 0 on, of sum 1, not {list(weights)}.")
    return given


def mix(probabilities: Sequence[NDArray[np.floating]] | Floats, weights: Floats) -> Floats:
    """Return the weighted mean of members' probabilities, each (n, k); a member without weight is not looked at.

    Members are added one after the other, so that a row's bits do not depend on how many rows there are.
    """
    mixed = np.zeros_like(np.asarray(probabilities[0], np.float64))
    for member, weight in zip(probabilities, weights, strict=True):
        if weight > 0:
            mixed += weight * np.asarray(member, np.float64)
    return np.asarray(mixed / weights.sum(), np.float64)


def logits(mixed: Floats) -> Floats:
    """Return logarithms of mixed probabilities: with softmax and temperature 1 they give them back."""
    return np.log(np.maximum(mixed, SMALLEST))


def weighted_f1(probabilities: Floats, labels: NDArray[np.integer], weights: Floats) -> Floats:
    """Return the weighted F1 of many mixtures at once: of `probabilities`, (members, n, k), by each row of `weights`, (p, members).

    It is that of the most probable class, each class weighing as many cells as it truly has; what is never called scores 0.
    """
    members, cells, classes = probabilities.shape
    at_once = max(1, LARGEST // (cells * classes))
    flat = probabilities.reshape(members, -1)
    scores = [
        _f1_of_calls((weights[start : start + at_once] @ flat).reshape(-1, cells, classes).argmax(axis=2), labels, classes)
        for start in range(0, len(weights), at_once)
    ]
    return np.concatenate(scores)


def _f1_of_calls(called: NDArray[np.intp], labels: NDArray[np.integer], classes: int) -> Floats:
    """Return the weighted F1 of each row of `called`, (p, n)."""
    rows = np.arange(len(called))[:, None] * classes
    times_called = np.bincount((rows + called).ravel(), minlength=len(called) * classes).reshape(-1, classes)
    hits = (rows + np.where(called == labels, called, 0)).ravel()
    right = np.bincount(hits, (called == labels).ravel(), len(called) * classes).reshape(-1, classes)
    true = np.bincount(labels, minlength=classes)
    f1 = np.divide(2 * right, times_called + true, out=np.zeros_like(right), where=times_called + true > 0)
    return np.asarray(f1 @ true / len(labels), np.float64)
