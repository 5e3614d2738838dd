"""What comes out when the published systems are trained here, on a random split of cells as in the papers and on one by subject?

    python benchmarks/reproduce.py --data DIR [--recipes cnn5-128 ...] [--splits random subject] [--out FOLDER] [--write]

DIR holds a folder for each data set, named as recipes name it (`cnmc`, `munich`). Each recipe is trained into
FOLDER/NAME-SPLIT; what is finished is taken as it is, and what was interrupted goes on, so the same command can be
given again. An ensemble is put together from its members, which are trained first where they are not there. Cells are called
blast from P(blast) 0.5 on, as in the papers, not at the card's threshold. `--write` puts the results into
classifiers/recipes/reproduced.json and renews docs/recipes.md. For want of time a recipe can be changed:
`--set stages.0.epochs=5`, or `--set cnn5-128:stages.0.epochs=5` where one of several is meant; that is written beside the result.
`--precision mixed` computes with bfloat16, which some CPUs have units for too.
"""

from __future__ import annotations

import argparse
import json
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from classifiers.base import ClassifierError, Predictions
from classifiers.card import ModelCard
from classifiers.cores import usable_cores
from classifiers.datasets import Samples, checking, load
from classifiers.datasets.finding import KINDS
from classifiers.ensembles import combine
from classifiers.evaluation import Evaluation, evaluate
from classifiers.folder import read_card
from classifiers.recipes import WORDS, Recipe, SplitKind, catalogue
from classifiers.recipes import load as load_recipe
from classifiers.recipes.reproduced import FILE, SPLITS, Reproduced, load_reproduced, write_reproduced
from classifiers.splits import PARTS, Split, split_samples
from classifiers.training import Progress, read_predictions, train
from smearscan import console

ROOT = Path(__file__).parents[1]
DEFAULT = ("small-cnn", "cnn5-128", "cnn5-128-rotated", "ens-scratch-256-two-dropouts")
ALSO = ("accuracy", "balanced_accuracy", "weighted_f1", "auc", "ece")
CALLED_FROM = 0.5  # the papers call a cell what is more probable


@dataclass(frozen=True)
class Plan:
    """What all trainings of one call have in common."""

    data: Path
    out: Path
    seed: int
    device: str
    precision: str
    imagenet: bool
    weights: Mapping[str, Path]
    changes: Mapping[str, Mapping[str, Any]]  # by the recipe's name, or by "" for every recipe

    def changes_of(self, name: str) -> dict[str, Any]:
        return {**self.changes.get("", {}), **self.changes.get(name, {})}


@dataclass(frozen=True)
class Trained:
    """One finished model, with what it took."""

    recipe: Recipe
    card: ModelCard
    folder: Path
    samples: Samples
    split: Split
    epochs: int
    seconds: float
    waiting: float
    imagenet: bool
    precisions: frozenset[str]


def reproduce(name: str, kind: SplitKind, plan: Plan) -> Reproduced:
    """Train one recipe on one kind of split and measure it on what was held back."""
    recipe = load_recipe(name)
    done = train_single(recipe, kind, plan) if recipe.ensemble is None else train_ensemble(recipe, kind, plan)
    return measure(done, kind, plan)


def train_single(recipe: Recipe, kind: SplitKind, plan: Plan, shares: Sequence[float] = ()) -> Trained:
    """Train a recipe, or take the model that is there; members of an ensemble share its split, whatever their own recipes say."""
    recipe = recipe.changed(plan.changes_of(recipe.name))
    assert recipe.network is not None
    other_shares = bool(shares) and tuple(shares) != recipe.data.shares
    if other_shares:
        recipe = recipe.changed({"data.shares": list(shares)})
    samples = cells_of(folder_of(plan.data, recipe.data.set))
    split = split_samples(samples, kind, recipe.data.shares, plan.seed)
    folder = plan.out / (f"{recipe.name}-{kind}" + ("-" + "-".join(f"{100 * each:g}" for each in shares) if other_shares else ""))
    weights = first_weights(recipe, plan)
    card = finished(folder, recipe, split, plan.seed)
    if card is None:
        with console.progress(f"{recipe.name}, {kind}") as bar:

            def show(told: Progress) -> None:
                bar.update(told.done, told.total, told.details())

            card = train(
                samples,
                recipe,
                folder,
                split=split,
                seed=plan.seed,
                device=plan.device,
                precision=plan.precision,
                weights=weights,
                cache=plan.out / "cache",
                show=show,
            )
    times = json.loads((folder / "training" / "times.json").read_text(encoding="utf-8"))
    seconds = sum(times["seconds"].values())
    epochs = sum(stage["epochs"] for stage in card.extra["training"]["stages"])
    return Trained(
        recipe,
        card,
        folder,
        samples,
        split,
        epochs,
        seconds,
        waiting=times["waiting_share"] or 0.0,
        imagenet=weights is not None,
        precisions=frozenset([card.extra["training"]["precision"]]),
    )


