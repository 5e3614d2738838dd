"""What training makes small: cross-entropy of one output or of many, with class weights, smoothed labels and mixed pictures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from classifiers.card import Activation


def log_probabilities(logits: Tensor, activation: Activation) -> Tensor:
    """Return (n, k) log probabilities in fp32: binary cross-entropy is cross-entropy of two classes once both are written out."""
    exact = logits.float()
    if activation == "sigmoid":
        return torch.cat([functional.logsigmoid(-exact), functional.logsigmoid(exact)], dim=1)
    return functional.log_softmax(exact, dim=1)


def balanced_weights(labels: NDArray[np.int64], classes: int) -> NDArray[np.float32]:
    """Return weights by which every class weighs the same in all; a cell weighs 1 on average."""
    counts = np.bincount(labels, minlength=classes)
    weights = np.divide(len(labels), np.count_nonzero(counts) * counts, out=np.zeros(classes), where=counts > 0)
    return np.asarray(weights, np.float32)


@dataclass(frozen=True)
class Mixing:
    """How a batch's pictures are blended with those of the same batch in another order."""

    order: NDArray[np.intp]
    share: float  # of the first picture

    @classmethod
    def draw(cls, alpha: float, count: int, *, seed: int, epoch: int, batch: int, process: int) -> Mixing:
        """Draw an order and a share from beta(alpha, alpha): the same for the same batch of the same training."""
        # Four numbers, where the streams of augmentation have two and those of sampling three: they never meet.
        random = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(epoch, batch, process, 0)))
        return cls(random.permutation(count), float(random.beta(alpha, alpha)))

    def blend(self, values: Tensor) -> Tensor:
        """Return the blend of values with themselves in the other order."""
        other = values[torch.from_numpy(self.order).to(values.device)]
        return self.share * values + (1 - self.share) * other


@dataclass(frozen=True)
class Loss:
    """The sum of a batch's losses; whoever calls it divides by the size of the whole batch."""

    activation: Activation
    class_weights: Tensor  # (k,)
    label_smoothing: float

    def targets(self, labels: Tensor) -> Tensor:
        """Return (n, k) shares that the network is to say."""
        classes = len(self.class_weights)
        hard = functional.one_hot(labels, classes).float()
        return hard * (1 - self.label_smoothing) + self.label_smoothing / classes

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        return -(targets * self.class_weights * log_probabilities(logits, self.activation)).sum()
