"""What a model card says beyond what a run needs: the mapping `extra` of `card.json`, for classifiers and detectors alike.

Every key may be missing, and a key of another name is shown among "Also on the card". Shares are fractions of 1.

| key | value |
|---|---|
| purpose, not_for, limits | a sentence, or a list of sentences |
| data | [{name, licence, citation, used_for, subjects, cells}] |
| metrics | [{name, value, low, high, on, note, unit}]; `on` says on which cells, `unit` "%" that the value is a share (else by name) |
| calibration_bins | [{cells, mean_probability, share_right, low, high}], lowest probabilities first, as evaluation.json has them |
| roc | [[share of other cells called blast, share of blasts called blast], ...] from (0, 0) to (1, 1) |
| shortcut_tests | [{name, question, value, low, high, on, note, unit}]: does the call flip where it must not? |
| composed | rows of a table: slides made of real cells, with truth |
| tried | rows of a table: what was tried, and what it gave |
| tables | [{title, note, rows}]: any other |
| failures | [{file, true, called, score, subject, note}]: cells that it gets wrong, pictures in the model folder |
| pictures | [{file, dark, caption}]: any other picture in the model folder; `dark` is the same on dark paper |
| commands | [command] or [{command, prints}]: what prints the numbers again |

The rows of a table are mappings from column to value, or {title, note, rows}. Cards that `smearscan train` writes have their
numbers in `test`, their sources in `citation`, and are read as well.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Final

from smearscan.percentages import percent

SHARE: Final = "%"
# Names of numbers that are shares of cells, where the card does not say it by `unit`.
NO_SHARES: Final = re.compile(r"f1|auc|auroc|ece|brier|error|log|loss", re.IGNORECASE)
SHARES: Final = re.compile(r"sensitivity|specificity|recall|precision|accuracy|share|fraction|flip|called|found|missed", re.IGNORECASE)
PICTURES: Final = {".png", ".jpg", ".jpeg"}
KNOWN: Final = frozenset(
    {
        *("purpose", "not_for", "limits", "data", "metrics", "calibration_bins", "roc", "shortcut_tests", "composed", "tried"),
        *("tables", "failures", "pictures", "commands"),
    }
)
TRAINED: Final = frozenset({"test", "citation", "scale"})  # what `smearscan train` says in other words
NAMES: Final = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "weighted_f1": "Weighted F1",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "auc": "AUC",
    "auroc": "AUROC",
    "ece": "Calibration error (ECE)",
    "brier": "Brier score",
}


@dataclass(frozen=True)
class Source:
    """Data that a model learnt from or was judged on."""

    name: str
    licence: str = ""
    citation: str = ""
    used_for: str = ""
    size: str = ""  # "73 subjects, 10,661 cells"


@dataclass(frozen=True)
class Number:
    """One number with its 95 % interval, as text; `note` says why there is none."""

    name: str
    value: str = ""
    interval: str = ""
    on: str = ""
    note: str = ""
    question: str = ""  # of a shortcut test


@dataclass(frozen=True)
class CalibrationBin:
    """Cells of similar probability, and what share of them came true."""

    cells: float
    said: float
    true: float


@dataclass(frozen=True)
class Table:
    """Rows of text under their columns."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


@dataclass(frozen=True)
class Picture:
    """A picture in the model folder; `caption` is one sentence."""

    file: str
    caption: str = ""
    dark: str = ""


@dataclass(frozen=True)
class Sections:
    """What a card's `extra` says, each part empty where it says nothing."""

    purpose: tuple[str, ...] = ()
    not_for: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    data: tuple[Source, ...] = ()
    metrics: tuple[Number, ...] = ()
    calibration_bins: tuple[CalibrationBin, ...] = ()
    roc: tuple[tuple[float, float], ...] = ()
    shortcut_tests: tuple[Number, ...] = ()
    tables: tuple[Table, ...] = ()  # composed, tried and others, in this order
    failures: tuple[Picture, ...] = ()
    pictures: tuple[Picture, ...] = ()
    commands: tuple[tuple[str, str], ...] = ()  # and what each prints
    other: tuple[tuple[str, str], ...] = ()
    files: frozenset[str] = field(default=frozenset())  # every picture that is named


