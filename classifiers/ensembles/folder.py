"""An ensemble's folder: `card.json` names weights and members, `members/0/`, `members/1/` and so on are plain model folders.

The card carries the sha256 of each member's card, which carries that of the member's weights; its own sha256 is a digest of all
of these and of the weights that they are mixed by. So a member that was changed in any way is another ensemble, and is refused.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from classifiers.base import ClassifierError
from classifiers.card import ModelCard
from classifiers.ensembles.mixing import Floats, check_weights
from classifiers.folder import CARD_FILE, read_card
from classifiers.opening import ENSEMBLE, is_ensemble

MEMBERS = "members"
NOT_KEPT = shutil.ignore_patterns("cache", "checkpoint.pt", ".*")  # of a member's training, when it is copied


@dataclass(frozen=True)
class EnsembleFolder:
    """What an ensemble's folder says, checked."""

    card: ModelCard
    weights: Floats
    members: tuple[Path, ...]


def network_of(method: str, weights: Floats, members: Sequence[Path]) -> dict[str, Any]:
    """Return what stands in an ensemble's card in place of a network."""
    named = [{"name": read_card(each).name, "card_sha256": card_digest(each)} for each in members]
    return {"name": ENSEMBLE, "method": method, "weights": weights.tolist(), "members": named}


def card_digest(folder: Path) -> str:
    """Return the sha256 of a model folder's card."""
    try:
        return hashlib.sha256((folder / CARD_FILE).read_bytes()).hexdigest()
    except OSError as error:
        raise ClassifierError(f"The card {folder / CARD_FILE} cannot be read: {error}. Copy the whole model folder again.") from error


def ensemble_digest(network: dict[str, Any]) -> str:
    """Return what stands in for the digest of weights: of the members' cards and the weights that they are mixed by."""
    facts = [[each["card_sha256"] for each in network["members"]], network["weights"]]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def read_ensemble(folder: Path) -> EnsembleFolder:
    """Return an ensemble's card, weights and member folders; refuses what does not belong together."""
    card = read_card(folder)
    if not is_ensemble(card):
        raise ClassifierError(f"{folder} holds the single network {card.network.get('name')!r}, not an ensemble.")
    network = dict(card.network)
    try:
        wanted = [str(each["card_sha256"]) for each in network["members"]]
        weights = check_weights(network["weights"], len(wanted))
        digest = ensemble_digest(network)
    except (KeyError, TypeError, ValueError) as error:
        raise ClassifierError(
            f"{folder / CARD_FILE} does not say which members it has: {error}. Put the ensemble together again."
        ) from error
    if digest != card.sha256:
        raise ClassifierError(
            f"{folder / CARD_FILE} was altered: its members and weights have the digest {digest}, it says {card.sha256 or 'nothing'}. "
            "Copy the model folder again from where it came, or put the ensemble together again."
        )
    members = tuple(folder / MEMBERS / str(number) for number in range(len(wanted)))
    for member, expected in zip(members, wanted, strict=True):
        if card_digest(member) != expected:
            raise ClassifierError(
                f"{member} is not the member that the ensemble's card describes: the sha256 of its card is {card_digest(member)}, "
                f"not {expected}. Copy the model folder again from where it came, or put the ensemble together again."
            )
    return EnsembleFolder(card, weights, members)


def copy_members(members: Sequence[Path], out: Path) -> tuple[Path, ...]:
    """Copy model folders to where an ensemble has its members, and return those places."""
    places = tuple(out / MEMBERS / str(number) for number in range(len(members)))
    try:
        shutil.rmtree(out / MEMBERS, ignore_errors=True)  # of an ensemble that was never finished: it has no card
        for member, place in zip(members, places, strict=True):
            shutil.copytree(member, place, ignore=NOT_KEPT)
    except (OSError, shutil.Error) as error:
        raise ClassifierError(
            f"The members cannot be copied to {out / MEMBERS}: {error}. Make room there, or choose another folder."
        ) from error
    return places


def write_ensemble(out: Path, card: ModelCard) -> ModelCard:
    """Write the card, last of all, and return it with its digest: a folder without one is no model."""
    card = replace(card, sha256=ensemble_digest(dict(card.network)))
    with tempfile.TemporaryDirectory(dir=out, prefix=".writing-") as scratch:
        card.save(Path(scratch) / CARD_FILE)
        os.replace(Path(scratch) / CARD_FILE, out / CARD_FILE)  # noqa: PTH105 - says atomic more plainly than Path.replace
    return card
