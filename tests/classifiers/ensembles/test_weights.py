"""Weights: the arithmetic of mixtures, and methods that find the best ones."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import f1_score

from classifiers.base import ClassifierError
from classifiers.ensembles.genetic import GeneticPlan, breed, find_weights, select
from classifiers.ensembles.mixing import check_weights, logits, mix, normalise, weighted_f1
from classifiers.ensembles.weights import choose_weights, rounded

Floats = NDArray[np.float64]


def random_probabilities(members: int, cells: int = 80, classes: int = 3, seed: int = 0) -> tuple[Floats, NDArray[np.int64]]:
    """Members that are right more often than not, each in its own way."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, cells)
    said = rng.dirichlet(np.ones(classes), (members, cells))
    said[:, np.arange(cells), labels] += rng.uniform(0, 0.5, (members, cells))
    return said / said.sum(axis=2, keepdims=True), labels


def planted(share: float, cells: int = 400) -> tuple[Floats, NDArray[np.int64]]:
    """Two members whose mixture is always right at this share of the first, and seldom a few hundredths away.

    Of each cell one member sees the truth and one does not; the odds lie just so that the true class wins at `share`.
    """
    rng = np.random.default_rng(1)
    labels = np.arange(cells) % 2
    first = np.where(np.arange(cells) % 4 < 2, 0.65, 0.35)  # probability of the true class
    margin = rng.uniform(0.0, 0.01, cells) + 1e-3
    second = (0.5 + margin - share * first) / (1 - share)
    true = np.stack([first, second])
    assert true.min() >= 0
    assert true.max() <= 1
    said = np.empty((2, cells, 2))
    said[:, np.arange(cells), labels] = true
    said[:, np.arange(cells), 1 - labels] = 1 - true
    return said, labels.astype(np.int64)


def grid(members: int, steps: int) -> Floats:
    counts = [each for each in itertools.product(range(steps + 1), repeat=members) if sum(each) == steps]
    return np.array(counts) / steps


def test_weighted_f1_is_that_of_scikit_learn() -> None:
    said, labels = random_probabilities(4, classes=5)
    weights = normalise(np.random.default_rng(2).random((30, 4)))
    expected = [f1_score(labels, mix(said, row).argmax(1), average="weighted", zero_division=0) for row in weights]
    np.testing.assert_allclose(weighted_f1(said, labels, weights), expected, rtol=1e-12)


def test_weighted_f1_of_a_class_that_is_never_called_or_never_there() -> None:
    said = np.array([[[0.8, 0.1, 0.1], [0.7, 0.2, 0.1], [0.1, 0.1, 0.8]]])
    labels = np.array([0, 1, 0])
    expected = f1_score(labels, [0, 0, 2], average="weighted", zero_division=0)
    assert weighted_f1(said, labels, np.ones((1, 1)))[0] == pytest.approx(expected, abs=1e-15)


def test_a_mixture_is_the_weighted_mean_and_its_logits_give_it_back() -> None:
    said, _ = random_probabilities(3)
    weights = np.array([0.5, 0.0, 0.5])
    mixed = mix(said, weights)
    np.testing.assert_allclose(mixed, (said[0] + said[2]) / 2, rtol=1e-14)
    np.testing.assert_allclose(np.exp(logits(mixed)), mixed, rtol=1e-14)
    np.testing.assert_array_equal(mix(said[:, 7:8], weights)[0], mixed[7])


def test_the_average_weighs_all_alike() -> None:
    said, labels = random_probabilities(3)
    weights = choose_weights("average", said, labels)
    np.testing.assert_allclose(weights, 1 / 3, atol=1e-6)
    assert weights.sum() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("share", [0.35, 0.5, 0.62])
@pytest.mark.parametrize("method", ["genetic", pytest.param("optuna", marks=pytest.mark.slow)])
def test_planted_weights_are_found(method: str, share: float) -> None:
    said, labels = planted(share)
    beside = weighted_f1(said, labels, np.array([[share - 0.1, 1.1 - share], [share + 0.1, 0.9 - share]]))
    assert beside.max() < 0.9, "the truth is planted at one place only"
    weights = choose_weights(method, said, labels, seed=4)
    assert weighted_f1(said, labels, weights[None])[0] > 0.99
    assert weights[0] == pytest.approx(share, abs=0.03)


