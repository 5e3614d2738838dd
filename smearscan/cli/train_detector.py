"""`smearscan train --detector`: boxed cells in, a detector folder out that `run --proposals yolo --detector` takes."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from smearscan import console
from smearscan.errors import ConfigError, PluginError, SmearscanError

if TYPE_CHECKING:
    from detectors.training import CardFacts, DetectorProgress, FieldSplit, LabelledPicture, TrainingSettings

# The options of `train` that a detector's training has a use for; any other is refused, so that none is ignored in silence.
TAKEN = {"data", "detector", "out", "kind", "data_settings", "split_name", "changes", "seed", "device", "threads"}
TAKEN |= {"checkpoint_every_s", "overwrite", "as_json"}
LISTS = ("names", "cells")  # of --data-option: values separated by commas
SHOWN = {
    "map50": "mAP50",
    "map50_95": "mAP50-95",
    "recall_at_precision_95": "recall at precision 0.95",
    "log_average_miss_rate": "log-average miss rate",
    "precision": "precision at the card's confidence",
    "recall": "recall at the card's confidence",
}


def train_detector(data: Sequence[Path], flags: Mapping[str, Any]) -> None:
    """Train a detector of white cells; `flags` are the options of `smearscan train`."""
    _refuse_others()
    out = Path(flags["out"])
    with _told_plainly():
        from detectors.training import TrainingSettings, read_split, split_pictures
        from detectors.training import train_detector as train
        from detectors.training.fitting import refuse_finished

        if not flags["overwrite"]:
            refuse_finished(out)
        settings, facts = _changed(TrainingSettings(seed=flags["seed"]), flags["changes"])
        pictures = _read(data, flags["kind"], flags["data_settings"])
        given = flags["split_name"] if _was_given("split_name") else None
        split = split_pictures(pictures, settings.seed) if given is None else read_split(Path(given), pictures)
        _announce(split)
        with _watched() as (show, stop):
            card = train(
                pictures,
                out,
                settings,
                split=split,
                facts=facts,
                device=flags["device"],
                threads=flags["threads"],
                overwrite=flags["overwrite"],
                checkpoint_every_s=flags["checkpoint_every_s"],
                show=show,
                stop=stop,
            )
    _print(card.extra["figures"], out)
    if flags["as_json"]:
        console.emit_json(asdict(card))


def _refuse_others() -> None:
    """Raise ConfigError where an option was given that only a classifier's training knows."""
    context = click.get_current_context()
    given = sorted(name for name in context.params if name not in TAKEN and _was_given(name))
    if given:
        spelled = {each.name: each.opts[0] for each in context.command.params}
        options = ", ".join(spelled[name] for name in given)
        raise ConfigError(f"{options}: only for training a classifier. Leave {'it' if len(given) == 1 else 'them'} out, or --detector.")


def _was_given(name: str) -> bool:
    return click.get_current_context().get_parameter_source(name) is not click.core.ParameterSource.DEFAULT


def _read(data: Sequence[Path], kind: str | None, options: Sequence[str]) -> list[LabelledPicture]:
    from detectors.training import read_labels

    settings: dict[str, Any] = {}
    for text in options:
        key, equals, value = text.partition("=")
        if not equals or key not in {*LISTS, "diameter_px"}:
            raise ConfigError(f"--data-option {text!r}: with --detector it is names=WBC,RBC,platelet, cells=WBC or diameter_px=110.")
        settings[key] = [each.strip() for each in value.split(",")] if key in LISTS else _number(value, text)
    return [picture for folder in data for picture in read_labels(folder, kind, **settings)]


def _number(value: str, text: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise ConfigError(f"--data-option {text!r} must name a number of pixels.") from None


def _changed(settings: TrainingSettings, changes: Sequence[str]) -> tuple[TrainingSettings, CardFacts]:
    """Return settings and card with the values of --set, each written as in TOML; a word needs no quotes."""
    from detectors.training import CardFacts

    facts = CardFacts()
    simple = {each.name for each in fields(settings) if each.name not in {"sizes", "judged_px", "seed"}}
    cards = {each.name for each in fields(facts) if each.name != "said"}
    for text in changes:
        key, equals, word = (part.strip() for part in text.partition("="))
        if not equals or key not in simple | cards:
            raise ConfigError(f"--set {text!r}: with --detector it is one of {', '.join(sorted(simple | cards))}, as steps=2000.")
        value = _value(word)
        target: Any = settings if key in simple else facts
        wanted = type(getattr(target, key))
        if wanted is float and isinstance(value, int):
            value = float(value)
        if not isinstance(value, wanted) or isinstance(value, bool):
            raise ConfigError(f"--set {text!r}: {key} is a {'word' if wanted is str else 'number'}, as {getattr(target, key)!r}.")
        if key in simple:
            settings = replace(settings, **{key: value})
        else:
            facts = replace(facts, **{key: value})
    return settings, facts


def _value(word: str) -> Any:
    try:
        return tomllib.loads(f"value = {word}")["value"]
    except tomllib.TOMLDecodeError:
        return word


def _announce(split: FieldSplit) -> None:
    from detectors.training.splitting import PARTS

    parts = [f"{part} {console.counted(sum(len(each.cells) for each in split.part(part)), 'white cell')}" for part in PARTS]
    total = sum(len(split.part(part)) for part in PARTS)
    console.say(
        f"{console.counted(total, 'labelled picture')} of {console.counted(len(set(split.groups.values())), 'field')}: {', '.join(parts)}."
    )


@contextmanager
def _told_plainly() -> Iterator[None]:
    """Turn a detector's errors into those that end the program: what was given makes no sense (exit 2), or it fails (exit 4)."""
    from detectors import DetectorError
    from detectors.training import NotTrainable

    try:
        yield
    except NotTrainable as error:
        raise ConfigError(str(error)) from error
    except DetectorError as error:
        raise PluginError(str(error)) from error


@contextmanager
def _watched() -> Iterator[tuple[Any, Any]]:
    """Show a training on the console, and stop it when the system asks."""
    from detectors.training import TrainingStopped
    from smearscan.stopping import stop_wish

    with stop_wish(None) as wish, console.progress("training") as bar:

        def show(progress: DetectorProgress) -> None:
            bar.label = progress.activity
            bar.update(progress.done, progress.total, progress.details(), progress.seconds_left)

        try:
            yield show, lambda: wish.reason is not None
        except TrainingStopped as error:
            raise SmearscanError(f"{wish.reason}. {error} The same command goes on there.") from error


def _print(metrics: Mapping[str, Any], out: Path) -> None:
    from smearscan.results import NOTICE

    parts = [name for name in ("validation", "test") if name in metrics]
    rows = [(shown, *(_figure(metrics[part]["all"][name]) for part in parts)) for name, shown in SHOWN.items()]
    console.table(("", *parts), rows, right=tuple(parts))
    sizes = metrics["test"]["by_cell_px"]
    console.table(
        ("cells", "number", "mAP50", "recall", "precision"),
        [
            (f"{size} px", each["cells"], *(f"{each[name]:.3f}" for name in ("map50", "recall", "precision")))
            for size, each in sizes.items()
        ],
        right=("number", "mAP50", "recall", "precision"),
    )
    console.say(f"Confidence {metrics['confidence']:.3f}: {metrics['confidence_chosen_by']}.")
    console.say(f"The detector is in {out}: smearscan run SLIDES --proposals yolo --detector {out}")
    console.say(NOTICE)


def _figure(value: float | None) -> str | None:
    return None if value is None else f"{value:.3f}"
