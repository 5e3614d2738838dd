"""A network in named blocks: a stem in front, a body of blocks from the picture to its features, a head that decides.

The families that libraries offer name their layers each in its own way. Here each is taken apart once and put together as one
chain, so that freezing, cutting off the last block, caching what a frozen body says, and changing the head are the same for
all of them. Beside each of our names stands the name that the library has for it, so that its weights can be loaded.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from classifiers.base import ClassifierError

STEMS: tuple[str, ...] = ("max-pool-2",)


@dataclass(frozen=True)
class Link:
    """One module of the chain that a network is, with the block it belongs to: "" in front, "head" behind."""

    block: str
    name: str  # "block5.2"
    module: nn.Module


@runtime_checkable
class Divided(Protocol):
    """A network that says what it is made of."""

    cam_layer: str  # dotted name of its last convolutional stage

    def chain(self) -> list[Link]:
        """Return modules that, called one after the other, are the network."""

    def groups(self) -> dict[str, list[nn.Parameter]]:
        """Return the named blocks of the body in order, each with its parameters."""


@dataclass(frozen=True)
class Origin:
    """Where a network's weights stand in the library that it was taken from."""

    library: str  # "torchvision" or "timm"
    name: str  # there
    keys: Mapping[str, str]  # our name of a tensor -> the library's
    dropped: tuple[str, ...]  # what the library's network has and this one has not


class BlockNetwork(nn.Module):
    """Stem, body and head, one after the other."""

    origin: Origin | None = None

    def __init__(self, body: Mapping[str, nn.Sequential], head: nn.Sequential, cam_layer: str, stem: str | None = None) -> None:
        super().__init__()
        self.stem = make_stem(stem)
        self.body = nn.Sequential(OrderedDict(body))
        self.head = head
        self.cam_layer = cam_layer

    def forward(self, crops: Tensor) -> Tensor:
        logits: Tensor = self.head(self.body(self.stem(crops)))
        return logits

    def chain(self) -> list[Link]:
        links = [Link("", "stem", self.stem)]
        for block, layers in self.body.named_children():
            links += [Link(block, f"{block}.{name}", layer) for name, layer in layers.named_children()]
        return links + [Link("head", f"head.{name}", layer) for name, layer in self.head.named_children()]

    def groups(self) -> dict[str, list[nn.Parameter]]:
        return {name: list(block.parameters()) for name, block in self.body.named_children()}


def make_stem(stem: str | None) -> nn.Module:
    """Return what stands in front of a body: nothing, or the 2 x 2 max-pool that turns 448 px into the 224 px of ImageNet."""
    if stem is None:
        return nn.Identity()
    if stem not in STEMS:
        raise ClassifierError(f"The stem {stem!r} is not known. Write {', '.join(STEMS)}, or null for none.")
    return nn.MaxPool2d(2)


def feature_shape(body: nn.Module, input_px: int) -> tuple[int, ...]:
    """Return the shape, without the batch, that `body` gives of a square picture; nothing is computed for it.

    Refuses a side from which nothing is left behind the body's poolings.
    """
    if isinstance(input_px, bool) or not isinstance(input_px, int) or input_px < 1:
        raise ClassifierError(f"input_px {input_px!r} is not a number of pixels. Write the side of the square pictures, as 224.")
    shapes = {name: tensor.to("meta") for name, tensor in [*body.named_parameters(), *body.named_buffers()]}
    training = body.training
    body.eval()
    try:
        with torch.no_grad():
            features = torch.func.functional_call(body, shapes, (torch.zeros(1, 3, input_px, input_px, device="meta"),))
    except RuntimeError as error:
        raise ClassifierError(f"input_px {input_px} is too small for this network: {error}. Take larger pictures.") from error
    finally:
        body.train(training)
    if 0 in features.shape:
        raise ClassifierError(f"input_px {input_px} is too small for this network: nothing is left behind its poolings.")
    return tuple(features.shape[1:])


def name_origin(network: BlockNetwork, original: Mapping[str, Tensor], library: str, name: str, left_out: tuple[str, ...] = ()) -> None:
    """Note where each tensor of a network stood in `original`, the library's network that it was put together from.

    Tensors are recognised by being the same objects, so it does not matter how their modules were moved about; `original`
    must therefore be its `state_dict(keep_vars=True)` from before. `left_out` is what it lacks of what the library's files have.
    """
    before = {id(tensor): key for key, tensor in original.items()}
    state = network.state_dict(keep_vars=True)
    keys = {key: before[id(tensor)] for key, tensor in state.items() if id(tensor) in before}
    network.origin = Origin(library, name, keys, tuple(sorted({*original, *left_out} - set(keys.values()))))


def divided(network: nn.Module) -> Divided:
    """Return the same network, known to have blocks; refuses one that does not say what they are."""
    if not isinstance(network, Divided):
        raise ClassifierError(f"{type(network).__name__} does not say what blocks it has. Build it with classifiers.networks.build.")
    return network
