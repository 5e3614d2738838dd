"""Every number against one worked out by hand or by scikit-learn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn import metrics as sk

from classifiers.base import Predictions
from classifiers.evaluation import EvaluationError, evaluate
from classifiers.evaluation.evaluating import accuracy_of_the_commonest
from smearscan.testing.evaluations import FOUR, drawn_set, make_card, make_predictions, make_samples

# Ten cells, threshold 0.5. Blasts: 0.9 0.8 0.7 0.6 0.2; others: 0.8 0.4 0.3 0.1 0.1. So TP 4, FN 1, FP 1, TN 4.
LABELS = [1, 1, 1, 1, 1, 0, 0, 0, 0, 0]
CHANCES = [0.9, 0.8, 0.7, 0.6, 0.2, 0.8, 0.4, 0.3, 0.1, 0.1]


def test_ten_cells_counted_by_hand() -> None:
    found = evaluate(make_card(), make_predictions(CHANCES), make_samples(LABELS), draws=0)
    value = found.value
    assert found.blast.question.confusion.tolist() == [[4, 1], [1, 4]]
    for name in ("accuracy", "balanced_accuracy", "recall_blast", "recall_normal", "precision_blast", "f1_blast", "weighted_f1"):
        assert value(name) == pytest.approx(0.8), name
    # Pairs that are in order, of 25: 5 under 0.9; 4.5, the 0.8 being a tie; 4; 4; 2.
    assert value("auc") == pytest.approx((5 + 4.5 + 4 + 4 + 2) / 25)
    # Precision at each step down: 1/1, then 0.8 of both kinds 2/3, 3/4, 4/5, and 0.2 after 0.4 and 0.3: 5/8.
    assert value("average_precision") == pytest.approx((1 + 2 / 3 + 3 / 4 + 4 / 5 + 5 / 8) / 5)
    squares = [0.01, 0.04, 0.09, 0.16, 0.64, 0.64, 0.16, 0.09, 0.01, 0.01]
    assert value("brier") == pytest.approx(sum(squares) / 10)
    logs = [math.log(each) for each in (0.9, 0.8, 0.7, 0.6, 0.2, 0.2, 0.6, 0.7, 0.9, 0.9)]
    assert value("nll") == pytest.approx(-sum(logs) / 10)
    assert accuracy_of_the_commonest(found.blast.question) == 0.5


def test_two_classes_agree_with_scikit_learn() -> None:
    samples, predictions = drawn_set()
    found = evaluate(make_card(threshold=0.37), predictions, samples, draws=0)
    truth, chances = samples.labels, found.blast.question.scores[:, 1]
    np.testing.assert_allclose(chances, predictions.probabilities[:, 1], atol=2e-6)
    called = chances >= 0.37
    expected = {
        "accuracy": sk.accuracy_score(truth, called),
        "balanced_accuracy": sk.balanced_accuracy_score(truth, called),
        "recall_blast": sk.recall_score(truth, called),
        "specificity_blast": sk.recall_score(truth, called, pos_label=0),
        "precision_blast": sk.precision_score(truth, called),
        "f1_normal": sk.f1_score(truth, called, pos_label=0),
        "macro_f1": sk.f1_score(truth, called, average="macro"),
        "weighted_f1": sk.f1_score(truth, called, average="weighted"),
        "weighted_precision": sk.precision_score(truth, called, average="weighted"),
        "auc": sk.roc_auc_score(truth, chances),
        "average_precision": sk.average_precision_score(truth, chances),
        "brier": sk.brier_score_loss(truth, chances),
        "nll": sk.log_loss(truth, chances),
    }
    for name, value in expected.items():
        assert found.value(name) == pytest.approx(value, abs=1e-12), name


def four_classes(cells: int = 300) -> tuple[np.ndarray, Predictions]:
    rng = np.random.default_rng(3)
    labels = rng.integers(3, size=cells)
    chances = rng.dirichlet(np.ones(4), cells)
    chances[np.arange(cells), labels] += 0.4
    return labels, Predictions((chances / chances.sum(axis=1, keepdims=True)).astype(np.float32), tuple(FOUR))


def test_many_classes_agree_with_scikit_learn() -> None:
    labels, predictions = four_classes()
    found = evaluate(make_card(FOUR), predictions, make_samples(labels.tolist(), roles=FOUR), draws=0)
    assert found.classes is not None
    chances = predictions.probabilities.astype(np.float64).round(6)
    called = chances.argmax(axis=1)
    present = [0, 1, 2]
    assert found.value("accuracy") == pytest.approx(sk.accuracy_score(labels, called))
    assert found.value("macro_f1") == pytest.approx(sk.f1_score(labels, called, average="macro", labels=present))
    assert found.value("weighted_f1") == pytest.approx(sk.f1_score(labels, called, average="weighted", labels=present))
    areas = [sk.roc_auc_score(labels == column, chances[:, column]) for column in present]
    assert found.value("auc_BLA") == pytest.approx(areas[2])
    assert found.value("auc") == pytest.approx(np.mean(areas))
    assert found.value("weighted_auc") == pytest.approx(np.average(areas, weights=np.bincount(labels)))
    squares = ((chances - np.eye(4)[labels]) ** 2).sum(axis=1)
    assert found.value("brier") == pytest.approx(squares.mean())
    assert found.classes.metrics["recall_ART"].value is None, "no cell is of that class"
    assert "lacks" in found.classes.metrics["recall_ART"].note


def test_an_excluded_call_is_no_call_of_blast() -> None:
    # P(blast) among those that count is 0.25 / 0.35 = 0.71, but the cell is called an artefact.
    chances = np.array([[0.05, 0.05, 0.25, 0.65], [0.1, 0.1, 0.8, 0.0], [0.8, 0.1, 0.1, 0.0]], np.float32)
    found = evaluate(make_card(FOUR), Predictions(chances, tuple(FOUR)), make_samples([2, 2, 0], roles=FOUR), draws=0)
    assert found.blast.question.called.tolist() == [0, 1, 0]
    assert found.blast.called_excluded == 1
    assert any("called a class that counts for nothing" in each for each in found.notes)
    assert found.blast.question.scores[0, 1] == pytest.approx(0.714286)


def test_the_order_of_the_cells_changes_no_number() -> None:
    samples, predictions = drawn_set()
    chances = predictions.probabilities.round(2)  # with many ties
    order = np.random.default_rng(8).permutation(len(samples))
    first = evaluate(make_card(), Predictions(chances, predictions.classes), samples, draws=50)
    second = evaluate(make_card(), Predictions(chances[order], predictions.classes), samples.take(order), draws=50)
    for kind, spread in first.spread.items():
        assert spread.worst_group == second.spread[kind].worst_group
        assert (spread.worst, spread.median) == pytest.approx((second.spread[kind].worst, second.spread[kind].median), abs=1e-12)
    for name, metric in first.blast.metrics.items():
        other = second.blast.metrics[name]
        assert metric.value == pytest.approx(other.value, abs=1e-12), name
        assert metric.low == pytest.approx(other.low, abs=1e-12), name


@pytest.mark.parametrize(("labels", "lacking"), [([0, 0, 0], "'blast'"), ([1, 1], "'other'")])
def test_data_of_one_kind_is_refused_with_its_classes(labels: list[int], lacking: str) -> None:
    with pytest.raises(EvaluationError, match=rf"no cell of role {lacking}.*normal \(other, {labels.count(0)} cells\).*--map"):
        evaluate(make_card(), make_predictions([0.5] * len(labels)), make_samples(labels))


def test_no_cells_and_foreign_predictions_are_refused() -> None:
    with pytest.raises(EvaluationError, match="no cells"):
        evaluate(make_card(), make_predictions([]), make_samples([]))
    with pytest.raises(EvaluationError, match=r"3 predictions .* 2 cells"):
        evaluate(make_card(), make_predictions([0.1, 0.2, 0.3]), make_samples([0, 1]))


def test_probabilities_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(EvaluationError, match="1 of 2 cells"):
        evaluate(make_card(), make_predictions([0.1, math.nan]), make_samples([0, 1]))


def test_an_unknown_metric_names_the_known_ones() -> None:
    found = evaluate(make_card(), make_predictions(CHANCES), make_samples(LABELS), draws=0)
    with pytest.raises(EvaluationError, match=r"no metric 'f2'.*recall_blast"):
        found.value("f2")
