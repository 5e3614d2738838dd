"""An ensemble's recipe from labelled cells to its model folder: every member trained on the same split, then put together."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from classifiers import recipes
from classifiers.base import ClassifierError
from classifiers.calibration import read_rule
from classifiers.card import ModelCard
from classifiers.datasets import Samples
from classifiers.ensembles.combining import combine
from classifiers.ensembles.folder import MEMBERS
from classifiers.folder import CARD_FILE, read_card
from classifiers.recipes import EnsemblePlan, Recipe
from classifiers.splits import Split
from classifiers.training import Progress, Scale, train
from classifiers.training.checkpoint import HOW_TO_START_ANEW
from classifiers.training.model import begin, choose_precision
from classifiers.training.order import differing, half_name, identify
from classifiers.training.processes import choose_devices
from classifiers.training.progress import Show, Stop

IN_TRAINING = "members-training"  # where members are until all of them are there

Weights = str | Path | Mapping[str, str | Path] | None  # to begin with: for members that begin with some, or for each by its recipe's name


def train_ensemble(
    samples: Samples,
    recipe: Recipe,
    out: Path,
    *,
    split: Split,
    seed: int = 0,
    device: str = "auto",
    precision: str = "auto",
    weights: Weights = None,
    scale: Scale | None = None,
    threshold_rule: str = "youden",
    threads: int | None = None,
    checkpoint_every_s: float = 60.0,
    overwrite: bool = False,
    show: Show | None = None,
    stop: Stop | None = None,
    load_member: Callable[[str], Recipe] = recipes.load,
) -> ModelCard:
    """Train the members of the recipe's ensemble and put them together in the model folder `out`; return its card.

    The same call goes on where an earlier one ended: finished members are kept, a half-trained one goes on from its checkpoint.
    `load_member` gives the recipe of a member by its name. The other arguments are those of `training.train`.
    """
    plan = ensemble_plan(recipe)
    read_rule(threshold_rule)
    begin(out, overwrite=overwrite)
    nursery = out / IN_TRAINING
    if overwrite:
        for left in (nursery, out / MEMBERS):
            shutil.rmtree(left, ignore_errors=True)
    folders = []
    for number, name in enumerate(plan.members):
        member, folder = load_member(name), nursery / f"{number}-{Path(name).stem}"
        label = f"member {number + 1} of {len(plan.members)}, {member.name}"
        started_from = first_weights(member, name, weights)
        if (folder / CARD_FILE).is_file():
            targets = choose_devices(device)
            used = half_name(choose_precision(precision, targets[0]))
            wanted = identify(samples, member, split, seed=seed, weights=started_from, precision=used, devices=len(targets))
            _check_finished(folder, wanted)
        else:
            train(
                samples,
                member,
                folder,
                split=split,
                seed=seed,
                device=device,
                precision=precision,
                weights=started_from,
                scale=scale,
                threshold_rule=threshold_rule,
                threads=threads,
                checkpoint_every_s=checkpoint_every_s,
                cache=nursery / "cache",
                show=None if show is None else _labelled(show, label),
                stop=stop,
            )
        folders.append(folder)
    card = combine(
        folders,
        out,
        method=plan.method,
        options=plan.options,
        samples=samples,
        seed=seed,
        name=f"{recipe.name} on {samples.name}",
        threshold_rule=threshold_rule,
        device=device,
        show=None if show is None else lambda done, total: show(Progress("scoring cells", done, total, label="the ensemble")),
    )
    shutil.rmtree(nursery, ignore_errors=True)
    return card


def first_weights(member: Recipe, name: str, weights: Weights) -> str | Path | None:
    """Return what a member begins with: of weights that are given for all, nothing where its recipe begins without any."""
    if isinstance(weights, Mapping):
        return weights.get(name)
    return weights if member.network is not None and member.network.weights is not None else None


def ensemble_plan(recipe: Recipe) -> EnsemblePlan:
    """Return which members a recipe puts together; refuses one of a single network."""
    if recipe.ensemble is None:
        raise ClassifierError(f"The recipe {recipe.name!r} is of a single network, not of an ensemble: train it by itself.")
    return recipe.ensemble


def _check_finished(folder: Path, wanted: Mapping[str, str]) -> None:
    """Raise ClassifierError unless a finished member is what this call would train."""
    if changed := differing(read_card(folder).extra.get("identity", {}), wanted):
        raise ClassifierError(f"{folder} holds a finished member whose {' and '.join(changed)} was not the same. {HOW_TO_START_ANEW}")


def _labelled(show: Show, label: str) -> Show:
    return lambda progress: show(replace(progress, label=label))
