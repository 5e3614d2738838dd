"""The trials of a tuning: each a training of its own that is told, watched, judged and cleared away."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from optuna.trial import FrozenTrial, Trial, TrialState

from classifiers.base import ClassifierError
from classifiers.card import ModelCard
from classifiers.datasets import Samples
from classifiers.folder import CARD_FILE, WEIGHTS_FILE, read_card
from classifiers.recipes import Recipe, TuningPlan
from classifiers.splits import Split
from classifiers.training import Epoch, Progress, Scale, TrainingDiverged, TrainingStopped, train
from classifiers.training.progress import Stop
from classifiers.tuning.objective import halfway, judge
from classifiers.tuning.space import Space, decode_all
from classifiers.tuning.study import Book
from classifiers.tuning.table import TrialRow, best_recipe, replace_text, write_best, write_trials

TRIALS, CACHE, MODEL, REFIT = "trials", "cache", "model", "refit.json"
HEAVY = (CARD_FILE, WEIGHTS_FILE, "training/predictions.csv", "training/split.csv", "training/checkpoint.pt")
STATES = {TrialState.COMPLETE: "finished", TrialState.PRUNED: "cut short", TrialState.FAIL: "failed"}


@dataclass(frozen=True)
class TuningProgress:
    """How far a tuning is."""

    number: int  # of the trial in work, from 0
    trials: int
    ended: int
    changes: Mapping[str, Any]  # what the trial in work changes in the recipe
    best: TrialRow | None
    training: Progress | None = None  # how far the trial is


Show: TypeAlias = Callable[[TuningProgress], None]


@dataclass(frozen=True)
class How:
    """What every training of a tuning is told alike."""

    device: str
    precision: str
    weights: str | Path | None
    scale: Scale | None
    threshold_rule: str
    threads: int | None
    seed: int
    stop: Stop | None

    def train(
        self, samples: Samples, recipe: Recipe, out: Path, split: Split, *, cache: Path, show: Callable[[Progress], None], stop: Stop | None
    ) -> ModelCard:
        return train(
            samples,
            recipe,
            out,
            split=split,
            seed=self.seed,
            device=self.device,
            precision=self.precision,
            weights=self.weights,
            scale=self.scale,
            threshold_rule=self.threshold_rule,
            threads=self.threads,
            cache=cache,
            show=show,
            stop=stop,
        )


@dataclass(frozen=True)
class Course:
    """The trials of one call."""

    samples: Samples
    split: Split
    recipe: Recipe
    out: Path
    book: Book
    space: Space
    plan: TuningPlan
    how: How
    wanted: int
    keep: int
    show: Show | None

    def run(self) -> tuple[TrialRow, ...]:
        while len(self.book.ended()) < self.wanted and (trial := self.book.next()) is not None:
            self._try(trial)
            self._write()
        self._write()
        return self.rows()

    def rows(self) -> tuple[TrialRow, ...]:
        return tuple(self._row(each) for each in self.book.ended())

    def best(self) -> TrialRow:
        """Return the best trial; raises ClassifierError where none came to its end."""
        if not (ranked := self.book.ranked()):
            reasons = [row.reason for row in self.rows() if row.reason]
            raise ClassifierError(f"None of {len(self.rows())} trials came to its end. {reasons[0] if reasons else ''}".strip())
        return self._row(ranked[0])

    def best_recipe(self) -> Recipe:
        return best_recipe(self.recipe, self.best())

    def refit(self, samples: Samples, split: Split) -> ModelCard:
        """Train the best recipe once more, with the test cells; what an earlier call made by the same values is taken as it is."""
        folder, mark, changes = self.out / MODEL, self.out / REFIT, self.best().changes
        made_by = json.dumps(changes, sort_keys=True) + "\n"
        if not mark.is_file() or mark.read_text(encoding="utf-8") != made_by:
            shutil.rmtree(folder, ignore_errors=True)
            replace_text(mark, made_by)
        if (folder / CARD_FILE).is_file():
            return read_card(folder)
        ended = len(self.book.ended())
        return self.how.train(
            samples,
            self.best_recipe(),
            folder,
            split,
            cache=self.out / CACHE,
            show=lambda training: self.tell(ended, changes, training),
            stop=self.how.stop,
        )

    def tell(self, number: int, changes: Mapping[str, Any], training: Progress | None) -> None:
        if self.show is not None:
            ranked = self.book.ranked()
            best = self._row(ranked[0]) if ranked else None
            self.show(TuningProgress(number, self.wanted, len(self.book.ended()), changes, best, training))

    def _try(self, trial: Trial) -> None:
        """Run one trial to whatever end it comes to; what stops the tuning leaves it to be gone on with."""
        changes = decode_all(self.space, trial.params)
        folder = self.out / TRIALS / f"{trial.number:04d}"
        watch = _Watch(self, trial, changes)
        try:
            if (twin := self.book.twin(trial)) is not None:
                trial.set_user_attr("reason", f"the same as trial {twin.number}")
                self.book.finish(trial, twin.value, TrialState.COMPLETE)
                return
            if (folder / CARD_FILE).is_file():  # it was killed after its training
                card = read_card(folder)
            else:
                changed, cache = self.recipe.changed(changes), self.out / CACHE
                card = self.how.train(self.samples, changed, folder, self.split, cache=cache, show=watch.see, stop=watch.ask)
            for name, value in _course_of(folder, card).items():
                trial.set_user_attr(name, value)
            self.book.finish(trial, judge(self.plan.metric, card, folder / "training" / "predictions.csv"), TrialState.COMPLETE)
        except TrainingDiverged as error:
            trial.set_user_attr("reason", str(error))
            self.book.finish(trial, None, TrialState.FAIL)
        except TrainingStopped:
            if not watch.hopeless:
                raise
            trial.set_user_attr("epochs", watch.epochs)
            trial.set_user_attr("reason", "worse than the median of the trials before it at the same epoch")
            self.book.finish(trial, None, TrialState.PRUNED)

    def _write(self) -> None:
        """Write table and best recipe, and let go of the models that are not among the best."""
        write_trials(self.out / "trials.csv", self.rows(), self.plan.metric, list(self.space))
        ranked = self.book.ranked()
        if ranked:
            write_best(self.out / "best.toml", self.best_recipe())
        kept = {each.number for each in ranked[: self.keep]}
        for each in self.book.ended():
            if each.number not in kept:
                for name in HEAVY:  # the card first: without it the rest is no model
                    (self.out / TRIALS / f"{each.number:04d}" / name).unlink(missing_ok=True)

    def _row(self, trial: FrozenTrial) -> TrialRow:
        said = trial.user_attrs
        changes = decode_all(self.space, trial.params)
        reason = str(said.get("reason", ""))
        value = trial.value if trial.state == TrialState.COMPLETE else None  # of one cut short Optuna keeps what it had by then
        return TrialRow(trial.number, STATES[trial.state], value, changes, said.get("epochs"), said.get("seconds"), reason)


class _Watch:
    """Listens to a trial's training: reports each epoch, and ends it where it is hopeless."""

    def __init__(self, course: Course, trial: Trial, changes: Mapping[str, Any]) -> None:
        self._course, self._trial, self._changes = course, trial, changes
        self._last: Epoch | None = None
        self.epochs = 0
        self.hopeless = False

    def see(self, progress: Progress) -> None:
        if progress.last is not None and progress.last != self._last:
            self._last = progress.last
            self._report(progress.last)
        self._course.tell(self._trial.number, self._changes, progress)

    def ask(self) -> bool:
        return self.hopeless or (self._course.how.stop is not None and self._course.how.stop())

    def _report(self, epoch: Epoch) -> None:
        stages = self._course.recipe.changed(self._changes).stages
        self.epochs = sum(stage.epochs for stage in stages[: epoch.stage - 1]) + epoch.epoch
        known = self._course.book.steps(self._trial)
        if self.epochs not in known:  # after a kill the last epochs may come again
            self._trial.report(halfway(self._course.plan.metric, epoch), self.epochs)
        self.hopeless = self._trial.should_prune()


def _course_of(folder: Path, card: ModelCard) -> dict[str, float]:
    """Return how long a trial's training was."""
    times = json.loads((folder / "training" / "times.json").read_text(encoding="utf-8"))
    epochs = sum(stage["epochs"] for stage in card.extra["training"]["stages"])
    return {"epochs": epochs, "seconds": round(sum(times["seconds"].values()), 3)}
