"""Networks by name, as a card's `network` field names them: {"name": "small-cnn", "width": 16}."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from torch import nn

from classifiers.base import ClassifierError
from classifiers.card import ModelCard
from classifiers.scratch_nets import SmallCnn

# Each takes `outputs`, the number of logits, and the options that a card may hold.
NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "small-cnn": SmallCnn,
}


def names() -> list[str]:
    """Return every name that `build` takes, sorted."""
    return sorted(NETWORKS)


def build(name: str, **options: Any) -> nn.Module:
    """Return the network registered under `name`, its weights as its own initialisation leaves them."""
    if name not in NETWORKS:
        raise ClassifierError(f"There is no network named {name!r}. Known: {', '.join(names())}.")
    try:
        inspect.signature(NETWORKS[name]).bind(**options)
    except TypeError as error:
        raise ClassifierError(f"The network {name!r} cannot be built with {options}: {error}.") from error
    return NETWORKS[name](**options)


def build_for(card: ModelCard) -> nn.Module:
    """Return the network that a card describes: one output for a sigmoid, one a class for a softmax."""
    options = dict(card.network)
    name = options.pop("name", None)
    if not isinstance(name, str):
        raise ClassifierError(f"Card {card.name!r}: network must have a name, one of {', '.join(names())}; it is {dict(card.network)}.")
    return build(name, outputs=1 if card.activation == "sigmoid" else len(card.classes), **options)
