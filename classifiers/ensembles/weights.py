"""How much each member of an ensemble counts, by the name of the method; always chosen on validation cells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, get_args

import numpy as np
from numpy.typing import NDArray

from classifiers.base import ClassifierError
from classifiers.ensembles import genetic
from classifiers.ensembles.mixing import DIGITS, Floats, normalise
from classifiers.recipes import Combination

METHODS: tuple[str, ...] = get_args(Combination)
Plan = TypeVar("Plan")


def choose_weights(
    method: str, probabilities: Floats, labels: NDArray[np.integer], seed: int = 0, options: Mapping[str, Any] | None = None
) -> Floats:
    """Return weights of sum 1 for members whose `probabilities` of the validation cells are (members, n, k).

    "average": equal ones. "genetic": by the genetic algorithm, whose `options` are those of GeneticPlan. "optuna": by search,
    whose `options` are those of SearchPlan. The same seed gives the same weights, rounded to the digits that a card carries.
    """
    options = dict(options or {})
    if probabilities.shape[:2] != (len(probabilities), len(labels)) or not len(labels):
        raise ClassifierError(f"Probabilities of shape {probabilities.shape} cannot be judged by {len(labels)} validation cells.")
    match method:
        case "average":
            if options:
                raise ClassifierError(f"An average has no options; {sorted(options)} are for genetic or optuna.")
            found = np.ones(len(probabilities))
        case "genetic":
            found = genetic.find_weights(probabilities, labels, seed, _plan(genetic.GeneticPlan, options, method))
        case "optuna":
            from classifiers.ensembles import search

            found = search.find_weights(probabilities, labels, seed, _plan(search.SearchPlan, options, method))
        case _:
            raise ClassifierError(f"There is no way to combine models named {method!r}. Known: {', '.join(METHODS)}.")
    return rounded(found)


def rounded(weights: Floats) -> Floats:
    """Return weights with as many digits as a card carries; the largest takes up what is missing to 1."""
    short = np.round(normalise(weights), DIGITS)
    largest = int(short.argmax())
    short[largest] = round(1 - float(np.delete(short, largest).sum()), DIGITS)
    return short


def _plan(kind: type[Plan], options: Mapping[str, Any], method: str) -> Plan:
    try:
        return kind(**options)
    except TypeError as error:
        known = ", ".join(kind.__annotations__)
        raise ClassifierError(f"{method} does not know the options {sorted(options)}. It knows {known}.") from error
