"""A tuning as one call: what must be the same to go on, the trials, and what they leave."""

from __future__ import annotations

import json
import shutil
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import filelock
import numpy as np

from classifiers.base import ClassifierError
from classifiers.card import ModelCard
from classifiers.datasets import Samples
from classifiers.recipes import Recipe, RecipeError, TuningPlan
from classifiers.splits import TEST, Split, write_split
from classifiers.training import Scale
from classifiers.training.checkpoint import HOW_TO_START_ANEW
from classifiers.training.model import choose_precision
from classifiers.training.order import half_name, identify
from classifiers.training.processes import choose_devices
from classifiers.training.progress import Stop
from classifiers.tuning.course import CACHE, MODEL, REFIT, TRIALS, Course, How, Show
from classifiers.tuning.figure import write_trials_png
from classifiers.tuning.objective import direction_of
from classifiers.tuning.space import describe_space, read_space
from classifiers.tuning.study import Search, check_identity, open_book
from classifiers.tuning.table import TrialRow

LOCK = "tuning.lock"
OURS = ("tuning.json", "trials.db", "trials.csv", "trials.png", "best.toml", "split.csv", REFIT)


@dataclass(frozen=True)
class Tuned:
    """What a tuning came to."""

    rows: tuple[TrialRow, ...]
    best: TrialRow
    recipe: Recipe  # with the best values; also in best.toml
    card: ModelCard | None  # of the model that was trained by it at the end, where that was asked for


def tune(
    samples: Samples,
    recipe: Recipe,
    out: Path,
    *,
    split: Split,
    trials: int | None = None,
    seed: int = 0,
    device: str = "auto",
    precision: str = "auto",
    weights: str | Path | None = None,
    scale: Scale | None = None,
    threshold_rule: str = "youden",
    threads: int | None = None,
    keep: int = 1,
    refit: bool = False,
    overwrite: bool = False,
    show: Show | None = None,
    stop: Stop | None = None,
) -> Tuned:
    """Train the recipe with other values again and again, as its [tuning] says, and write to `out` what was best.

    Trials are judged by the validation cells; the test cells are taken away before the first one. `refit` trains the best recipe
    once more, and tests that model. The same call goes on where an earlier one ended, and `trials` may then be more; whatever
    else decides the result must be the same. `keep` is of how many trials, the best, the models stay.
    """
    plan = _plan(recipe)
    space, direction = read_space(recipe), direction_of(plan.metric)
    wanted = trials or plan.trials
    how = How(device, precision, weights, scale, threshold_rule, threads, seed, stop)
    with ExitStack() as open_things:
        _begin(out, open_things, overwrite=overwrite)
        seen, parts = without_test(samples, split)
        search = Search(space, plan.sampler, seed, direction)
        check_identity(out / "tuning.json", _identity(seen, recipe, parts, how, search), HOW_TO_START_ANEW)
        write_split(out / "split.csv", samples, split)
        book = open_things.enter_context(open_book(out, search))
        course = Course(seen, parts, recipe, out, book, space, plan, how, wanted, max(keep, 1), show)
        rows = course.run()
        write_trials_png(out / "trials.png", rows, metric=plan.metric, importances=book.importances(), title=recipe.name)
        best, found = course.best(), course.best_recipe()
        card = course.refit(samples, split) if refit else None
    shutil.rmtree(out / CACHE, ignore_errors=True)
    return Tuned(rows, best, found, card)


def without_test(samples: Samples, split: Split) -> tuple[Samples, Split]:
    """Return the cells that a tuning may look at, and their parts: all but those that the result is tested on."""
    rows = np.flatnonzero(split.parts != TEST)
    return samples.take(rows), replace(split, parts=split.parts[rows])


def _plan(recipe: Recipe) -> TuningPlan:
    if recipe.ensemble is not None:
        raise RecipeError(f"The recipe {recipe.name!r} is of an ensemble. Tune its members, each by itself.")
    read_space(recipe)
    assert recipe.tuning is not None
    return recipe.tuning


def _begin(out: Path, open_things: ExitStack, *, overwrite: bool) -> None:
    """Make the folder ours: no other call may work in it, and with `overwrite` it is emptied of an earlier one's files."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        open_things.enter_context(filelock.FileLock(out / LOCK, timeout=0))
    except filelock.Timeout as error:
        raise ClassifierError(f"{out} is being tuned by another process. Wait for it, or give another folder.") from error
    except OSError as error:
        raise ClassifierError(f"{out} cannot be written: {error.strerror}. Choose another folder.") from error
    if overwrite:
        for name in OURS:
            (out / name).unlink(missing_ok=True)
        for name in (TRIALS, CACHE, MODEL):
            shutil.rmtree(out / name, ignore_errors=True)


def _identity(samples: Samples, recipe: Recipe, split: Split, how: How, search: Search) -> dict[str, str]:
    """Return what must be the same for a tuning to be gone on with, each by its name."""
    assert recipe.tuning is not None
    plain = Recipe.from_mapping(recipe.name, {key: value for key, value in recipe.values.items() if key != "tuning"})
    targets = choose_devices(how.device)
    used = half_name(choose_precision(how.precision, targets[0]))
    decides = identify(samples, plain, split, seed=how.seed, weights=how.weights, precision=used, devices=len(targets))
    spaces = {f"space of {key}": json.dumps(each, sort_keys=True) for key, each in describe_space(search.space).items()}
    return {**decides, "sampler": search.sampler, "metric": recipe.tuning.metric, **spaces}
