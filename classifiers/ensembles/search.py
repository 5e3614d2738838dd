"""Weights of an ensemble by Optuna's tree-structured Parzen estimator."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import optuna
from numpy.typing import NDArray

from classifiers.base import ClassifierError
from classifiers.ensembles.mixing import Floats, normalise, weighted_f1


@dataclass(frozen=True)
class SearchPlan:
    """How long is searched."""

    trials: int = 300

    def __post_init__(self) -> None:
        if self.trials < 1:
            raise ClassifierError(f"A search for weights needs 1 trial or more, not {self.trials}.")


def find_weights(probabilities: Floats, labels: NDArray[np.integer], seed: int, plan: SearchPlan) -> Floats:
    """Return the weights of members' `probabilities`, (members, n, k), that call `labels` best; of equals the most even ones.

    Equal weights and each member alone are tried first.
    """
    members = len(probabilities)
    names = [f"weight {number}" for number in range(members)]
    tried: list[tuple[float, float, Floats]] = []

    def judge(trial: optuna.Trial) -> float:
        weights = normalise(np.array([trial.suggest_float(name, 0, 1) for name in names]))
        score = float(weighted_f1(probabilities, labels, weights[None])[0])
        tried.append((score, -float((weights**2).sum()), weights))
        return score

    with quiet():
        study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed))
        for start in (np.ones(members), *np.eye(members)):
            study.enqueue_trial(dict(zip(names, start.tolist(), strict=True)))
        study.optimize(judge, n_trials=plan.trials)
    return max(tried, key=lambda each: each[:2])[2]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep Optuna from writing a line for each trial."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(before)
