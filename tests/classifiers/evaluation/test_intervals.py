"""The bootstrap over subjects: right in its parts, repeatable, and wide enough."""

from __future__ import annotations

import time

import numpy as np
import pytest

from classifiers.evaluation import evaluate
from classifiers.evaluation.intervals import FEWEST_GROUPS, Weighed, draw_groups, with_intervals
from classifiers.evaluation.matching import match_classes
from classifiers.evaluation.metrics import measure
from classifiers.evaluation.questions import ask_blast, ask_classes
from classifiers.evaluation.records import Question
from smearscan.testing.evaluations import FOUR, drawn_set, make_card, make_predictions, make_samples


def blast_question(cells: int = 600, groups: int = 12, seed: int = 0) -> Question:
    samples, predictions = drawn_set(cells, groups, seed)
    return ask_blast(make_card(), predictions.probabilities, match_classes(samples, make_card()), samples.groups)[0]


def class_question(cells: int = 400, groups: int = 10) -> Question:
    rng = np.random.default_rng(4)
    labels = rng.integers(3, size=cells)
    chances = rng.dirichlet(np.ones(4), cells).round(2)  # with ties
    chances[np.arange(cells), labels] += 0.4
    samples = make_samples(labels.tolist(), [f"S{each}" for each in rng.integers(groups, size=cells)], roles=FOUR)
    found = ask_classes(
        make_card(FOUR), chances / chances.sum(axis=1, keepdims=True), match_classes(samples, make_card(FOUR)), samples.groups
    )
    assert found is not None
    return found


@pytest.mark.parametrize("question", [blast_question(), class_question(), class_question(3000, 900)], ids=["two", "four", "many groups"])
def test_a_draw_of_every_group_once_gives_the_metrics_themselves(question: Question) -> None:
    once = Weighed(question).at(np.ones((1, int(question.groups.max()) + 1)))
    for name, value in measure(question).items():
        assert once[name][0] == pytest.approx(value, abs=1e-12, nan_ok=True), name


@pytest.mark.parametrize("question", [blast_question(300, 6), class_question()], ids=["two", "four"])
def test_a_draw_is_what_the_metrics_of_the_drawn_cells_are(question: Question) -> None:
    """The quick way, by weights, against the slow one: putting the drawn subjects' cells together and measuring them."""
    counts = next(draw_groups(int(question.groups.max()) + 1, 3, 5, len(question)))
    quick = Weighed(question).at(counts)
    for draw, often in enumerate(counts.astype(int)):
        rows = np.repeat(np.arange(len(question)), often[question.groups])
        taken = Question(
            **{name: getattr(question, name) for name in ("name", "classes", "roles", "rule")},
            **{name: getattr(question, name)[rows] for name in ("rows", "truth", "called", "scores", "groups")},
        )
        for name, value in measure(taken).items():
            assert quick[name][draw] == pytest.approx(value, abs=1e-12, nan_ok=True), (name, draw)


def test_draws_are_repeatable_whatever_fits_into_memory() -> None:
    draws = [np.concatenate(list(draw_groups(7, 40, 3, cells))) for cells in (10, 10, 400_000)]
    assert (draws[0] == draws[1]).all()
    assert (draws[0] == draws[2]).all()
    assert (draws[0].sum(axis=1) == 7).all()


def test_few_groups_give_no_interval_and_say_so() -> None:
    samples, predictions = drawn_set(groups=FEWEST_GROUPS - 1)
    found = evaluate(make_card(), predictions, samples)
    assert all(metric.low is None and "4 groups" in metric.note for metric in found.blast.metrics.values())


def test_a_class_of_few_groups_gives_no_interval_to_what_rests_on_it() -> None:
    rng = np.random.default_rng(0)
    labels = [1] * 100 + [0] * 20
    groups = [f"A{row % 10}" for row in range(100)] + [f"H{row % 2}" for row in range(20)]
    found = evaluate(make_card(), make_predictions(rng.random(120)), make_samples(labels, groups))
    assert found.blast.metrics["recall_blast"].low is not None
    assert found.blast.metrics["recall_normal"].note == "no interval: 2 groups bear on it, 5 are the least"
    assert found.blast.metrics["auc"].low is None
    assert any("Only 2 of the groups have normal cells" in each for each in found.notes)


def test_all_right_in_every_subject_is_no_interval_without_width() -> None:
    labels = [1, 0] * 30
    found = evaluate(make_card(), make_predictions(np.array(labels) * 0.9), make_samples(labels, [f"S{row % 6}" for row in range(60)]))
    metric = found.blast.metrics["accuracy"]
    assert (metric.value, metric.low) == (1.0, None)
    assert "the same in every draw" in metric.note


def test_intervals_are_of_subjects_and_so_wider_than_of_cells() -> None:
    samples, predictions = drawn_set(1200, 12)
    whole = evaluate(make_card(), predictions, samples).blast.metrics["balanced_accuracy"]
    alone = evaluate(make_card(), predictions, make_samples(samples.labels.tolist())).blast.metrics["balanced_accuracy"]
    assert None not in (whole.low, whole.high, alone.low, alone.high)
    assert whole.high - whole.low > 1.5 * (alone.high - alone.low)  # type: ignore[operator]


@pytest.mark.slow
def test_the_interval_covers_the_truth() -> None:
    """Of 100 samples of 30 subjects, whose sensitivity is 0.8 on average, about 95 intervals hold 0.8; below 88 something is wrong."""
    held = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        rates = rng.beta(8, 2, 30)
        right = rng.random((30, 20)) < rates[:, None]
        chances = np.concatenate([np.where(right.ravel(), 0.9, 0.1), rng.choice([0.2, 0.8], 600)])
        groups = [f"A{row // 20}" for row in range(600)] + [f"H{row // 20}" for row in range(600)]
        samples = make_samples([1] * 600 + [0] * 600, groups)
        question = ask_blast(make_card(), make_predictions(chances).probabilities, match_classes(samples, make_card()), samples.groups)[0]
        metric = with_intervals(question, 200)[0]["recall_blast"]
        assert metric.low is not None
        assert metric.high is not None
        held += metric.low <= 0.8 <= metric.high
    assert 88 <= held <= 100


@pytest.mark.slow
def test_six_thousand_cells_take_seconds() -> None:
    samples, predictions = drawn_set(6000, 37)
    begun = time.process_time()
    evaluate(make_card(), predictions, samples)
    assert time.process_time() - begun < 10


def test_no_draws_are_no_intervals() -> None:
    samples, predictions = drawn_set()
    assert all(metric.low is None for metric in evaluate(make_card(), predictions, samples, draws=0).blast.metrics.values())
