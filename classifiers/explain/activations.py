"""What a layer answers to a crop: its channels, as they are and arranged for a picture."""

from __future__ import annotations

import math
from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from classifiers.base import Classifier, ClassifierError
from classifiers.explain.access import copy_network, gradients, require_network
from classifiers.explain.layers import check_layer, find_layer

ROWS = 16  # crops in one pass; always as many, so that the bits do not depend on how many are asked for

Order = Literal["active", "first"]


def activations(classifier: Classifier, crops: NDArray[np.uint8], layer: str) -> NDArray[np.float32]:
    """Return the feature maps of `layer` for each crop, (n, channels, height, width), before anything is done with them."""
    opened = require_network(classifier, "a picture of activations")
    with gradients():
        network, empty = copy_network(opened)
        _, module = found = find_layer(network, layer)
        check_layer(network, found, empty)
    kept: list[NDArray[np.float32]] = []

    def keep(_module: nn.Module, _inputs: object, output: Tensor) -> None:
        kept.append(output.float().cpu().numpy().copy())  # the next layer may write over it

    hook = module.register_forward_hook(keep)
    with gradients(), torch.no_grad():
        for start in range(0, max(1, len(crops)), ROWS):
            some = crops[start : start + ROWS]
            filled = np.zeros((ROWS, *crops.shape[1:]), np.uint8)
            filled[: len(some)] = some
            network(opened.prepare(filled))
    hook.remove()
    return np.concatenate(kept)[: len(crops)]


def choose(maps: NDArray[np.float32], count: int, order: Order = "active") -> NDArray[np.intp]:
    """Return the channels, of one crop's `maps` (channels, height, width), that are shown: as many as `count`, if there are.

    "active" are those whose mean absolute value is the greatest, the greatest first; "first" are the first.
    """
    if order not in get_args(Order):
        raise ClassifierError(f"Channels cannot be chosen by {order!r}. Known: {', '.join(get_args(Order))}.")
    if count < 1:
        raise ClassifierError(f"{count} channels cannot be shown. Take 1 or more.")
    if order == "first":
        return np.arange(min(count, len(maps)))
    return np.argsort(-np.abs(maps).mean(axis=(1, 2)), kind="stable")[:count]


def grid(
    maps: NDArray[np.float32], count: int = 16, order: Order = "active", columns: int | None = None, gap: int = 1
) -> NDArray[np.float32]:
    """Arrange channels of one crop's `maps`, (channels, height, width), in rows of `columns`; by itself about a square.

    Each channel is scaled from its least value, 0, to its greatest, 1, since channels have no scale in common; one that is
    the same everywhere is 0. What no channel covers is not a number: `gap` pixels between channels, and places left over.
    """
    channels = choose(maps, count, order)
    across = columns or math.ceil(math.sqrt(len(channels)))
    height, width = maps.shape[1:]
    rows = -(-len(channels) // across)
    arranged = np.full((rows * (height + gap) - gap, across * (width + gap) - gap), np.nan, np.float32)
    for place, channel in enumerate(maps[channels]):
        top, left = place // across * (height + gap), place % across * (width + gap)
        least, spread = channel.min(), np.ptp(channel)
        arranged[top : top + height, left : left + width] = (channel - least) / spread if spread > 0 else 0
    return arranged
