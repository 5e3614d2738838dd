"""What the methods that look into a network share: a network to look into, the logit that is explained, gradients.

What is explained is a logit, before softmax, sigmoid and temperature. A network with one output has one logit, that of the
positive class; the negative class is explained by minus that logit. To take output 0 instead, as pytorch-grad-cam's
`ClassifierOutputTarget(0)` does, would explain the positive class whichever was meant.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterator
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from classifiers.base import Classifier, ClassifierError
from classifiers.card import ModelCard

Target = Callable[[Tensor], Tensor]  # from outputs, the last axis being the network's, to the logit that is explained


@runtime_checkable
class Explainable(Protocol):
    """A classifier that lets its network be looked into."""

    card: ModelCard
    network: nn.Module  # in its own layers, not folded; called on what `prepare` returns it gives the logits

    def prepare(self, crops: NDArray[np.uint8]) -> Tensor: ...


def require_network(classifier: Classifier, method: str) -> Explainable:
    """Return the classifier as one that can be looked into, or say that this one cannot."""
    if not isinstance(classifier, Explainable):
        raise ClassifierError(
            f"{classifier.card.name!r} has no network to look into, which {method} needs. Take a model folder, or no heat maps."
        )
    return classifier


def copy_network(classifier: Explainable) -> tuple[nn.Module, Tensor]:
    """Return a copy of the network to hang things into, and an empty crop prepared for it, on the same device."""
    px = classifier.card.crop_px
    prepared = classifier.prepare(np.zeros((1, px, px, 3), np.uint8))
    network = copy.deepcopy(classifier.network).eval().requires_grad_(False)
    return network.to(memory_format=torch.channels_last).to(prepared.device), prepared


def find_column(card: ModelCard, class_name: str) -> int:
    """Return the column of a class in the classifier's probabilities."""
    if class_name not in card.classes:
        raise ClassifierError(f"{card.name!r} has no class {class_name!r} to explain. Its classes are {', '.join(card.classes)}.")
    return card.classes.index(class_name)


def find_target(card: ModelCard, class_name: str) -> Target:
    """Return what gives the logit of a class, from one crop's outputs or from those of many."""
    column = find_column(card, class_name)
    if card.activation == "sigmoid":
        sign = 1 if column == 1 else -1
        return lambda outputs: sign * outputs[..., 0]
    return lambda outputs: outputs[..., column]


@contextlib.contextmanager
def gradients() -> Iterator[None]:
    """Let gradients be computed, whatever the caller switched off, and by the same arithmetic as the classifier's in fp32."""
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False),
    ):
        yield
