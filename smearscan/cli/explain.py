"""`smearscan explain`: why a cell was called so, as pictures that people can read and numbers that others can use."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from smearscan import console
from smearscan.cli.learning import data_options, told_plainly
from smearscan.errors import ConfigError, ExitCode, SmearscanError

if TYPE_CHECKING:
    from classifiers import Classifier
    from smearscan.cli.explain_inputs import Given
    from smearscan.cli.explain_trials import Trial
    from smearscan.cli.explain_writing import Explained

CALLED = "called"


@click.command(short_help="Show why cells were called so: heat maps, LIME, SHAP, activations.")
@click.argument("model")
@click.argument("cells", nargs=-1, type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), metavar="FOLDER", help="Where sheets, page and numbers go.")
@click.option("--overwrite", is_flag=True, help="Replace an earlier explanation in --out.")
@click.option("--report", type=click.Path(path_type=Path), metavar="DIR", help="Cells of a finished report.")
@click.option("--cells", "ids", multiple=True, metavar="ID,ID", help="These cells of the report, by the ids in cells.csv.")
@click.option("--flagged", is_flag=True, help="The cells of the report that were flagged.")
@click.option("--errors", is_flag=True, help="The cells that were called something else than they are.")
@click.option(
    "--slides",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Where the report's slides lie, as given to run; needed for cells without a picture in the report.",
)
@click.option(
    "--truth",
    type=click.Path(path_type=Path),
    metavar="TABLE",
    help="What cells truly are: slide,cell,label or slide,x,y,class or file,label; or a folder of NAME.truth.csv.",
)
@click.option("--data", type=click.Path(path_type=Path), help="Labelled cells, as `train` takes them.")
@click.option("--part", type=click.Choice(["train", "validation", "calibration", "test"]), help="Only this part of the model's own split.")
@click.option(
    "--limit",
    type=click.IntRange(0),
    default=None,
    help="At most so many cells, drawn by --seed. Default: 100 of --data, --flagged and --errors; 0: all.",
)
@click.option(
    "--method",
    "methods",
    multiple=True,
    metavar="NAME",
    help="gradcam++, gradcam, scorecam, layercam, hirescam, xgradcam, eigencam, lime, shap or gradient-shap. May be repeated.",
)
@click.option(
    "--layer", "layers", multiple=True, metavar="NAME", help="Layer of class activation maps. Default: the card's. May be repeated."
)
@click.option("--all-layers", is_flag=True, help="Class activation maps of the last layer of each stage, side by side.")
@click.option(
    "--class",
    "class_name",
    default=None,
    metavar="CLASS|called",
    help="Class to explain, or the one each cell is called. Default: the card's positive class.",
)
@click.option("--activations", multiple=True, metavar="LAYER", help="Also show what channels of this layer answer. May be repeated.")
@click.option("--channels", type=click.IntRange(1, 64), default=16, show_default=True, help="Channels on a sheet of activations.")
@click.option(
    "--perturbations", type=int, default=128, show_default=True, help="Variations of a cell for LIME and SHAP; 1000 are steadier."
)
@click.option(
    "--hiding",
    type=click.Choice(["auto", "grey", "mean", "black"]),
    default="auto",
    show_default=True,
    help="What hidden superpixels show; auto: black for cells cut out on black, else grey.",
)
@click.option("--superpixels", type=click.Choice(["quickshift", "slic"]), default="quickshift", show_default=True)
@click.option("--kernel-size", type=float, default=4.0, show_default=True, help="Of quick shift, for pictures of 250 px.")
@click.option("--max-dist", type=float, default=200.0, show_default=True, help="Of quick shift.")
@click.option("--ratio", type=float, default=0.2, show_default=True, help="Of quick shift: colour against place, 0 to 1.")
@click.option("--count", type=int, default=43, show_default=True, help="Superpixels that slic makes, about.")
@click.option(
    "--side-px", type=int, default=None, help="Cut cells up at this size; 250 is the thesis's. Default: the crop's own, at most 250."
)
@click.option(
    "--scale", type=click.Choice(["probability", "log-odds"]), default="probability", show_default=True, help="What LIME and SHAP explain."
)
@click.option("--samples", type=int, default=64, show_default=True, help="Of gradient-shap.")
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "--agreement",
    is_flag=True,
    help="Compare two methods' maps, as the CAM paper's Table II: gradcam and scorecam, or the first two named.",
)
@click.option("--with", "others", multiple=True, metavar="MODEL", help="Another model in the table of --agreement.")
@click.option("--sufficiency", is_flag=True, help="Keep only the best superpixels and classify again; needs true classes.")
@click.option("--sanity", is_flag=True, help="Check that maps depend on weights and cell.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, mps")
@click.option("--batch-size", default="auto", show_default=True, help="Crops at once.")
@click.option("--precision", default="auto", show_default=True, help="auto, fp32 or mixed")
@click.option("--json", "as_json", is_flag=True, help="Write explanations.json to stdout as well.")
@data_options
def explain(model: str, cells: tuple[Path, ...], out: Path, as_json: bool, **flags: Any) -> None:
    """Explain how MODEL, a folder or a name, calls CELLS: pictures of single cells, or folders of them.

    Or cells of a report (--report), or labelled cells (--data). Each cell gets a sheet with its maps; index.html shows all.
    A map shows what moved the model's score, not pathology. Exit codes: 0 done, 2 wrong use, 3 some cells could not be
    explained, 4 none could, or there is no model.
    """
    from smearscan.cli.explain_inputs import gather
    from smearscan.cli.explain_writing import fill_folder, prepare
    from smearscan.cli.explanation_folder import check_target, publish

    check_target(out, flags["overwrite"])
    with told_plainly():
        classifier = _open(model, flags)
        _check_class(classifier, flags["class_name"])
        wishes = _wishes(classifier, flags)
        given = gather(classifier, model, cells, flags)
        for sentence in given.lost:
            console.warn(sentence)
        if not len(given):
            raise SmearscanError(_nothing(given.lost, flags))
        others = _check_trials(classifier, given, flags)
        explained = prepare(classifier, given, wishes, flags)
        trials = _try(explained, [(model, classifier), *others], flags)
        publish(out, flags["overwrite"], lambda folder: fill_folder(folder, explained, trials, flags))
    _print(explained, trials, out)
    if as_json:
        console.emit_json(explained.record)
    sys.exit(int(ExitCode.SOME_NOT_DONE if given.lost else ExitCode.DONE))


def _open(model: str, flags: Mapping[str, Any]) -> Classifier:
    from smearscan.building import build_classifier
    from smearscan.config import load_config

    given = {name: flags[name] for name in ("device", "batch_size", "precision")}
    return build_classifier(load_config(None, {**given, "classifier": model}))


def _check_class(classifier: Classifier, named: str | None) -> None:
    classes = classifier.card.classes
    if named is not None and named != CALLED and named not in classes:
        raise ConfigError(
            f"{classifier.card.name!r} has no class {named!r}. Its classes are {', '.join(classes)}; or say --class {CALLED}."
        )


def _wishes(classifier: Classifier, flags: Mapping[str, Any]) -> Any:
    """Return what is to be made; what this model cannot have is wrong use, and said before any cell is read."""
    import numpy as np

    from classifiers import ClassifierError
    from classifiers.explain import layer_names
    from classifiers.explain.activations import activations
    from classifiers.explain.views import list_wishes, open_wishes

    px = classifier.card.crop_px
    try:
        wishes = list_wishes(classifier, flags["methods"], flags["layers"], all_layers=flags["all_layers"])
        open_wishes(classifier, [wish for wish in wishes if wish.layer is not None], {})
        for layer in flags["activations"]:
            known = layer_names(classifier)
            try:
                activations(classifier, np.zeros((0, px, px, 3), np.uint8), layer)
            except ClassifierError as error:
                raise ClassifierError(f"{error} Layers that end a stage: {', '.join(known)}.") from error
    except ClassifierError as error:
        raise ConfigError(str(error)) from error
    return wishes


def _nothing(lost: Sequence[str], flags: Mapping[str, Any]) -> str:
    if lost:
        return "None of these cells could be explained."
    what = [name for name, asked in (("flagged", flags["flagged"]), ("called something else than it is", flags["errors"])) if asked]
    where = f"in the report {flags['report']}" if flags["report"] else f"in {flags['data']}"
    return f"No cell {where} is {' or '.join(what)}: there is nothing to explain."


def _check_trials(classifier: Classifier, given: Given, flags: Mapping[str, Any]) -> list[tuple[str, Classifier]]:
    """Refuse a trial that these cells or models cannot have, before any map is made; return the other models, opened."""
    from classifiers import ClassifierError
    from classifiers.explain.sanity import has_weights
    from classifiers.explain.views import list_wishes
    from smearscan.cli import explain_trials as trials

    if flags["others"] and not flags["agreement"]:
        raise ConfigError("--with names another model for the table of --agreement: ask for that, too.")
    for option in ("agreement", "sufficiency"):
        if flags[option] and (option == "sufficiency" or all(given.labels)):
            trials.require_labels(f"--{option}", given.labels, classifier)
    if flags["sanity"] and not has_weights(classifier):
        raise ConfigError(f"{classifier.card.name!r} has no weights of its own to randomise, as --sanity does. Check a model folder.")
    others = [(each, _open(each, flags)) for each in flags["others"]]
    try:
        for each in (classifier, *(other for _, other in others)) if flags["agreement"] else ():
            list_wishes(each, trials.find_pair(flags["methods"]))
    except ClassifierError as error:
        raise ConfigError(f"--agreement: {error}") from error
    return others


def _try(explained: Explained, models: Sequence[tuple[str, Classifier]], flags: Mapping[str, Any]) -> list[Trial]:
    """Run the trials that were asked for; the first of `models` is the one that is explained."""
    from smearscan.cli import explain_trials as trials

    classifier, given = explained.classifier, explained.given
    methods = list(dict.fromkeys(wish.method for wish in explained.wishes))
    found = []
    if flags["agreement"]:
        labels = given.labels if all(given.labels) else explained.called
        cut = [(Path(name).name, each, given.crops if each is classifier else given.crops_for(each.card)) for name, each in models]
        console.say(f"agreement: {console.counted(len(given), 'cell')}, {console.counted(len(models), 'model')}")
        found.append(trials.try_agreement(cut, labels, flags["methods"], explained.options, known=all(given.labels)))
    if flags["sufficiency"]:
        console.say(f"sufficiency: {console.counted(len(given), 'cell')}")
        found.append(trials.try_sufficiency(classifier, given.crops, given.labels, methods, explained.ranking_options))
    if flags["sanity"]:
        console.say(f"sanity: {console.counted(min(len(given), trials.CHECKED), 'cell')}")
        name = classifier.card.positive_class if flags["class_name"] in (None, CALLED) else flags["class_name"]
        rows = [row for row, each in enumerate(explained.called) if each == name] or list(range(len(given)))
        found.append(trials.try_sanity(classifier, given.crops[rows], name, explained.wishes, explained.options))
    return found


def _print(explained: Explained, trials: Sequence[Trial], out: Path) -> None:
    from smearscan.results import NOTICE

    for trial in trials:
        console.table(trial.columns, trial.rows, title=trial.title, right=trial.columns[trial.text_columns :])
        for sentence in trial.sentences:
            console.warn(sentence)
    for note in explained.given.notes:
        (console.warn if note.startswith("leaky") or "differently" in note else console.say)(note)
    views = "; ".join(view["title"] for view in explained.record["views"])
    console.say(f"{explained.given.source}: {views}. The page is {out / 'index.html'}.")
    if explained.given.lost:
        console.say(f"{len(explained.given.lost)} could not be explained; each is named above and on the page.")
    console.say(NOTICE)
