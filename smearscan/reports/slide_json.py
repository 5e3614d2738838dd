"""slide.json: the full record of one slide, from which every table of the run is made.

It is the same in every run: no time, no machine, no absolute path. Measured numbers are rounded to 9 decimals, below 1
to 9 significant digits: three more than the tables show, which round once more. Settings are written as they are, for
they are compared.
"""

from __future__ import annotations

import dataclasses
import json
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from classifiers.card import CardError, ModelCard
from smearscan import __version__
from smearscan.errors import OutputError
from smearscan.reports.base import SlideReport
from smearscan.results import NOTICE, Scanned, SlideCount, SlideInfo, SlideOutcome

T = TypeVar("T")


def slide_record(slide: SlideReport) -> dict[str, Any]:
    """Return everything that is known of a slide, as a file would give it back."""
    outcome = slide.outcome
    scanned = outcome if isinstance(outcome, Scanned) else None
    record = {
        "key": slide.key,
        "specimen": slide.specimen,
        "status": outcome.status,
        "reason": _without_path(outcome.reason, outcome, slide.key),
        "input_digest": slide.input_digest,
        "science": slide.science,
        "reports": sorted(slide.reports),
        "detector": dataclasses.asdict(slide.detector),
        # What a card says for readers only stands once in the report, on the card's own page.
        "classifier": {**dataclasses.asdict(slide.card), "extra": {}},
        "card_pages": dict(slide.card_pages),
        "info": None if outcome.info is None else _info(outcome.info, outcome, slide.key),
        "count": rounded(scanned.count) if scanned else None,
        "area": rounded(scanned.area) if scanned else None,
        "flags": [_without_path(flag, outcome, slide.key) for flag in scanned.flags] if scanned else [],
        "flagged": int(scanned.flagged.sum()) if scanned else None,
        "overlays": len(slide.overlays) if scanned else None,
        "smearscan": __version__,
        "notice": NOTICE,
    }
    # Through JSON: tuples become lists now, so that a fresh record and one read back are equal.
    return cast(dict[str, Any], json.loads(json.dumps(record, allow_nan=False)))


def count_of(record: Mapping[str, Any]) -> SlideCount | None:
    """Return the count that a record holds, None where the slide was not scanned.

    Sum the slides of a specimen from these, also of slides scanned just now: the record is rounded.
    """
    return None if record.get("count") is None else restored(SlideCount, record["count"])


def card_of(record: Mapping[str, Any]) -> ModelCard:
    """Return the card that a slide was scanned with, the run's threshold in place of its own."""
    try:
        return restored(ModelCard, record["classifier"])
    except (TypeError, CardError) as error:
        raise OutputError(
            f"The record of {record['key']} does not hold its classifier's card ({error}). It comes from another version of smearscan: "
            "scan the slide again."
        ) from error


def rounded(value: Any) -> Any:
    """Return a dataclass or a value as JSON values, floats rounded; adding 0 makes -0 a 0."""
    if dataclasses.is_dataclass(value):
        return {each.name: rounded(getattr(value, each.name)) for each in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(name): rounded(below) for name, below in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(below) for below in value]
    if isinstance(value, float):
        return (round(float(value), 9) if abs(value) >= 1 else float(f"{value:.9g}")) + 0.0
    return value


def restored(kind: type[T], value: Mapping[str, Any]) -> T:
    """Return the dataclass that `rounded` made a mapping of."""
    hints = get_type_hints(kind)
    return kind(**{name: _restored_value(hints[name], below) for name, below in value.items() if name in hints})


def _restored_value(hint: Any, value: Any) -> Any:
    origin, arguments = get_origin(hint), get_args(hint)
    if value is None:
        return None
    if origin in (Union, types.UnionType):
        return _restored_value(next(each for each in arguments if each is not types.NoneType), value)
    if origin is tuple:
        return tuple(_restored_value(arguments[0], each) for each in value)
    if dataclasses.is_dataclass(hint):
        return restored(cast(type[Any], hint), value)
    return value


def _info(info: SlideInfo, outcome: SlideOutcome, key: str) -> dict[str, Any]:
    facts = rounded(info)
    del facts["path"]
    return {**facts, "notes": [_without_path(note, outcome, key) for note in info.notes]}


def _without_path(text: str, outcome: SlideOutcome, key: str) -> str:
    """Say the slide's key where a message says its path: where the slides lie on this machine is no result."""
    path: Path = outcome.info.path if isinstance(outcome, Scanned) else outcome.path
    for spelling in (str(path.absolute()), path.absolute().as_posix(), str(path)):
        text = text.replace(spelling, key) if spelling not in (".", key) else text
    return text
