"""Temperature, threshold and counts, against values that can be worked out otherwise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import roc_curve

from classifiers.base import ClassifierError
from classifiers.calibration import probabilities, read_rule, says_nothing, subject_counts, temperature, threshold
from smearscan.testing.evaluations import make_card


def draw_logits(count: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Return logits whose sigmoid is the true probability, and labels drawn from it."""
    random = np.random.default_rng(1)
    logits = random.normal(0.5, 2, count)
    return logits, (random.random(count) < expit(logits)).astype(np.int64)


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_the_temperature_undoes_what_the_logits_were_multiplied_by(factor: float) -> None:
    logits, labels = draw_logits()
    assert temperature(factor * logits[:, None], labels) == pytest.approx(factor, rel=0.04)
    softmax = np.stack([np.zeros_like(logits), factor * logits], axis=1)
    assert temperature(softmax, labels) == temperature(factor * logits[:, None], labels), "a sigmoid is a softmax of two"


def test_a_few_cells_without_a_mistake_do_not_make_a_network_certain() -> None:
    assert temperature(np.array([[-5.0], [-4.0], [6.0]]), np.array([0, 0, 1])) == pytest.approx(0.25, rel=0.01)
    with pytest.raises(ClassifierError, match="no cells"):
        temperature(np.zeros((0, 1)), np.zeros(0, np.int64))


def test_probabilities_are_those_of_both_activations() -> None:
    logits = np.array([[0.4], [-2.0]])
    found = probabilities(logits, "sigmoid", 2.0)
    np.testing.assert_allclose(found[:, 1], expit(logits[:, 0] / 2))
    np.testing.assert_allclose(found, probabilities(np.hstack([np.zeros((2, 1)), logits]), "softmax", 2.0))


def test_youden_is_where_scikit_learn_finds_it() -> None:
    logits, labels = draw_logits(500)
    scores = expit(logits)
    found = threshold(scores, labels == 1, "youden")
    false_positives, true_positives, _ = roc_curve(labels, scores)
    called = scores >= found
    sensitivity, specificity = called[labels == 1].mean(), (~called[labels == 0]).mean()
    assert sensitivity + specificity - 1 == pytest.approx((true_positives - false_positives).max())


@pytest.mark.parametrize("share", [0.8, 0.95])
def test_a_rate_that_is_asked_for_is_kept_and_no_more_than_needed(share: float) -> None:
    logits, labels = draw_logits(500)
    scores, blast = expit(logits), labels == 1
    low = threshold(scores, blast, f"specificity:{share}")
    assert (scores[~blast] < low).mean() >= share
    below = scores[scores < low].max()
    assert (scores[~blast] < below).mean() < share, "one score lower would be too low"
    high = threshold(scores, blast, f"sensitivity:{share}")
    assert (scores[blast] >= high).mean() >= share
    above = scores[scores > high][np.argsort(scores[scores > high])[1]]
    assert (scores[blast] >= above).mean() < share or above == high


def test_a_threshold_lies_between_scores_and_inside_0_and_1() -> None:
    scores, blast = np.array([0.1, 0.2, 0.7, 0.9]), np.array([False, False, True, True])
    assert threshold(scores, blast) == pytest.approx(0.45)
    assert threshold(scores, blast, "fixed:0.3") == 0.3
    all_alike = np.full(4, 0.5)
    assert 0 < threshold(all_alike, blast, "specificity:0.9") < 1
    assert 0 < threshold(all_alike, blast, "sensitivity:0.9") < 1


@pytest.mark.parametrize("rule", ["best", "fixed", "fixed:x", "fixed:0", "specificity:1.5", "youden:0.5"])
def test_a_rule_that_is_not_understood_is_refused(rule: str) -> None:
    with pytest.raises(ClassifierError, match="not understood"):
        read_rule(rule)


def test_a_threshold_needs_both_kinds_of_cells() -> None:
    with pytest.raises(ClassifierError, match="2 of 2"):
        threshold(np.array([0.1, 0.9]), np.array([True, True]))


def test_subjects_are_counted_by_what_their_cells_are() -> None:
    groups = ["B", "A", "A", "A", "B", "C"]
    roles = ["other", "blast", "blast", "other", "other", "excluded"]
    found = subject_counts(groups, roles, np.array([True, True, False, False, False, True]))  # type: ignore[arg-type]
    assert [(each.subject, each.role, each.cells, each.called_blast) for each in found] == [
        ("A", "blast", 2, 1),
        ("A", "other", 1, 0),
        ("B", "other", 2, 1),
    ]


@pytest.mark.parametrize(
    ("cooled_by", "called_from", "nothing"), [(1.5, 0.4, False), (20, 0.4, True), (1.5, 1e-4, True), (1.5, 0.9999, True)]
)
def test_a_calibration_at_its_limit_says_that_nothing_was_told_apart(cooled_by: float, called_from: float, nothing: bool) -> None:
    assert says_nothing(replace(make_card(), temperature=cooled_by, threshold=called_from)) is nothing
