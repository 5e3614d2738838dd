"""What decides on top of a body: pooling, dense layers, dropout, one last layer with an output a class."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from torch import nn

from classifiers.base import ClassifierError

POOLS = ("average", "max", "flatten")
KEYS = ("native", "pool", "dense", "dropout_in", "dropout")


def is_native(head: Mapping[str, Any] | None) -> bool:
    """Tell whether a `head` option asks for the family's own classifier; refuses one that contradicts itself."""
    if head is None:
        return True
    if not isinstance(head, Mapping) or (unknown := set(head) - set(KEYS)):
        wrong = f"cannot have {', '.join(map(str, unknown))}" if isinstance(head, Mapping) else "is no mapping"
        raise ClassifierError(f"The head {head!r} is not understood: it {wrong}. A head may have {', '.join(KEYS)}.")
    native = head.get("native", False)
    if not isinstance(native, bool):
        raise ClassifierError(f"native must be true or false in a head, not {native!r}.")
    if native and len(head) > 1:
        raise ClassifierError(
            f"The head {dict(head)} asks for the family's own classifier and for another one. Leave out native or the rest."
        )
    if not native and "pool" not in head:
        raise ClassifierError(f"The head {dict(head)} says nothing of how features become a vector. Give it pool: {', '.join(POOLS)}.")
    return native


def needs_input_px(head: Mapping[str, Any] | None) -> bool:
    """Tell whether a head's size depends on the picture's."""
    return not is_native(head) and head is not None and head["pool"] == "flatten"


def make_head(head: Mapping[str, Any], shape: tuple[int, ...], outputs: int) -> nn.Sequential:
    """Return the head that the mapping describes, on features of `shape` (channels, height, width).

    `dropout_in` stands before the dense layers, `dropout` after the last of them, right before the output layer. Without
    dense layers the two would be one: give one of them.
    """
    pool = head["pool"]
    if pool not in POOLS:
        raise ClassifierError(f"A head cannot pool by {pool!r}. Write one of {', '.join(POOLS)}.")
    layers: dict[str, nn.Module] = {}
    if pool != "flatten":
        layers["pool"] = nn.AdaptiveAvgPool2d(1) if pool == "average" else nn.AdaptiveMaxPool2d(1)
    layers["flatten"] = nn.Flatten()
    width = math.prod(shape) if pool == "flatten" else shape[0]
    return nn.Sequential(OrderedDict({**layers, **_decider(head, width, check_outputs(outputs))}))


def _decider(head: Mapping[str, Any], width: int, outputs: int) -> dict[str, nn.Module]:
    """Return the layers from a vector of `width` numbers to the logits, by name."""
    dense = check_dense(head.get("dense", ()))
    dropout_in, dropout = (check_share(name, head.get(name, 0.0)) for name in ("dropout_in", "dropout"))
    if dropout_in and dropout and not dense:
        raise ClassifierError(
            f"Without dense layers, dropout_in {dropout_in} and dropout {dropout} stand at the same place. Give one of them."
        )
    layers: dict[str, nn.Module] = {"dropout_in": nn.Dropout(dropout_in)} if dropout_in else {}
    for index, units in enumerate(dense, start=1):
        layers |= {f"dense{index}": nn.Linear(width, units), f"relu{index}": nn.ReLU(inplace=True)}
        width = units
    if dropout:
        layers["dropout"] = nn.Dropout(dropout)
    layers["output"] = nn.Linear(width, outputs)
    return layers


def check_dense(dense: object) -> tuple[int, ...]:
    """Return the sizes of dense layers as a tuple; refuses what is none."""
    sizes = tuple(dense) if isinstance(dense, list | tuple) else (None,)
    for size in sizes:
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise ClassifierError(f"dense must be a list of numbers of units, as [256], not {dense!r}.")
    return sizes


def check_share(name: str, value: object) -> float:
    """Return a rate of dropout; refuses what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise ClassifierError(f"{name} must be a share from 0 to below 1, not {value!r}.")
    return float(value)


def check_outputs(outputs: object) -> int:
    """Return the number of logits; refuses what is none."""
    if isinstance(outputs, bool) or not isinstance(outputs, int) or outputs < 1:
        raise ClassifierError(f"outputs must be a number of classes from 1 on, not {outputs!r}.")
    return outputs
