"""Networks by name, as a card's `network` field names them: {"name": "resnet50", "stem": "max-pool-2"}.

Every network takes `outputs`. Those of the libraries (torchvision's by their names here, any of timm's as "timm:NAME") also take

- `stem`: null, or "max-pool-2" to halve the picture in front of the body;
- `without_last_block`: true leaves off the last block of the body; what a block is, `torchvision_families` and `timm_families` say;
- `head`: null keeps the family's own classifier with a last layer for our classes. Otherwise a mapping: `pool` ("average", "max",
  "flatten"), `dense` (a list of numbers of units), `dropout_in` before the dense layers, `dropout` behind them;
- `input_px`: the side of the pictures, which a head that flattens needs.

`build` never downloads anything: weights are random until `pretrained` or a model folder fills them.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn

from classifiers.base import ClassifierError
from classifiers.card import ModelCard
from classifiers.networks import scratch, timm_families, torchvision_families
from classifiers.networks.blocks import divided

# Each takes `outputs`, the number of logits, and the options that a card may hold.
NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "small-cnn": scratch.SmallCnn,
    "cnn5": scratch.cnn5,
    "baldi": scratch.baldi,
    "li-sequential": scratch.li_sequential,
    "standard-cnn": scratch.standard_cnn,
    "mobilenet-v1": timm_families.build_mobilenet_v1,
    **torchvision_families.BUILDERS,
}
TIMM = "timm:"


def names() -> list[str]:
    """Return every name that `build` takes, sorted; "timm:" and a name of timm's is taken besides."""
    return sorted(NETWORKS)


def build(name: str, **options: Any) -> nn.Module:
    """Return the network registered under `name`, its weights as its own initialisation leaves them."""
    builder = partial(timm_families.build, name.removeprefix(TIMM)) if name.startswith(TIMM) else NETWORKS.get(name)
    if builder is None:
        near = difflib.get_close_matches(name, NETWORKS, n=3)
        meant = f" Did you mean {' or '.join(near)}?" if near else ""
        raise ClassifierError(f"There is no network named {name!r}.{meant} Known: {', '.join(names())}, and timm:NAME for those of timm.")
    try:
        inspect.signature(builder).bind(**options)
    except TypeError as error:
        raise ClassifierError(f"The network {name!r} cannot be built with {options}: {error}.") from error
    return builder(**options)


def build_for(card: ModelCard) -> nn.Module:
    """Return the network that a card describes: one output for a sigmoid, one a class for a softmax."""
    options = dict(card.network)
    name = options.pop("name", None)
    if not isinstance(name, str):
        raise ClassifierError(f"Card {card.name!r}: network must have a name, one of {', '.join(names())}; it is {dict(card.network)}.")
    return build(name, outputs=1 if card.activation == "sigmoid" else len(card.classes), **options)


def parts(network: nn.Module) -> dict[str, list[nn.Module]]:
    """Return the modules of a network by the block they belong to, from the picture to the logits; the last is "head"."""
    found: dict[str, list[nn.Module]] = {}
    for link in divided(network).chain():
        if link.block:
            found.setdefault(link.block, []).append(link.module)
    return found


def default_cam_layer(network: nn.Module) -> str:
    """Return the dotted name of the last convolutional stage, which a card's `cam_layer` should hold."""
    layer = divided(network).cam_layer
    if not layer:
        raise ClassifierError("This network has no convolutional stage to make maps of. It can be trained and run, without heat maps.")
    return layer
