"""What is to be trained, without the pictures: small enough to send to every process of a training."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from classifiers import networks
from classifiers.augment import Augmentation
from classifiers.base import ClassifierError
from classifiers.card import Activation
from classifiers.datasets import Samples
from classifiers.networks import freezing
from classifiers.networks.pretrained import load_imagenet
from classifiers.preprocess import Preparation
from classifiers.recipes import InputPlan, NetworkPlan, Recipe
from classifiers.sampling import Sampling
from classifiers.splits import Split

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Order:
    """Everything that decides the weights, and where the checkpoint goes."""

    recipe: Recipe
    classes: tuple[str, ...]  # in the order of the network's outputs
    labels: NDArray[np.int64]  # of all cells, in that order
    whose: tuple[str, ...]  # of all cells: the group of their subject; "" where the subject is not known
    train: NDArray[np.intp]
    validation: NDArray[np.intp]
    seed: int
    half: bool  # mixed precision
    threads: int  # of a process
    weights: str | None  # to begin with: a file, or a name that `pretrained` knows
    identity: Mapping[str, str] = field(default_factory=dict)  # what must be the same for a checkpoint to be gone on from
    checkpoint: Path = Path("checkpoint.pt")
    checkpoint_every_s: float = 60.0
    mean: Triple = (0.0, 0.0, 0.0)
    std: Triple = (1.0, 1.0, 1.0)

    @property
    def network(self) -> NetworkPlan:
        assert self.recipe.network is not None
        return self.recipe.network

    @property
    def activation(self) -> Activation:
        return self.network.activation

    def check(self) -> None:
        """Refuse what cannot be built, before any picture is read: no numbers are computed for it."""
        plan = input_plan(self.recipe)
        Preparation(plan.preparation).prepared_px(plan.crop_px)
        Augmentation(self.recipe.augmentation)
        Sampling.from_mapping(self.recipe.sampling)
        with torch.device("meta"):
            network = self._bare_network()
        for stage in self.recipe.stages:
            if stage.frozen:
                freezing.freeze(network, stage.unfreeze_from)

    def build_network(self) -> nn.Module:
        """Return the network as training begins with it: drawn from the seed, or given weights."""
        torch.manual_seed(self.seed)
        network = self._bare_network()
        if self.weights is not None:
            load_imagenet(network, self.network.name, self.weights)
        return network

    def _bare_network(self) -> nn.Module:
        outputs = 1 if self.activation == "sigmoid" else len(self.classes)
        return networks.build(self.network.name, outputs=outputs, **self.network.options)


def input_plan(recipe: Recipe) -> InputPlan:
    """Return what the recipe's network is shown; refuses a recipe of several models."""
    if recipe.input is None or recipe.network is None:
        raise ClassifierError(f"The recipe {recipe.name!r} is of an ensemble. Train its members, then put them together.")
    return recipe.input


def class_order(samples: Samples, activation: Activation) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Return the classes in the order of the network's outputs, and the labels in that order.

    A sigmoid's one output is the probability of the positive class, which therefore comes second.
    """
    if activation == "softmax":
        return samples.classes, np.asarray(samples.labels, np.int64)
    if len(samples.classes) != 2:
        raise ClassifierError(
            f"A network with a sigmoid tells two classes apart; {samples.name} has {len(samples.classes)}: "
            f"{', '.join(samples.classes)}. Take a recipe with a softmax."
        )
    if samples.classes[1] == samples.positive_class:
        return samples.classes, np.asarray(samples.labels, np.int64)
    return samples.classes[::-1], np.asarray(1 - samples.labels, np.int64)


def half_name(half: bool) -> str:
    """Return how cards and times name the precision."""
    return "mixed" if half else "fp32"


def identify(
    samples: Samples, recipe: Recipe, split: Split, *, seed: int, weights: str | Path | None, precision: str, devices: int
) -> dict[str, str]:
    """Return what must be the same for a training to go on where it stopped, each by its name."""
    return {
        "data": samples.digest(),
        "class order": ", ".join(samples.classes),
        "recipe": _digest(json.dumps(recipe.decisive, sort_keys=True, default=str).encode()),
        "split": _digest(np.ascontiguousarray(split.parts, np.int8).tobytes()),
        "seed": str(seed),
        "initial weights": "none" if weights is None else _weights_digest(str(weights)),
        "precision": precision,
        "devices": str(devices),
    }


def _weights_digest(weights: str) -> str:
    path = Path(weights)
    if not path.suffix:
        return weights
    try:
        return _digest(path.read_bytes())
    except OSError as error:
        raise ClassifierError(f"The weights {path} cannot be read: {error.strerror}.") from error


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def differing(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Return the names of what is not the same."""
    return [name for name in now if before.get(name) != now[name]]
