"""Errors across models, counted by hand on eight cells."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from classifiers.evaluation import Answer, EvaluationError, analyse_errors, evaluate
from smearscan.testing.evaluations import drawn_set, make_card, make_predictions, make_samples

LABELS = [1, 1, 1, 1, 0, 0, 0, 0]
RIGHT = {  # which cells each model gets right
    "a": [1, 1, 1, 0, 1, 1, 0, 0],
    "b": [1, 1, 0, 0, 1, 1, 1, 0],
    "c": [1, 0, 1, 0, 1, 1, 0, 0],
}


def answers(right: Mapping[str, list[int]] = RIGHT) -> dict[str, Answer]:
    found = {}
    for name, cells in right.items():
        called = [label if good else 1 - label for label, good in zip(LABELS, cells, strict=True)]
        chances = [0.9 if each else 0.1 for each in called]
        found[name] = evaluate(make_card(), make_predictions(chances), make_samples(LABELS), draws=0).blast
    return found


def test_eight_cells_by_hand() -> None:
    found = analyse_errors(answers())
    assert found.missed_by == (3, 2, 1, 2), "cells 0, 4, 5 by none; 1 and 2 by one; 6 by two; 3 and 7 by all"
    assert found.times_missed.tolist() == [0, 1, 1, 3, 0, 0, 2, 3]
    assert found.missed_by_all.tolist() == [3, 7]
    assert found.all_miss == {"normal": 1, "blast": 1}
    assert found.alone_right == {"a": 0, "b": 1, "c": 0}
    assert found.alone_wrong == {"a": 0, "b": 1, "c": 1}
    first = found.pairs[0]
    assert (first.first, first.second) == ("a", "b")
    assert (first.called_differently, first.only_first_right, first.only_second_right, first.both_wrong) == (2, 1, 1, 2)


def test_a_model_against_itself_differs_in_nothing() -> None:
    samples, predictions = drawn_set()
    answer = evaluate(make_card(), predictions, samples).blast
    pair = analyse_errors({"one": answer, "again": answer}).pairs[0]
    assert pair.called_differently == 0
    assert (pair.difference.value, pair.difference.low, pair.difference.high) == (0, 0, 0)


def test_a_difference_is_drawn_with_both_models_on_the_same_subjects() -> None:
    """Two models that differ a little on the same subjects: the interval of the difference is far narrower than either's own."""
    samples, predictions = drawn_set(1200, 10)
    nudged = make_predictions(np.clip(predictions.probabilities[:, 1] + 0.02, 0, 1))
    found = {name: evaluate(make_card(), each, samples).blast for name, each in (("a", predictions), ("b", nudged))}
    difference = analyse_errors(found).pairs[0].difference
    own = found["a"].metrics["balanced_accuracy"]
    assert None not in (difference.low, difference.high, own.low, own.high)
    assert difference.high - difference.low < 0.5 * (own.high - own.low)  # type: ignore[operator]


def test_other_cells_cannot_be_compared() -> None:
    one = answers({"a": RIGHT["a"]})["a"]
    other = evaluate(make_card(), make_predictions([0.9, 0.1]), make_samples([1, 0]), draws=0).blast
    with pytest.raises(EvaluationError, match="other cells"):
        analyse_errors({"a": one, "b": other})
    with pytest.raises(EvaluationError, match="two models"):
        analyse_errors({"a": one})
