"""A model card as files: its page, card.json and its pictures, the same bytes for the same model.

OUT/index.html, card.json, pictures      `smearscan models show --out OUT`
REPORT/models/NAME-DIGEST/...            the models of a run, linked by its pages
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from classifiers.card import ModelCard
from smearscan import plugins
from smearscan.building import FIELD_MODEL, is_place
from smearscan.config import ScanConfig
from smearscan.errors import OutputError, PluginError
from smearscan.models import shelf
from smearscan.reports.card_view import CLASSIFIER, DETECTOR, view_card

PAGE: Final = "index.html"
HOME: Final = "../../index.html"  # of the report, from a card's page in it
IN_REPORT: Final = "models"
NOT_IN_A_NAME = re.compile(r"[^\w.+-]+")
LONGEST: Final = 60  # characters of a model's name in that of a folder


@dataclass(frozen=True)
class CardFolder:
    """The page of one model in a report, ready to be written."""

    kind: str
    place: str  # from the report's folder
    files: Mapping[str, bytes]

    @property
    def page(self) -> str:
        return f"{self.place}/{PAGE}"


def card_files(kind: str, card: Mapping[str, Any], folder: Path | None, home: str = "") -> dict[str, bytes]:
    """Return every file of a card's page by name; `folder` holds its pictures, None where there is none."""
    from smearscan.reports.pages.card_page import card_page

    view = view_card(kind, card, _looker(folder))
    files = {PAGE: card_page(view, home).encode("utf-8", "backslashreplace"), shelf.CARD: _card_json(card, folder)}
    try:
        return files | {name: (folder / name).read_bytes() for name in sorted(view.sections.files) if folder is not None}
    except OSError as error:
        raise PluginError(f"A picture of the card in {folder} cannot be read: {error}. Copy the model folder again.") from error


def write(model: shelf.Model, out: Path) -> Path:
    """Write the page of a model's card with all that belongs to it into `out`; return the page."""
    if out.exists() and out.resolve() == model.folder.resolve():
        raise OutputError(f"{out} is the model folder itself: give another place for its page.")
    try:
        for name, content in card_files(model.kind, model.card, model.folder).items():
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            (out / name).write_bytes(content)
    except OSError as error:
        raise OutputError(f"The card cannot be written to {out}: {error}.") from error
    return out / PAGE


def of_run(config: ScanConfig, card: ModelCard) -> tuple[CardFolder, ...]:
    """Return the cards of the models of a run; a detector that has no weights has none."""
    folders = [_in_report(CLASSIFIER, asdict(card), _folder(CLASSIFIER, config.classifier))]
    if config.proposals == FIELD_MODEL:
        folder = _folder(DETECTOR, config.detector)
        if folder is not None:  # a trusted .pt file lies in none
            folders.append(_in_report(DETECTOR, shelf.read_card(DETECTOR, folder), folder))
    return tuple(folders)


def again(folder: Path, kind: str) -> bytes:
    """Return the page of a card in a report, from what lies in its folder there."""
    return card_files(kind, shelf.read_card(kind, folder), folder, HOME)[PAGE]


def _folder(kind: str, named: str) -> Path | None:
    """Return where a model's files are; None for one that another package brings under a name."""
    if named in plugins.bundled_names(kind) and not is_place(named):
        return plugins.bundled_folder(kind, named)
    return Path(named) if Path(named).is_dir() else None


def _in_report(kind: str, card: Mapping[str, Any], folder: Path | None) -> CardFolder:
    name = NOT_IN_A_NAME.sub("-", str(card["name"]))[:LONGEST].strip("-.") or kind
    ending = f"-{card['sha256'][:8]}" if card["sha256"] else ""
    return CardFolder(kind, f"{IN_REPORT}/{name}{ending}", card_files(kind, card, folder, HOME))


def _looker(folder: Path | None) -> Callable[[str], bool]:
    return lambda name: folder is not None and (folder / name).is_file()


def _card_json(card: Mapping[str, Any], folder: Path | None) -> bytes:
    if folder is not None and (folder / shelf.CARD).is_file():
        return (folder / shelf.CARD).read_bytes()
    return (json.dumps(card, indent=2, ensure_ascii=False) + "\n").encode()
