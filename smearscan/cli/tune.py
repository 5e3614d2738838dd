"""`smearscan tune`: a recipe trained with many values, and the best of them as a recipe of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from smearscan import console
from smearscan.cli.learning import choose_split, data_options, load_samples, told_plainly, warn_of_random_weights
from smearscan.errors import SmearscanError

if TYPE_CHECKING:
    from classifiers.tuning import Tuned, TuningProgress

SHOWN = 10  # trials in the table on the terminal, the best ones


@click.command(short_help="Find a recipe's best values by trying many.")
@click.argument("data", type=click.Path(path_type=Path))
@click.option(
    "--recipe", "recipe_name", required=True, metavar="NAME|FILE.toml", help="What to tune: a recipe with [tuning], as marrow-tuned."
)
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="FOLDER", help="The folder to write, or to go on with.")
@click.option("--trials", type=click.IntRange(1), metavar="N", help="How many. Default: what the recipe says. May grow later.")
@click.option("--refit", is_flag=True, help="Train the best recipe once more in the end, and test that model.")
@click.option("--keep", type=click.IntRange(1), default=1, show_default=True, metavar="N", help="Keep the models of the N best trials.")
@click.option(
    "--split",
    "split_name",
    default="subject",
    show_default=True,
    metavar="subject|random|published|FILE.csv",
    help="Who is trained on, who judges the trials and who is kept for the test.",
)
@click.option("--weights", metavar="FILE|NAME", help="ImageNet weights to begin with: a file, or a name as IMAGENET1K_V1. Default: none.")
@click.option("--mpp", type=float, help="Microns per pixel of the pictures, where the set does not say.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the split, of what is tried, and of every training.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, mps, cuda, cuda:1, or cuda:0,1 for several at once")
@click.option("--precision", default="auto", show_default=True, help="auto, fp32 or mixed")
@click.option("--threads", type=click.IntRange(1), help="Of each process. Default: all cores.")
@click.option("--allow-leaks", is_flag=True, help="Tune on a split that has a subject or a picture on two sides.")
@click.option("--overwrite", is_flag=True, help="Start anew if --out holds a tuning.")
@click.option("--json", "as_json", is_flag=True, help="Write the trials to stdout.")
@data_options
def tune(data: Path, *, out: Path, as_json: bool, **flags: Any) -> None:
    """Train on DATA as a recipe says, again and again with other values, and keep what is best on the validation cells.

    The test cells are not looked at; with --refit the best recipe's model is tested once. The same command goes on where an
    earlier one was stopped, even by a kill. Exit codes: 0 done, 2 wrong use, unreadable data or a split that leaks, 4 stopped.
    """
    from classifiers import recipes, tuning
    from classifiers.training import Scale

    with told_plainly():
        samples = load_samples(data, flags["kind"], flags["roles"], flags["data_settings"])
        recipe = recipes.load(flags["recipe_name"])
        samples, split = choose_split(samples, flags["split_name"], recipe.data.shares, flags["seed"], allow_leaks=flags["allow_leaks"])
        console.say(f"{recipe.title}, on {samples.name}: " + ", ".join(f"{part} {count}" for part, count in split.sizes().items()) + ".")
        if split.leaky:
            console.warn("leaky: the same subjects lie on both sides of this split. What is best on it need not be for new subjects.")
        warn_of_random_weights(recipe, flags["weights"])
        given = ("trials", "seed", "device", "precision", "weights", "threads", "keep", "refit", "overwrite")
        with _watched() as (show, stop):
            found = tuning.tune(
                samples,
                recipe,
                out,
                split=split,
                scale=Scale(mpp=flags["mpp"]),
                show=show,
                stop=stop,
                **{name: flags[name] for name in given},
            )
    metric = recipe.tuning.metric if recipe.tuning is not None else ""
    _print(found, out, metric)
    if as_json:
        console.emit_json({"metric": metric, "best": found.best.number, "trials": [vars(row) for row in found.rows]})


@contextmanager
def _watched() -> Iterator[tuple[Any, Any]]:
    """Show the trials on the console, and stop when the system asks; yields what `tune` calls for either."""
    from classifiers.training import TrainingStopped
    from smearscan.stopping import stop_wish

    with stop_wish(None) as wish, console.progress("trials") as bar:

        def show(progress: TuningProgress) -> None:
            bar.update(*_state(progress))

        try:
            yield show, lambda: wish.reason is not None
        except TrainingStopped as error:
            raise SmearscanError(f"{wish.reason}. {error} The same command goes on there.") from error


def _state(progress: TuningProgress) -> tuple[float, float, Mapping[str, str]]:
    """Return the trials done, with the share of the one in work, of how many, and lines about it."""
    details = {}
    share, refit = 0.0, progress.number >= progress.trials
    if progress.training is not None:
        share = progress.training.done / progress.training.total if progress.training.total else 0.0
        details["refit" if refit else f"trial {progress.number}"] = _said(progress.changes)
        details |= progress.training.details()
    if progress.best is not None and progress.best.value is not None:
        details["best"] = f"trial {progress.best.number}: {progress.best.value:.4f}"
    return progress.ended + min(share, 1.0), progress.ended + 1 if refit else progress.trials, details


def _said(changes: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{key.rpartition('.')[2]} {value:.3g}" if isinstance(value, float) else f"{key.rpartition('.')[2]} {value}"
        for key, value in changes.items()
    )


def _print(found: Tuned, out: Path, metric: str) -> None:
    from classifiers.tuning.objective import METRICS
    from smearscan.results import NOTICE

    sign = -1 if METRICS[metric] == "maximize" else 1
    best = sorted((row for row in found.rows if row.value is not None), key=lambda row: (sign * (row.value or 0.0), row.number))
    rows = [(row.number, f"{row.value:.4f}", row.epochs, _said(row.changes)) for row in best[:SHOWN]]
    console.table(("trial", metric.replace("_", " "), "epochs", "values"), rows, right=("trial", metric.replace("_", " "), "epochs"))
    ends = {state: sum(row.state == state for row in found.rows) for state in ("finished", "cut short", "failed")}
    console.say(
        f"{console.counted(len(found.rows), 'trial')}: " + ", ".join(f"{count} {state}" for state, count in ends.items() if count) + "."
    )
    console.say(f"The table is in {out / 'trials.csv'}, the picture in {out / 'trials.png'}.")
    if found.card is None:
        console.say(
            f"Train with the best values: smearscan train DATA --recipe {out / 'best.toml'} --split {out / 'split.csv'} --out MODEL"
        )
    else:
        console.say(f"{found.card.name}: {found.card.summary}")
        console.say(f"The model is in {out / 'model'}: smearscan run SLIDES --classifier {out / 'model'}")
    console.say(NOTICE)