def folder_of(data: Path, kind: str) -> Path:
    """Return where a recipe's set lies: in a folder of its name, else `data` is the set. A recipe for any cells takes C-NMC's."""
    named = data / ("cnmc" if kind == "folders" else kind)
    if named.is_dir():
        return named
    if others := [each for each in KINDS if (data / each).is_dir()]:
        raise ClassifierError(f"{data} has no folder {named.name}, only {', '.join(others)}. Put the set there, or leave its recipes out.")
    return data


@cache
def cells_of(folder: Path) -> Samples:
    """Return a data set, subjects that show the same cells joined, as `smearscan train` does."""
    samples = load(folder)
    return checking.joined(samples, checking.check(samples))


def first_weights(recipe: Recipe, plan: Plan) -> str | Path | None:
    """Return the weights to begin with: ImageNet's only where they were asked for."""
    assert recipe.network is not None
    if recipe.network.name in plan.weights:
        return plan.weights[recipe.network.name]
    return recipe.network.weights if plan.imagenet else None


def finished(folder: Path, recipe: Recipe, split: Split, seed: int) -> ModelCard | None:
    """Return the card of a training that came to its end; refuses one of another recipe, split or seed."""
    try:
        card = read_card(folder)
    except ClassifierError:
        return None
    trained = {key: value for key, value in card.extra["recipe"].items() if key not in {*WORDS, "name"}}
    if trained != json.loads(json.dumps(recipe.decisive)):
        raise ClassifierError(f"{folder} holds a model of another {recipe.name}. Remove it, or give another --out.")
    rows, _ = read_predictions(folder / "training" / "predictions.csv", card.classes)
    if card.extra["training"]["seed"] != seed or not np.array_equal(rows, np.flatnonzero(split.parts != PARTS.index("train"))):
        raise ClassifierError(f"{folder} holds a model of another seed or another split. Remove it, or give another --out.")
    return card


def train_ensemble(recipe: Recipe, kind: SplitKind, plan: Plan) -> Trained:
    """Train the members that are not there yet, and put them together anew: that takes no time."""
    assert recipe.ensemble is not None
    members = [train_single(load_recipe(name), kind, plan, shares=recipe.data.shares) for name in recipe.ensemble.members]
    folder, method = plan.out / f"{recipe.name}-{kind}", recipe.ensemble.method
    card = combine(
        [member.folder for member in members],
        folder,
        method=method,
        options=recipe.ensemble.options,
        samples=members[0].samples,
        seed=plan.seed,
        name=recipe.name,
        device=plan.device,
        overwrite=True,
    )
    seconds = sum(member.seconds for member in members)
    return Trained(
        recipe,
        card,
        folder,
        members[0].samples,
        members[0].split,
        epochs=sum(member.epochs for member in members),
        seconds=seconds,
        waiting=sum(member.waiting * member.seconds for member in members) / seconds,
        imagenet=all(member.imagenet for member in members),
        precisions=frozenset().union(*(member.precisions for member in members)),
    )


def measure(done: Trained, kind: SplitKind, plan: Plan) -> Reproduced:
    """Return the numbers of the cells that were held back, by the paper's rule."""
    part = "test" if len(done.split.rows("test")) else "validation"
    rows = done.split.rows(part)
    predicted_rows, probabilities = read_predictions(done.folder / "training" / "predictions.csv", done.card.classes)
    chosen = probabilities[np.searchsorted(predicted_rows, rows)].astype(np.float32)
    tested = done.samples.take(rows)
    card = replace(done.card, threshold=CALLED_FROM)
    found: Evaluation = evaluate(card, Predictions(chosen, card.classes), tested)
    metrics = (found.blast if found.classes is None else found.classes).metrics
    metric = done.recipe.published.metric if done.recipe.published else "balanced_accuracy"
    main = metrics[metric]
    assert main.value is not None
    by_subject = not done.split.leaky
    subjects = len(set(done.samples.subjects))
    return Reproduced(
        metric=metric,
        value=round(main.value, 4),
        also={name: round(value, 4) for name in ALSO if (value := metrics[name].value) is not None},
        data=f"{done.samples.name}, {len(done.samples):,} cells of {subjects} subjects",
        training_cells=len(done.split.rows("train")),
        test_cells=len(rows),
        test_part=part,
        leaky=done.split.leaky,
        seed=plan.seed,
        epochs=done.epochs,
        minutes=round(done.seconds / 60, 1),
        waiting=round(done.waiting, 4),
        machine=", ".join([machine(plan.device), *(f"{each} precision" for each in sorted(done.precisions - {"fp32"}))]),
        imagenet=done.imagenet,
        subjects=len(set(tested.groups)) if by_subject else None,
        low=round(main.low, 4) if by_subject and main.low is not None else None,
        high=round(main.high, 4) if by_subject and main.high is not None else None,
        changes=changes_behind(done, plan),
    )