def read_sections(extra: Mapping[str, Any]) -> Sections:
    """Return what a card's `extra` says; what is not of the shape above is shown as it is."""
    failures = tuple(_failure(each) for each in _records(extra, "failures") if picture_file(each.get("file")))
    pictures = tuple(_picture(each) for each in _records(extra, "pictures") if picture_file(each.get("file")))
    bins = [_bin(each) for each in _records(extra, "calibration_bins")]
    return Sections(
        purpose=_sentences(extra.get("purpose")),
        not_for=_sentences(extra.get("not_for")),
        limits=_sentences(extra.get("limits")),
        data=tuple(_source(each) for each in _records(extra, "data")),
        metrics=(*_of_training(extra.get("test")), *(_number(each) for each in _records(extra, "metrics"))),
        calibration_bins=tuple(each for each in bins if each),
        roc=_curve(extra.get("roc")),
        shortcut_tests=tuple(_number(each, SHARE) for each in _records(extra, "shortcut_tests")),
        tables=tuple(_tables(extra)),
        failures=failures,
        pictures=pictures,
        commands=_commands(extra.get("commands")),
        other=tuple(_flat({name: value for name, value in extra.items() if name not in KNOWN | TRAINED})),
        files=frozenset(name for each in (*failures, *pictures) for name in (each.file, each.dark) if name),
    )


def picture_file(named: object) -> str:
    """Return the name of a picture in the model folder; "" for anything that lies elsewhere or is no picture."""
    if not isinstance(named, str) or "\\" in named or ":" in named:
        return ""
    path = PurePosixPath(named)
    return "" if path.is_absolute() or ".." in path.parts or path.suffix.lower() not in PICTURES else path.as_posix()


