"""Weights of an ensemble by a genetic algorithm, as Baldi and Cioffo describe it in section 3.4.3.1.

A chromosome is one weight for each member, real numbers of sum 1, drawn at random to begin with. Fitness is the weighted F1 of
the validation cells. Parents are chosen by k-tournament; a child is the average of two parents, normalised; in a mutation one
gene is replaced by a random number in [0, 1], and all are normalised again. The population keeps its size. The whole is run
several times from different populations, and the best weights that were ever seen are taken.

The paper chose sizes and rates "experimentally" and does not say them: the defaults here are ours. Many weights have the same
F1, which only changes where a cell is called something else; of equals the most even ones are taken.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classifiers.base import ClassifierError
from classifiers.ensembles.mixing import Floats, normalise, weighted_f1


@dataclass(frozen=True)
class GeneticPlan:
    """Sizes and rates of the algorithm."""

    population: int = 50
    generations: int = 60
    tournament: int = 5  # k: so many are drawn, and the fittest of them is a parent
    crossover: float = 0.8  # of children: the others are copies of their first parent
    mutation: float = 0.2  # of children
    runs: int = 5

    def __post_init__(self) -> None:
        if self.population < 2 or self.generations < 0 or self.tournament < 1 or self.runs < 1:
            raise ClassifierError(
                f"A genetic algorithm needs population >= 2, generations >= 0, tournament >= 1 and runs >= 1, "
                f"not {self.population}, {self.generations}, {self.tournament}, {self.runs}."
            )
        if not (0 <= self.crossover <= 1 and 0 <= self.mutation <= 1):
            raise ClassifierError(f"crossover and mutation are shares from 0 to 1, not {self.crossover} and {self.mutation}.")


def find_weights(probabilities: Floats, labels: NDArray[np.integer], seed: int, plan: GeneticPlan) -> Floats:
    """Return the weights of members' `probabilities`, (members, n, k), that call `labels` best."""
    best: tuple[float, float] | None = None
    found = np.empty(0)
    for run in range(plan.runs):
        rng = np.random.default_rng([seed, run])
        population = normalise(rng.random((plan.population, len(probabilities))))
        for generation in range(plan.generations + 1):
            fitness = weighted_f1(probabilities, labels, population)
            evenness: Floats = -np.square(population).sum(axis=1)
            score, even, first = max(zip(fitness.tolist(), evenness.tolist(), range(plan.population), strict=True))
            if best is None or (score, even) > best:
                best, found = (score, even), population[first]
            if generation < plan.generations:
                population = breed(population, fitness, rng, plan)
    return found


def breed(population: Floats, fitness: Floats, rng: np.random.Generator, plan: GeneticPlan) -> Floats:
    """Return the next generation, as many as this one."""
    size, genes = population.shape
    first = select(fitness, size, rng, plan.tournament)
    second = select(fitness, size, rng, plan.tournament)
    crossed = np.less(rng.random((size, 1)), plan.crossover)
    children = np.where(crossed, normalise((population[first] + population[second]) / 2), population[first])
    mutated = np.flatnonzero(rng.random(size) < plan.mutation)
    children[mutated, rng.integers(0, genes, len(mutated))] = rng.random(len(mutated))
    children[mutated] = normalise(children[mutated])
    return children


def select(fitness: Floats, count: int, rng: np.random.Generator, tournament: int) -> NDArray[np.intp]:
    """Return `count` parents, each the fittest of `tournament` that are drawn."""
    drawn = rng.integers(0, len(fitness), (count, tournament))
    parents: NDArray[np.intp] = drawn[np.arange(count), fitness[drawn].argmax(axis=1)]
    return parents
