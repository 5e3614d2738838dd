"""What the verbs that learn and judge share: labelled cells from the command line, and the library's errors in the user's words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from smearscan.errors import ConfigError, PluginError

if TYPE_CHECKING:
    from classifiers.datasets import Samples
    from classifiers.datasets.checking import DataReport
    from classifiers.recipes import Recipe
    from classifiers.splits import Split

Command = TypeVar("Command", bound=Callable[..., Any])


@contextmanager
def told_plainly() -> Iterator[None]:
    """Turn errors of `classifiers` into those that end the program with a sentence and an exit code.

    What the user gave makes no sense (a data set, a split, a recipe): ConfigError, exit 2. A network, weights or a model
    folder cannot be had or does not fit: PluginError, exit 4. Anything else is a bug and keeps its traceback.
    """
    from classifiers.base import ClassifierError
    from classifiers.datasets import DatasetError
    from classifiers.recipes import RecipeError

    try:
        yield
    except (DatasetError, RecipeError) as error:
        raise ConfigError(str(error)) from error
    except ClassifierError as error:
        raise PluginError(str(error)) from error


def data_options(command: Command) -> Command:
    """Give a verb the options that say how labelled cells are read; hand them on to `load_samples`."""
    kinds = "cnmc, all-idb1, all-idb2, munich, aria, folders or csv"
    options = (
        click.option("--kind", metavar="KIND", help=f"What DATA is: {kinds}. Default: found out from its files."),
        click.option(
            "--role", "roles", multiple=True, metavar="CLASS=ROLE", help="A class is a blast, other or excluded. May be repeated."
        ),
        click.option(
            "--data-option",
            "data_settings",
            multiple=True,
            metavar="KEY=VALUE",
            help="A setting of this kind, as step_px=50. May be repeated.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def load_samples(data: Path, kind: str | None = None, roles: Sequence[str] = (), data_settings: Sequence[str] = ()) -> Samples:
    """Return the labelled cells that DATA and the options of `data_options` name; call it inside `told_plainly`."""
    from classifiers.datasets import load

    settings: dict[str, Any] = dict(_pair(each, "--data-option", "step_px=50") for each in data_settings)
    if roles:
        settings["roles"] = dict(_pair(each, "--role", "lymphoblast=blast") for each in roles)
    return load(data, kind, **settings)


def _pair(text: str, option: str, example: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise ConfigError(f"{option} {text!r} must be written as {option} {example}.")
    return key, value


def choose_split(samples: Samples, name: str, shares: Sequence[float], seed: int, *, allow_leaks: bool) -> tuple[Samples, Split]:
    """Return the split that --split names, a kind or a CSV, and the samples with the groups it keeps together.

    A split by subject is made of groups that share no cell; a split that was given or published is refused where it leaks.
    Call it inside `told_plainly`.
    """
    from classifiers import splits
    from classifiers.datasets import checking

    if name == "subject" and not allow_leaks:
        samples = keep_lookalikes_together(samples)
    if name in splits.KINDS and name != "given":
        split = splits.split_samples(samples, name, shares, seed)
    else:
        split = splits.read_split(Path(name), samples)
    if not allow_leaks and split.kind not in {"subject", "random"}:
        with _looking(samples) as show:
            report = checking.refuse_leaks(samples, split, show)
        if report is not None:
            samples = _told_and_joined(samples, report)  # so that models of one split name its groups alike, wherever it is from
    return samples, split


def keep_lookalikes_together(samples: Samples) -> Samples:
    """Return the samples with one group for subjects that show the same cells, and say which those are."""
    from classifiers.datasets import checking
    from classifiers.splits import require_subjects

    require_subjects(samples)  # before every picture is looked at for nothing
    with _looking(samples) as show:
        report = checking.check(samples, show=show)
    return _told_and_joined(samples, report)


def _told_and_joined(samples: Samples, report: DataReport) -> Samples:
    from classifiers.datasets import checking
    from smearscan import console

    for join in report.joins:
        console.say(f"{', '.join(join)} show the same cells, so they count as one subject.")
    return checking.joined(samples, report)


def warn_of_random_weights(recipe: Recipe, given: str | None) -> None:
    """Say where a recipe that begins with published weights is to begin with random ones, which makes it another system."""
    from classifiers import recipes
    from smearscan import console

    members = [recipe] if recipe.ensemble is None else [recipes.load(name) for name in recipe.ensemble.members]
    lacking = [each for each in members if each.network is not None and each.network.weights is not None]
    if given is not None or not lacking:
        return
    frozen = " What is frozen stays random." if any(stage.frozen for each in lacking for stage in each.stages) else ""
    names = ", ".join(each.name for each in lacking)
    weights = ", ".join(sorted({str(each.network.weights) for each in lacking if each.network is not None}))
    console.warn(f"{names}: the paper began with the weights {weights}; without --weights all begins with random numbers.{frozen}")


@contextmanager
def _looking(samples: Samples) -> Iterator[Callable[[int], None]]:
    from smearscan import console

    with console.progress("looking for the same cell twice", len(samples)) as bar:
        yield lambda done: bar.update(done, len(samples), {})