def value_text(value: object, unit: str = "") -> str:
    """Write one value as a reader wants it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return _number_text(value, unit)
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {value_text(below)}" for name, below in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(value_text(below) or "-" for below in value)
    return str(value)


def _number_text(value: float, unit: str) -> str:
    if not math.isfinite(value):
        return ""
    if unit == SHARE:
        return f"{_percent(value)} %"
    return f"{value:,.0f}" if isinstance(value, int) or abs(value) >= 1000 else f"{value:.3f}".rstrip("0").rstrip(".")


def _percent(share: float) -> str:
    """Write a share in percent, and no certainty that comes of rounding; a difference keeps its sign."""
    if share < 0:
        return f"-{percent(-share)}"
    return f"{100 - float(percent(1 - share)):g}" if 0.995 <= share < 1 else percent(share)


def _records(extra: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    return [each for each in _items(extra.get(key)) if isinstance(each, Mapping)]


def _items(value: object) -> Sequence[Any]:
    """Return the items of a list; none of anything else."""
    return value if isinstance(value, list | tuple) else ()


def _sentences(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,) if value else ()
    return tuple(str(each) for each in _items(value) if each)


def _source(each: Mapping[str, Any]) -> Source:
    size = ", ".join(f"{value_text(each[name])} {name}" for name in ("subjects", "cells", "images") if each.get(name) is not None)
    return Source(_text(each, "name"), _text(each, "licence"), _text(each, "citation"), _text(each, "used_for"), size)


def _number(each: Mapping[str, Any], otherwise: str = "") -> Number:
    """Read a number; where the card says no unit, its name does, or else it is `otherwise`."""
    name = _text(each, "name")
    unit = str(each.get("unit", "" if NO_SHARES.search(name) else SHARE if SHARES.search(name) else otherwise))
    value = each.get("value")
    note = _text(each, "note")
    tail = f" {unit}" if unit not in ("", SHARE) and isinstance(value, int | float) else ""
    return Number(
        NAMES.get(name, _capital(name)),
        _exact(value, unit) + tail,
        _ends(each.get("low"), each.get("high"), unit),
        _text(each, "on"),
        note or ("" if value is not None else "not measured"),
        _text(each, "question"),
    )


def _exact(value: object, unit: str) -> str:
    """Write a measured value: with three digits also where they are zeros."""
    return f"{value:.3f}" if isinstance(value, float) and unit != SHARE and abs(value) < 10 else value_text(value, unit)


def _ends(low: object, high: object, unit: str) -> str:
    if not isinstance(low, int | float) or not isinstance(high, int | float):
        return ""
    first, last = (_exact(float(end), unit).removesuffix(" %") for end in (low, high))
    between = " to " if low < 0 else "-"
    return f"{first}{between}{last}{' %' if unit == SHARE else ''}"


def _of_training(test: object) -> list[Number]:
    """Return the numbers of a card that `smearscan train` or `ensemble` wrote."""
    if not isinstance(test, Mapping):
        return []
    folds = f", {test['folds']} folds" if "folds" in test else ""
    on = f"{value_text(test.get('cells'))} cells of {value_text(test.get('groups'))} subjects ({test.get('on', 'test')}{folds})"
    return [_number({"name": name, "on": on, **value}) for name, value in test.items() if isinstance(value, Mapping) and "value" in value]


def _bin(each: Mapping[str, Any]) -> CalibrationBin | None:
    said, true = each.get("mean_probability"), each.get("share_right")
    if not isinstance(said, int | float) or not isinstance(true, int | float):
        return None
    return CalibrationBin(float(each.get("cells") or 0), float(said), float(true))


def _curve(value: object) -> tuple[tuple[float, float], ...]:
    points = [each for each in _items(value) if len(_items(each)) == 2 and all(isinstance(end, int | float) for end in each)]
    return tuple((float(false), float(true)) for false, true in points)


def _tables(extra: Mapping[str, Any]) -> Iterable[Table]:
    named = (("composed", "Slides composed of real cells, with truth"), ("tried", "What was tried"))
    given = [(extra.get(key), title) for key, title in named] + [(each, "") for each in _items(extra.get("tables"))]
    for value, title in given:
        record = value if isinstance(value, Mapping) else {"rows": value}
        rows = [row for row in _items(record.get("rows")) if isinstance(row, Mapping)]
        if rows:
            columns = tuple(dict.fromkeys(str(name) for row in rows for name in row))
            lines = tuple(tuple(_cell(name, row.get(name)) for name in columns) for row in rows)
            headings = tuple(_capital(column.replace("_", " ")) for column in columns)
            yield Table(_text(record, "title") or title, headings, lines, _text(record, "note"))


def _cell(column: str, value: object) -> str:
    """Write a cell; {value, low, high} is a number with its interval."""
    if isinstance(value, Mapping) and "value" in value:
        number = _number({"name": column, **value})
        return f"{number.value} ({number.interval})" if number.interval else number.value or number.note
    return value_text(value)


def _failure(each: Mapping[str, Any]) -> Picture:
    true, called = _text(each, "true"), _text(each, "called")
    score = each.get("score")
    parts = [
        f"{true}, called {called}" if true and called else true or called,
        f"P(blast) {score:.3f}" if isinstance(score, int | float) else "",
        _text(each, "subject"),
        _text(each, "note"),
    ]
    return Picture(picture_file(each.get("file")), "; ".join(part for part in parts if part))


def _picture(each: Mapping[str, Any]) -> Picture:
    return Picture(picture_file(each["file"]), _text(each, "caption"), picture_file(each.get("dark")))


def _commands(value: object) -> tuple[tuple[str, str], ...]:
    given = [value] if isinstance(value, str) else _items(value)
    return tuple((_text(each, "command"), _text(each, "prints")) if isinstance(each, Mapping) else (str(each), "") for each in given)


def _flat(value: object, path: str = "") -> Iterable[tuple[str, str]]:
    """Yield name and text of everything in a nested value, lists of plain values in one line."""
    if isinstance(value, Mapping):
        for name, below in value.items():
            yield from _flat(below, f"{path} {str(name).replace('_', ' ')}".strip())
    elif isinstance(value, list | tuple) and any(isinstance(each, Mapping | list | tuple) for each in value):
        for number, below in enumerate(value, 1):
            yield from _flat(below, f"{path} {number}")
    else:
        yield path, value_text(value)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _text(each: Mapping[str, Any], name: str) -> str:
    value = each.get(name)
    return "" if value is None else value if isinstance(value, str) else value_text(value)