@pytest.mark.parametrize(("members", "steps"), [(2, 1000), (3, 120)])
@pytest.mark.parametrize("method", ["genetic", pytest.param("optuna", marks=pytest.mark.slow)])
def test_no_weights_of_a_fine_grid_are_better(method: str, members: int, steps: int) -> None:
    options = {"trials": 150} if method == "optuna" else {}
    for seed in range(1 if options else 3):
        said, labels = random_probabilities(members, seed=seed)
        best = weighted_f1(said, labels, grid(members, steps)).max()
        found = weighted_f1(said, labels, choose_weights(method, said, labels, seed, options)[None])[0]
        cell = 1.5 / len(labels)  # a grid of 3 members misses some mixtures, and a search may miss a single cell
        assert found >= best - (0 if members == 2 and method == "genetic" else cell)


@pytest.mark.parametrize("method", ["genetic", "optuna"])
def test_the_seed_decides(method: str) -> None:
    said, labels = random_probabilities(4, cells=300)
    options = {"genetic": {"generations": 5, "runs": 1}, "optuna": {"trials": 30}}[method]
    first, again, other = (choose_weights(method, said, labels, seed, options) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_every_generation_has_as_many_weights_of_sum_1() -> None:
    rng = np.random.default_rng(0)
    plan = GeneticPlan(population=40, mutation=0.5)
    population = normalise(rng.random((40, 4)))
    children = breed(population, rng.random(40), rng, plan)
    assert children.shape == population.shape
    np.testing.assert_allclose(children.sum(axis=1), 1)
    assert children.min() >= 0


def test_children_are_averages_of_tournament_winners() -> None:
    population = np.eye(4)
    fitness = np.array([0.1, 0.9, 0.3, 0.2])
    rng = np.random.default_rng(0)
    assert set(select(fitness, 50, rng, tournament=200).tolist()) == {1}, "of so many drawn the fittest is always one"
    chosen = np.bincount(select(fitness, 4000, rng, tournament=2), minlength=4) / 4000
    np.testing.assert_allclose(chosen, [1 / 16, 7 / 16, 5 / 16, 3 / 16], atol=0.03)
    children = breed(population, fitness, rng, GeneticPlan(population=4, tournament=1, crossover=1, mutation=0))
    assert {tuple(row) for row in (children * 2).tolist()} <= {tuple((a + b).tolist()) for a, b in itertools.product(np.eye(4), repeat=2)}


def test_a_mutation_changes_one_gene_and_normalises_all() -> None:
    population = np.tile([0.1, 0.2, 0.3, 0.4], (200, 1))
    mutated = breed(population, np.ones(200), np.random.default_rng(0), GeneticPlan(population=200, crossover=1, mutation=1))
    ratios = mutated / population
    kept = np.isclose(ratios, np.median(ratios, axis=1, keepdims=True)).sum(axis=1)
    assert (kept == 3).mean() > 0.98, "three of four stand in the same proportion as before"


def test_one_run_of_no_generations_is_the_best_of_the_first_population() -> None:
    said, labels = random_probabilities(3)
    plan = GeneticPlan(population=25, generations=0, runs=1)
    population = normalise(np.random.default_rng([7, 0]).random((25, 3)))
    found = find_weights(said, labels, 7, plan)
    assert weighted_f1(said, labels, found[None])[0] == weighted_f1(said, labels, population).max()
    assert found.tolist() in population.tolist()


def test_rounded_weights_have_the_sum_1() -> None:
    short = rounded(np.array([1.0, 1.0, 1.0, 4.0]))
    assert short.tolist() == [0.142857, 0.142857, 0.142857, 0.571429]
    assert rounded(np.zeros(4)).tolist() == [0.25] * 4


@pytest.mark.parametrize(
    ("method", "options", "words"),
    [
        ("vote", {}, "named 'vote'"),
        ("average", {"runs": 2}, "no options"),
        ("genetic", {"size": 9}, "does not know the options"),
        ("genetic", {"tournament": 0}, "tournament >= 1"),
        ("genetic", {"mutation": 2}, "shares from 0 to 1"),
        ("optuna", {"trials": 0}, "1 trial or more"),
    ],
)
def test_what_is_not_understood_is_refused(method: str, options: dict[str, object], words: str) -> None:
    said, labels = random_probabilities(2)
    with pytest.raises(ClassifierError, match=words):
        choose_weights(method, said, labels, 0, options)


@pytest.mark.parametrize("weights", [[0.5], [0.7, 0.7], [-0.1, 1.1], [float("nan"), 1.0]])
def test_what_are_no_weights_is_refused(weights: list[float]) -> None:
    with pytest.raises(ClassifierError, match="of sum 1"):
        check_weights(weights, 2)
