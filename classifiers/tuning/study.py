"""Which values are tried next, kept in a file that outlives a kill: Optuna, with a seed of its own for each trial.

Because trial 17 is drawn with the seed of trial 17, a tuning that was killed and goes on tries what an undisturbed one tries.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, Trial, TrialState

from classifiers.base import ClassifierError
from classifiers.tuning.objective import Direction
from classifiers.tuning.space import Space

FILE = "trials.db"
DRAWS = 1000  # of values that were not tried yet, before a space counts as exhausted
ENDED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


@dataclass(frozen=True)
class Search:
    """How values are chosen."""

    space: Space
    sampler: str  # "random" or "tpe"
    seed: int
    direction: Direction

    def sampler_of(self, number: int) -> optuna.samplers.BaseSampler:
        """Return what draws the values of that trial."""
        seed = int(np.random.SeedSequence([self.seed, number]).generate_state(1)[0])
        return optuna.samplers.TPESampler(seed=seed) if self.sampler == "tpe" else optuna.samplers.RandomSampler(seed=seed)


class Book:
    """The trials in their file: those that ended, and the one in work."""

    def __init__(self, folder: Path, search: Search) -> None:
        if "?" in str(folder):
            raise ClassifierError(f"{folder}: a folder for tuning cannot have a question mark in its name.")
        self._search = search
        self._storage = optuna.storages.RDBStorage(f"sqlite:///{(folder / FILE).resolve()}")
        pruner = optuna.pruners.MedianPruner() if search.sampler == "tpe" else optuna.pruners.NopPruner()
        self._study = optuna.create_study(
            storage=self._storage, study_name="tuning", direction=search.direction, load_if_exists=True, pruner=pruner
        )

    def close(self) -> None:
        self._storage.remove_session()
        self._storage.engine.dispose()

    def ended(self) -> list[FrozenTrial]:
        """Return the trials that ended, in their order."""
        return self._study.get_trials(deepcopy=False, states=ENDED)

    def next(self) -> Trial | None:
        """Return the trial that a kill left half done, or a new one; None where everything there is was tried."""
        if half := self._study.get_trials(deepcopy=False, states=[TrialState.RUNNING]):
            self._study.sampler = self._search.sampler_of(half[0].number)
            trial = Trial(self._study, half[0]._trial_id)
        else:
            number = len(self.ended())
            self._study.sampler = self._search.sampler_of(number)
            waiting = self._study.get_trials(deepcopy=False, states=[TrialState.WAITING])
            if self._search.sampler == "random" and not waiting:
                if (drawn := self._draw(number)) is None:
                    return None
                self._study.enqueue_trial(drawn)
            trial = self._study.ask()
        for key, distribution in self._search.space.items():
            suggest(trial, key, distribution)  # what was chosen before a kill stays chosen
        return trial

    def steps(self, trial: Trial) -> set[int]:
        """Return the epochs that a trial reported."""
        return set(self._study.get_trials(deepcopy=False)[trial.number].intermediate_values)

    def finish(self, trial: Trial, value: float | None, state: TrialState) -> None:
        """Write what a trial came to."""
        self._study.tell(trial, value if state == TrialState.COMPLETE else None, state=state)

    def twin(self, trial: Trial) -> FrozenTrial | None:
        """Return a trial of the same values that came to its end."""
        same = [each for each in self.ended() if each.state == TrialState.COMPLETE and each.params == trial.params]
        return same[0] if same else None

    def ranked(self) -> list[FrozenTrial]:
        """Return the trials that came to their end, the best one first; of equals the earliest."""
        sign = -1 if self._search.direction == "maximize" else 1
        complete = [each for each in self.ended() if each.state == TrialState.COMPLETE and each.value is not None]
        return sorted(complete, key=lambda each: (sign * (each.value or 0.0), each.number))

    def importances(self) -> dict[str, float]:
        """Return the share of each key in how much trials differ, the greatest first; empty where they are too few to tell."""
        ranked = self.ranked()
        if len(ranked) < 4 or ranked[0].value == ranked[-1].value:
            return {}
        evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
        return optuna.importance.get_param_importances(self._study, evaluator=evaluator)

    def _draw(self, number: int) -> dict[str, Any] | None:
        """Return values that no earlier trial has: to train the same twice would tell nothing."""
        tried = [each.params for each in self._study.get_trials(deepcopy=False)]
        study = optuna.create_study(sampler=self._search.sampler_of(number))
        for _ in range(DRAWS):
            drawn = study.ask(dict(self._search.space)).params
            if drawn not in tried:
                return drawn
        return None


def suggest(trial: Trial, key: str, distribution: BaseDistribution) -> None:
    """Choose a trial's value of one key."""
    match distribution:
        case CategoricalDistribution(choices=choices):
            trial.suggest_categorical(key, choices)
        case IntDistribution(low=low, high=high, step=step, log=log):
            trial.suggest_int(key, low, high, step=step, log=log)
        case FloatDistribution(low=low, high=high, step=step, log=log):
            trial.suggest_float(key, low, high, step=step, log=log)


@contextlib.contextmanager
def open_book(folder: Path, search: Search) -> Iterator[Book]:
    """Open the file of trials, with Optuna quiet."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with contextlib.closing(Book(folder, search)) as book:
            yield book
    finally:
        optuna.logging.set_verbosity(before)


def check_identity(path: Path, identity: Mapping[str, str], advice: str) -> None:
    """Raise ClassifierError where the folder's trials were made of something else; remember it where it has none."""
    if path.is_file():
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ClassifierError(f"{path} cannot be read: {error}. {advice}") from error
        changed = [name for name in sorted({*before, *identity}) if before.get(name) != identity.get(name)]
        if changed:
            raise ClassifierError(f"{path.parent} holds a tuning whose {' and '.join(changed)} was not the same. {advice}")
        return
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(dict(identity), indent=2) + "\n", encoding="utf-8")
    unfinished.replace(path)
