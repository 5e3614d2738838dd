"""`smearscan train`: labelled cells and a recipe in, a model folder out that `run --classifier` takes."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from smearscan import console
from smearscan.cli.learning import choose_split, data_options, keep_lookalikes_together, load_samples, told_plainly, warn_of_random_weights
from smearscan.errors import ConfigError, SmearscanError

if TYPE_CHECKING:
    from classifiers import ModelCard
    from classifiers.datasets import Samples
    from classifiers.recipes import Recipe
    from classifiers.splits import Split
    from classifiers.training import Progress

DEFAULT_RECIPE = "small-cnn"
SHOWN = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "weighted_f1": "weighted F1",
    "sensitivity": "sensitivity for blasts",
    "specificity": "specificity for blasts",
    "auc": "AUC",
    "ece": "calibration error (ECE)",
    "brier": "Brier score",
}


@click.command(short_help="Train a classifier from labelled cells, or a detector from boxed ones.")
@click.argument("data", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("--detector", is_flag=True, help="Train a detector of white cells on pictures with boxes. DATA may be several folders.")
@click.option(
    "--recipe",
    "recipe_name",
    default=DEFAULT_RECIPE,
    show_default=True,
    metavar="NAME|FILE.toml",
    help="How; `smearscan recipes` lists them.",
)
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="MODEL", help="The model folder to write, or to go on with.")
@click.option(
    "--split",
    "split_name",
    default="subject",
    show_default=True,
    metavar="subject|random|published|FILE.csv",
    help="Who is trained on and who is tested: never the same subject, unless random.",
)
@click.option("--folds", type=click.IntRange(2), metavar="N", help="Test every subject once, by N networks; then train one on all of them.")
@click.option("--set", "changes", multiple=True, metavar="KEY=VALUE", help="Change the recipe, as stages.0.epochs=2. May be repeated.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Take only N cells, from all subjects alike: to try things out.")
@click.option("--weights", metavar="FILE|NAME", help="ImageNet weights to begin with: a file, or a name as IMAGENET1K_V1. Default: none.")
@click.option("--mpp", type=float, help="Microns per pixel of the pictures, where the set does not say.")
@click.option("--crop-um", type=float, help="What a picture covers, in microns.")
@click.option("--crop-diameters", type=float, help="What a picture covers, in diameters of the cell.")
@click.option("--threshold-rule", default="youden", show_default=True, help="youden, fixed:0.5, specificity:0.95 or sensitivity:0.95")
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the split, of the first weights and of all that is drawn."
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, mps, cuda, cuda:1, or cuda:0,1 for several at once")
@click.option("--precision", default="auto", show_default=True, help="auto, fp32 or mixed")
@click.option("--threads", type=click.IntRange(1), help="Of each process. Default: all cores.")
@click.option(
    "--checkpoint-every",
    "checkpoint_every_s",
    type=float,
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="At most so much is lost by a kill.",
)
@click.option("--allow-leaks", is_flag=True, help="Train on a split that has a subject or a picture on two sides.")
@click.option("--overwrite", is_flag=True, help="Start anew if --out holds a model or the beginning of one.")
@click.option("--json", "as_json", is_flag=True, help="Write the model's card to stdout.")
@data_options
def train(data: tuple[Path, ...], *, detector: bool, **flags: Any) -> None:
    """Train a network on the labelled cells of DATA, calibrate it, test it on subjects it never saw, and write a model folder.

    The same command goes on where an earlier one was stopped, even by a kill, and comes to the same weights. Exit codes: 0 done,
    2 wrong use, unreadable data or a split that leaks, 4 stopped, or no model.

    With --detector, DATA are folders of pictures with boxes round their cells: Pascal VOC, YOLO, COCO, or the centres of ALL-IDB1
    (--kind voc, yolo, coco or all-idb1; --data-option names=WBC,RBC,platelet, cells=WBC or diameter_px=110; --set steps=2000).
    """
    if detector:
        from smearscan.cli.train_detector import train_detector

        train_detector(data, flags)
        return
    if len(data) > 1:
        raise ConfigError("A classifier is trained on one DATA; several are for --detector.")
    _train_classifier(data[0], **flags)


def _train_classifier(data: Path, *, out: Path, folds: int | None, as_json: bool, **flags: Any) -> None:
    from classifiers.training import Scale, cross_validate
    from classifiers.training import train as train_model
    from classifiers.training.model import refuse_finished

    with told_plainly():
        if not flags["overwrite"]:
            refuse_finished(out)
        samples = load_samples(data, flags["kind"], flags["roles"], flags["data_settings"])
        samples = samples if flags["limit"] is None else limit(samples, flags["limit"])
        recipe = _recipe(flags["recipe_name"], flags["changes"])
        options = {
            **{
                name: flags[name]
                for name in ("seed", "device", "precision", "weights", "threads", "threshold_rule", "checkpoint_every_s", "overwrite")
            },
            "scale": Scale(flags["mpp"], flags["crop_um"], flags["crop_diameters"]),
        }
        leaks = bool(flags["allow_leaks"])
        if folds:
            samples, split = (samples if leaks else keep_lookalikes_together(samples)), None
        else:
            samples, split = choose_split(samples, flags["split_name"], recipe.data.shares, flags["seed"], allow_leaks=leaks)
        _announce(samples, recipe, split, folds)
        warn_of_random_weights(recipe, flags["weights"])
        with _watched() as (show, stop):
            if recipe.ensemble is not None:
                card = _train_ensemble(samples, recipe, out, split=split, show=show, stop=stop, **options)
            elif split is None:
                card = cross_validate(samples, recipe, out, int(folds or 0), show=show, stop=stop, **options)
            else:
                card = train_model(samples, recipe, out, split=split, show=show, stop=stop, **options)
    _print(card, out)
    if as_json:
        from dataclasses import asdict

        console.emit_json(asdict(card))


def _train_ensemble(samples: Samples, recipe: Recipe, out: Path, *, split: Split | None, **options: Any) -> ModelCard:
    from classifiers.ensembles import train_ensemble

    if split is None:
        raise ConfigError(f"{recipe.name} is an ensemble, whose weights need one split. Leave out --folds.")
    return train_ensemble(samples, recipe, out, split=split, **options)


def limit(samples: Samples, count: int) -> Samples:
    """Return `count` cells: the first of every group, then the second of every group, and so on."""
    seen: dict[str, int] = {}
    ranks = []
    for row, group in enumerate(samples.groups):
        ranks.append((seen.get(group, 0), row))
        seen[group] = seen.get(group, 0) + 1
    return samples.take(sorted(row for _, row in sorted(ranks)[:count]))


def _recipe(name: str, changes: Sequence[str]) -> Recipe:
    from classifiers import recipes

    return recipes.load(name).changed(dict(_change(each) for each in changes))


def _change(text: str) -> tuple[str, Any]:
    """Return a key and its value, written as in TOML; a word needs no quotes."""
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise ConfigError(f"--set {text!r} must be written as --set stages.0.epochs=2.")
    try:
        return key.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value.strip()


def _announce(samples: Samples, recipe: Recipe, split: Split | None, folds: int | None) -> None:
    named = any(samples.subjects)
    whose = f"of {console.counted(len(set(samples.groups)), 'subject')}" if named else "that name no subjects"
    console.say(f"{recipe.title}, on {samples.name}: {console.counted(len(samples), 'cell')} {whose}.")
    if split is None:
        console.say(f"Each subject is tested once, by {folds} networks; then one is trained on all.")
        return
    console.say(", ".join(f"{part} {count}" for part, count in split.sizes().items()) + (f" ({split.note})" if split.note else "") + ".")
    if split.leaky:
        sides = "lie" if named else "may lie"
        console.warn(f"leaky: the same subjects {sides} on both sides of this split. Its numbers say nothing of a subject never seen.")


@contextmanager
def _watched() -> Iterator[tuple[Any, Any]]:
    """Show a training on the console, and stop it when the system asks; yields what `train` calls for either."""
    from classifiers.training import TrainingStopped
    from smearscan.stopping import stop_wish

    with stop_wish(None) as wish, console.progress("training") as bar:

        def show(progress: Progress) -> None:
            bar.label = f"{progress.label}: {progress.activity}" if progress.label else progress.activity
            bar.update(progress.done, progress.total, progress.details(), progress.seconds_left)

        try:
            yield show, lambda: wish.reason is not None
        except TrainingStopped as error:
            raise SmearscanError(f"{wish.reason}. {error} The same command goes on there.") from error


def _print(card: ModelCard, out: Path) -> None:
    import json

    from classifiers.calibration import says_nothing
    from smearscan.results import NOTICE

    test = card.extra["test"]
    rows = [(shown, *_row(test[name])) for name, shown in SHOWN.items()]
    console.table(("", "value", "95 % interval, by subject"), rows, right=("value",))
    console.say(f"{card.name}: {card.summary}")
    console.say(f"Temperature {card.temperature:.3f}, threshold {card.threshold:.3f} on P(blast).")
    if says_nothing(card):
        console.warn(
            "One of them is at its limit: the network tells the calibration cells apart by chance at best. Its calls mean nothing."
        )
    if "ensemble" in card.extra:
        console.say(f"The model is in {out}, with its members below {out / 'members'}: smearscan run SLIDES --classifier {out}")
        console.say(NOTICE)
        return
    times = json.loads((out / "training" / "times.json").read_text(encoding="utf-8"))
    if times["waiting_share"] is not None:
        seconds = console.format_seconds(sum(times["seconds"].values()))
        console.say(
            f"{times['cells_per_s']:.0f} cells/s on {times['machine']['device']}, {seconds} in all; "
            f"{100 * times['waiting_share']:.1f} % of the training time was spent waiting for data."
        )
    console.say(f"The model is in {out}, its curves in {out / 'training' / 'curves.png'}: smearscan run SLIDES --classifier {out}")
    console.say(NOTICE)


def _row(found: Mapping[str, Any]) -> tuple[object, object]:
    if found["value"] is None:
        return None, found.get("note")
    interval = found.get("note") if found["low"] is None else f"{found['low']:.3f}-{found['high']:.3f}"
    return f"{found['value']:.4f}", interval
