"""`smearscan ensemble`: several trained models put together as one."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from smearscan import console
from smearscan.cli.learning import data_options, load_samples, told_plainly
from smearscan.errors import ConfigError

METHODS = ("average", "genetic", "optuna")


@click.command(short_help="Put several trained models together as one.")
@click.argument("models", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="MODEL", help="The model folder to write.")
@click.option("--method", type=click.Choice(METHODS), default="average", show_default=True, help="How much each model counts.")
@click.option(
    "--option", "options", multiple=True, metavar="KEY=VALUE", help="Of the method, as population=100 of genetic. May be repeated."
)
@click.option(
    "--data", type=click.Path(path_type=Path), help="The labelled cells they were trained on; needed where their crops differ in size."
)
@click.option("--name", help="Of the ensemble, in its card and in reports.")
@click.option("--threshold-rule", default="youden", show_default=True, help="youden, fixed:0.5, specificity:0.95 or sensitivity:0.95")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the genetic algorithm or the search.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, mps")
@click.option("--overwrite", is_flag=True, help="Replace the model that --out holds.")
@click.option("--json", "as_json", is_flag=True, help="Write the card to stdout.")
@data_options
def ensemble(models: tuple[Path, ...], *, out: Path, data: Path | None, as_json: bool, **flags: Any) -> None:
    """Put MODELS together: their probabilities are averaged, each with a weight that is chosen on their common validation cells.

    They must have been trained on the same split (train --split FILE.csv). The result is a model folder as any other, calibrated
    and tested on the cells that its members are. Exit codes: 0 done, 2 wrong use, 4 models that do not fit each other.
    """
    from classifiers.ensembles import combine

    with told_plainly():
        samples = None if data is None else load_samples(data, flags["kind"], flags["roles"], flags["data_settings"])
        with console.progress("scoring cells") as bar:
            card = combine(
                models,
                out,
                options=dict(_option(each) for each in flags["options"]),
                samples=samples,
                show=lambda done, total: bar.update(done, total, {}),
                **{name: flags[name] for name in ("method", "name", "threshold_rule", "seed", "device", "overwrite")},
            )
    _print(models, card.extra, out)
    console.say(f"{card.name}: {card.summary}")
    console.say(f"The model is in {out}: smearscan run SLIDES --classifier {out}")
    if as_json:
        console.emit_json(asdict(card))


def _option(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition("=")
    try:
        if not key or not equals:
            raise ValueError
        return key.strip(), tomllib.loads(f"value = {value}")["value"]
    except ValueError as error:
        raise ConfigError(f"--option {text!r} must be written as --option population=100.") from error


def _print(models: Sequence[Path], extra: Any, out: Path) -> None:
    course, test = extra["ensemble"], extra["test"]
    rows = [
        (str(folder), each["name"], f"{each['weight']:.3f}", f"{each['validation_weighted_f1']:.4f}")
        for folder, each in zip(models, course["members"], strict=True)  # two trainings of one recipe have the same name
    ]
    rows.append(("together", "", "1.000", f"{course['validation_weighted_f1']:.4f}"))
    console.table(("model", "name", "weight", "weighted F1, validation"), rows, right=("weight", "weighted F1, validation"))
    console.say(
        f"On {console.counted(test['cells'], 'cell')} of {test['on']}: accuracy {test['accuracy']['value']:.4f}, "
        f"weighted F1 {test['weighted_f1']['value']:.4f}. The weights are in {out / 'training' / 'weights.csv'}."
    )
