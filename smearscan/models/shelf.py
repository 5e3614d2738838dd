"""Which model a name or a folder means: classifiers and detectors alike, those that ship and those of anybody."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from classifiers import ClassifierError
from classifiers.card import CardError, ModelCard
from detectors import DetectorError
from smearscan import plugins
from smearscan.building import is_place
from smearscan.errors import PluginError
from smearscan.reports.card_view import CLASSIFIER, DETECTOR

KINDS = (CLASSIFIER, DETECTOR)
CARD = "card.json"
# What only one kind of card has, so that a folder says what it holds.
MARKS = {CLASSIFIER: {"positive_class", "activation"}, DETECTOR: {"input_px", "model_sha256", "max_detections"}}


@dataclass(frozen=True)
class Model:
    """A model folder and what its card says; its weights have not been looked at."""

    kind: str
    name: str  # by which it is asked for: that of a bundled model, or the folder
    folder: Path
    card: Mapping[str, Any]  # card.json, with every field that it may leave out

    @property
    def bytes_on_disk(self) -> int:
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())


def bundled() -> list[Model]:
    """Return the models that ship, classifiers first."""
    return [_bundled(kind, name) for kind in KINDS for name in plugins.bundled_names(kind)]


def find(named: str) -> Model:
    """Return the model that a name or a folder means; raises PluginError where there is none, or its card is wrong."""
    if is_place(named):
        folder = Path(named)
        kind = _kind_of(folder)
        return Model(kind, named, folder, read_card(kind, folder))
    kinds = [kind for kind in KINDS if named in plugins.bundled_names(kind)]
    if len(kinds) > 1:
        raise PluginError(f"A classifier and a detector named {named!r} ship: give the folder of the one that you mean.")
    if not kinds:
        known = ", ".join(name for kind in KINDS for name in plugins.bundled_names(kind))
        raise PluginError(f"There is no model named {named!r}: give a model folder, or one of those that ship: {known}.")
    return _bundled(kinds[0], named)


def read_card(kind: str, folder: Path) -> Mapping[str, Any]:
    """Return a model folder's card, checked, as JSON values."""
    try:
        card = ModelCard.load(folder / CARD) if kind == CLASSIFIER else plugins.load(plugins.DETECTOR_CARD).load(folder / CARD)  # type: ignore[attr-defined]
    except (CardError, ClassifierError, DetectorError) as error:
        raise PluginError(str(error)) from error
    return asdict(card)


def _bundled(kind: str, name: str) -> Model:
    folder = plugins.bundled_folder(kind, name)
    return Model(kind, name, folder, read_card(kind, folder))


def _kind_of(folder: Path) -> str:
    path = folder / CARD
    if not path.is_file():
        raise PluginError(f"{folder} is no model folder: it has no {CARD}. Give the folder that holds {CARD} and the weights.")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PluginError(f"{path} is no readable model card: {error}. Copy the model folder again.") from error
    found = [kind for kind in KINDS if isinstance(values, dict) and MARKS[kind] & set(values)]
    if len(found) != 1:
        raise PluginError(f"{path} is the card of neither a classifier nor a detector. Copy the model folder again.")
    return found[0]
