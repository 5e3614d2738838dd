"""A model is a folder: `card.json` says what it is, `weights.safetensors` holds the numbers, and the card their sha256."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from classifiers import networks
from classifiers.base import ClassifierError
from classifiers.card import CardError, ModelCard

CARD_FILE = "card.json"
WEIGHTS_FILE = "weights.safetensors"


def read_model(folder: Path) -> tuple[ModelCard, nn.Module]:
    """Return the card and its network with weights, in evaluation mode; refuses weights that are not the card's."""
    card = read_card(folder)
    path = folder / WEIGHTS_FILE
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ClassifierError(f"The weights {path} cannot be read: {error}. Copy the whole model folder again.") from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != card.sha256:
        raise ClassifierError(
            f"{path} is not what its card describes: its sha256 is {digest}, the card says {card.sha256 or 'nothing'}. "
            "Copy the model folder again from where it came; weights and card belong together."
        )
    network = networks.build_for(card)
    try:
        network.load_state_dict(load_tensors(content))
    except (RuntimeError, SafetensorError) as error:
        raise ClassifierError(f"{path} does not fit the network {dict(card.network)} of its card: {error}") from error
    return card, network.eval()


def read_card(folder: Path) -> ModelCard:
    """Return the card of a model folder."""
    if not (folder / CARD_FILE).is_file():
        raise ClassifierError(
            f"{folder} is no model folder: it has no {CARD_FILE}. Give the folder that holds {CARD_FILE} and {WEIGHTS_FILE}."
        )
    try:
        return ModelCard.load(folder / CARD_FILE)
    except CardError as error:
        raise ClassifierError(str(error)) from error


def write_model(folder: Path, card: ModelCard, weights: Mapping[str, Tensor]) -> ModelCard:
    """Write a model folder and return the card with the digest of the weights.

    Weights first, card last, each by renaming a finished file: a crash leaves either the old pair or
    weights that do not match the card, which `read_model` refuses.
    """
    content = save_tensors({name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()})
    card = replace(card, sha256=hashlib.sha256(content).hexdigest())
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".writing-") as scratch:
        temporary = Path(scratch) / WEIGHTS_FILE
        temporary.write_bytes(content)
        card.save(Path(scratch) / CARD_FILE)
        for name in (WEIGHTS_FILE, CARD_FILE):
            os.replace(Path(scratch) / name, folder / name)  # noqa: PTH105 - says atomic more plainly than Path.replace
    return card
