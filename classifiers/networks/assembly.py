"""Puts stem, blocks and head together, for every family that a library offers."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from torch import nn

from classifiers.base import ClassifierError
from classifiers.networks.blocks import BlockNetwork, feature_shape, make_stem
from classifiers.networks.heads import is_native, make_head, needs_input_px

Blocks = dict[str, nn.Sequential]
PROBE_PX = 128  # where no size is given, to find how many channels a body ends with


def leave_off(blocks: Blocks, last_blocks: int, without_last_block: object) -> Blocks:
    """Return the blocks without the last ones where that was asked for."""
    if not isinstance(without_last_block, bool):
        raise ClassifierError(f"without_last_block must be true or false, not {without_last_block!r}.")
    return dict(list(blocks.items())[:-last_blocks]) if without_last_block else blocks


def put_together(
    blocks: Blocks,
    own_head: dict[str, nn.Module],
    outputs: int,
    *,
    stem: str | None,
    head: Mapping[str, Any] | None,
    input_px: int | None,
) -> BlockNetwork:
    """Return stem, blocks and the head that was asked for, as a network that says where heat maps are made."""
    if needs_input_px(head) and input_px is None:
        raise ClassifierError("A head that flattens hangs on the size of the pictures. Give the network input_px, their side in pixels.")
    in_front = nn.Sequential(make_stem(stem), *blocks.values())
    shape = feature_shape(in_front, PROBE_PX if input_px is None else input_px)
    if is_native(head) or head is None:
        decider = nn.Sequential(OrderedDict(_fit(own_head, shape[0], outputs)))
    else:
        decider = make_head(head, shape, outputs)
    return BlockNetwork(blocks, decider, _cam_layer(blocks), stem)


def _fit(own_head: dict[str, nn.Module], channels: int, outputs: int) -> dict[str, nn.Module]:
    """Return a family's own head for a body that ends with fewer channels, where its last block is left off."""
    name, first = next((name, layer) for name, layer in own_head.items() if isinstance(layer, nn.Linear))
    places = 49 if isinstance(own_head["pool"], nn.AdaptiveAvgPool2d) and own_head["pool"].output_size == (7, 7) else 1
    if first.in_features == channels * places:
        return own_head
    return {**own_head, name: nn.Linear(channels * places, first.out_features)}


def _cam_layer(blocks: Blocks) -> str:
    """Return the last block, or what of it lies before the pooling that ends it: as fine a map as its features give."""
    block, layers = list(blocks.items())[-1]
    names = [name for name, _ in layers.named_children()]
    return f"body.{block}.{names[-2]}" if isinstance(layers[-1], nn.MaxPool2d) else f"body.{block}"