def changes_behind(done: Trained, plan: Plan) -> dict[str, Any]:
    """Return what was changed of the recipe, or of an ensemble's members, whose names then stand before it."""
    if done.recipe.ensemble is None:
        return plan.changes_of(done.recipe.name)
    return {f"{name}:{key}": value for name in done.recipe.ensemble.members for key, value in plan.changes_of(name).items()}


def machine(device: str) -> str:
    """Return what was trained on, in two words."""
    import torch

    if device.startswith("cuda") or (device == "auto" and torch.cuda.is_available()):
        return f"1 {torch.cuda.get_device_name(0)}"
    return f"{usable_cores()} CPU cores"


def row(name: str, results: Mapping[SplitKind, Reproduced]) -> tuple[object, ...]:
    """Return one line of the table."""
    recipe = load_recipe(name)
    line = catalogue.Line(recipe, results.get("random"), results.get("subject"))
    times = " + ".join(f"{results[split].minutes:.0f} min" for split in SPLITS if split in results)
    waiting = max((result.waiting for result in results.values()), default=0.0)
    return name, line.published or "-", line.measured("random"), line.measured("subject"), times, f"{100 * waiting:.1f} %"


def change_of(text: str) -> tuple[str, str, Any]:
    """Return a recipe's name, or none for all, its key and the value, written as TOML, that it is to have."""
    place, _, value = text.partition("=")
    name, _, key = place.rpartition(":")
    try:
        return name, key, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no KEY=VALUE or RECIPE:KEY=VALUE with a value as in TOML: {error}") from error


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--recipes", nargs="+", default=list(DEFAULT), metavar="NAME")
    parser.add_argument("--splits", nargs="+", choices=SPLITS, default=list(SPLITS))
    parser.add_argument("--out", type=Path, default=Path("reproduced"), metavar="FOLDER")
    parser.add_argument("--write", action="store_true", help="renew reproduced.json and docs/recipes.md")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto", help="auto, fp32 or mixed")
    parser.add_argument("--imagenet", action="store_true", help="begin with the published weights that a recipe names; may download them")
    parser.add_argument("--weights", nargs="+", default=[], metavar="NETWORK=FILE", help="begin with weights from a file")
    parser.add_argument("--set", nargs="+", default=[], type=change_of, metavar="[RECIPE:]KEY=VALUE", help="change recipes")
    given = parser.parse_args()
    files = {network: Path(file) for network, _, file in (each.partition("=") for each in given.weights)}
    changes: dict[str, dict[str, Any]] = {}
    for name, key, value in given.set:
        changes.setdefault(name, {})[key] = value
    plan = Plan(given.data, given.out, given.seed, given.device, given.precision, given.imagenet, files, changes)
    results = load_reproduced(ROOT / "classifiers" / "recipes" / FILE)
    for name in given.recipes:
        for kind in given.splits:
            result = reproduce(name, kind, plan)
            results.setdefault(name, {})[kind] = result
            print(f"{name}, {kind}: {result}", file=sys.stderr)
            if given.write:
                write_reproduced(ROOT / "classifiers" / "recipes" / FILE, results)
                (ROOT / "docs" / "recipes.md").write_text(catalogue.as_markdown(catalogue.lines()), encoding="utf-8")
    columns = ("recipe", "published", "here, random", "here, by subject", "time", "waiting for data, at most")
    print(" | ".join(columns))
    for name in given.recipes:
        print(" | ".join(str(cell) for cell in row(name, {kind: results[name][kind] for kind in given.splits})))


if __name__ == "__main__":
    try:
        main()
    except ClassifierError as error:
        sys.exit(f"reproduce: {error}")
