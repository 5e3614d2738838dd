"""`smearscan evaluate`: how good models are on labelled cells, for whom not, and what they get wrong."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from smearscan import console
from smearscan.cli.learning import data_options, load_samples, told_plainly
from smearscan.errors import PluginError

if TYPE_CHECKING:
    from classifiers.evaluation.report import Candidate, Report

NO_HEAT_MAPS = "none"
NOT_IN_A_NAME = re.compile(r"[^\w.+-]+")  # of a file, on any system


@click.command(short_help="Say how good models are on labelled cells.")
@click.argument("models", nargs=-1, required=True)
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="FOLDER", help="Where numbers, tables, plots and page go.")
@click.option(
    "--part", type=click.Choice(["train", "validation", "calibration", "test"]), help="Only cells in this part of the models' own split."
)
@click.option(
    "--map", "pairs", multiple=True, metavar="DATA=MODEL", help="Which class of the model a class of the data is. May be repeated."
)
@click.option("--group", "groups", multiple=True, metavar="NAME=A,B", help="Put classes together, beside the others. May be repeated.")
@click.option("--skip-unreadable", is_flag=True, help="Leave out pictures that cannot be read, and say which, in place of stopping.")
@click.option(
    "--cam",
    default=None,
    metavar="METHOD",
    help="Heat maps of the shown cells, as gradcam++ or none. Default: gradcam++ where it can be had.",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, mps")
@click.option("--batch-size", default="auto", show_default=True, help="Crops at once.")
@click.option("--precision", default="auto", show_default=True, help="auto, fp32 or mixed")
@click.option(
    "--draws", type=click.IntRange(0), default=2000, show_default=True, help="Bootstrap draws for the intervals; 0: no intervals."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the draws, and of the cells that are shown by chance.")
@click.option("--json", "as_json", is_flag=True, help="Write evaluation.json to stdout as well.")
@data_options
def evaluate(models: tuple[str, ...], data: Path, out: Path, as_json: bool, **flags: Any) -> None:
    """Evaluate MODELS, folders or names, on the labelled cells of DATA, and write a folder with a page.

    Intervals are by drawing subjects, not cells. With several models the cells that all of them miss are shown. Cells that a
    model was trained on are counted, and every output says it. Exit codes: 0 done, 2 wrong use or unreadable data, 4 no model.
    """
    from classifiers.evaluation.json_record import record
    from classifiers.evaluation.matching import read_map
    from classifiers.evaluation.questions import read_groups
    from classifiers.evaluation.report import Options, compare_models
    from smearscan.cli.evaluation_folder import check_target, publish

    check_target(out)
    with told_plainly():
        options = Options(
            part=flags["part"],
            class_map=read_map(flags["pairs"]),
            grouping=read_groups(flags["groups"]),
            skip_unreadable=flags["skip_unreadable"],
            draws=flags["draws"],
            seed=flags["seed"],
        )
        samples = load_samples(data, flags["kind"], flags["roles"], flags["data_settings"])
        candidates = _open(models, flags)
        with console.progress("cells", len(samples) * len(candidates)) as bar:
            report = compare_models(
                candidates, samples, options, lambda what, done, total: bar.update(done, total, {what: f"{done:,} of {total:,}"})
            )
        found = record(report)
        publish(report, found, out)
    _print(report, out)
    if as_json:
        console.emit_json(found)


def _open(models: Sequence[str], flags: dict[str, Any]) -> list[Candidate]:
    from classifiers.evaluation.report import Candidate
    from smearscan.building import build_classifier, build_explainer
    from smearscan.config import load_config

    wanted = flags["cam"]
    candidates = []
    for model, key in zip(models, _keys(models), strict=True):
        given = {name: flags[name] for name in ("device", "batch_size", "precision")}
        config = load_config(None, {**given, "classifier": model, **({"cam": wanted} if wanted else {})})
        classifier = build_classifier(config)
        try:
            explainer = build_explainer(config, classifier)
        except PluginError as error:
            if wanted:
                raise
            console.warn(f"no heat maps: {error}")
            explainer = None
        folder = Path(model) if Path(model).is_dir() else None
        candidates.append(Candidate(key, classifier, folder, explainer))
    return candidates


def _keys(models: Sequence[str]) -> list[str]:
    """Return a name for each model that files can have: its folder's, with its place in the list where two are alike."""
    names = [
        NOT_IN_A_NAME.sub("-", Path(model).resolve().name if Path(model).is_dir() else model).strip("-.") or "model" for model in models
    ]
    alike = Counter(name.casefold() for name in names)
    return [f"{name}-{place}" if alike[name.casefold()] > 1 or name == "missed" else name for place, name in enumerate(names, 1)]


def _print(report: Report, out: Path) -> None:
    from smearscan.reports.pages.evaluation_page import ends, number
    from smearscan.results import NOTICE

    columns = ("model", "sensitivity", "specificity", "balanced accuracy", "AUC", "ECE", "worst subject")
    rows = []
    for model in report.models:
        answer = model.evaluation.blast
        blast, other = (f"recall_{answer.question.classes[side]}" for side in (1, 0))
        values = []
        for name in (blast, other, "balanced_accuracy", "auc", "ece"):
            metric = answer.metrics[name]
            interval = ends(name, {"low": metric.low, "high": metric.high})
            values.append(f"{number(name, metric.value)}{f' ({interval})' if interval else ''}" if metric.value is not None else None)
        worst = [
            f"{kind} {number('recall', spread.worst)} in {spread.worst_group}" for kind, spread in list(model.evaluation.spread.items())[:2]
        ]
        rows.append((model.key, *values, "; ".join(worst)))
    console.table(columns, rows)
    for model in report.models:
        if sizes := model.evaluation.sizes:
            three = (sizes.area, sizes.model, sizes.model_same_size)
            area, own, same = (number("auc", each.value) for each in three)
            console.say(
                f"{model.key}: AUC of the cell's area alone {area}, of the model {own}, of the model among cells of the same size {same}."
            )
        for sentence in (*model.leak.sentences, *model.evaluation.notes):
            (console.warn if sentence.startswith("leaky") else console.say)(f"{model.key}: {sentence}")
    for sentence in report.unreadable:
        console.warn(f"left out: {sentence}")
    if report.errors:
        none, alone, *_, every = report.errors.missed_by
        cells = report.errors.cells
        console.say(f"Of {cells:,} cells all {len(report.models)} models miss {every:,}, one alone misses {alone:,}, none {none:,}.")
    console.say(f"{console.counted(len(report.samples), 'cell')}. The page is {out / 'index.html'}.")
    console.say(NOTICE)
