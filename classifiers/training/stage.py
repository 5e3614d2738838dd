"""One stage of training: which layers learn, by which optimiser, on what; a step, and a look at the validation cells."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from classifiers.augment import Augmentation
from classifiers.networks import freezing
from classifiers.recipes import Stage
from classifiers.sampling import EpochPlan, Sampling
from classifiers.training.features import Extract, Features, extract, features_fit
from classifiers.training.feeding import Batch, Feed, Pictures, Source, batch_bounds
from classifiers.training.losses import Loss, Mixing, balanced_weights, log_probabilities
from classifiers.training.order import Order
from classifiers.training.pixels import Pixels
from classifiers.training.processes import Alone

ROWS_TO_LOOK_AT = 64  # of a pass over validation cells
KERAS_RHO, KERAS_EPSILON = 0.9, 1e-7  # of RMSprop: the papers' rows were trained with Keras, whose defaults differ from torch's


@dataclass(frozen=True)
class Told:
    """What one step tells: sums over this process's share of a batch."""

    loss: Tensor
    right: Tensor
    stopping: bool


class StageWork:
    """A network and all that one stage needs to train it."""

    def __init__(self, order: Order, stage: Stage, network: nn.Module, pixels: Pixels, processes: Alone) -> None:
        device = processes.device
        self._order, self._stage, self._network, self._processes, self._device = order, stage, network, processes, device
        self._half = None if not order.half else torch.bfloat16 if device.type == "cpu" else torch.float16
        mean, std = (np.asarray(each, np.float64).reshape(1, 3, 1, 1) for each in (order.mean, order.std))
        self._scale = torch.tensor(1 / (255 * std), dtype=torch.float32, device=device)  # as TorchClassifier does it
        self._shift = torch.tensor(-mean / std, dtype=torch.float32, device=device)
        self._labels = order.labels[order.train]
        self._whose = [order.whose[row] for row in order.train.tolist()]
        self._sampling = Sampling.from_mapping(order.recipe.sampling)
        self._freeze()
        self._forward, source, self._validation = self._sources(pixels)
        self.feed = Feed(source, self._labels, stage.batch_size, order.seed, order.threads, processes.number, processes.count)
        self.optimiser = build_optimiser(stage, [each for each in network.parameters() if each.requires_grad], device)
        self.scaler = torch.amp.GradScaler(device.type, enabled=self._half is torch.float16)
        classes = len(order.classes)
        weights = balanced_weights(self._labels, classes) if stage.class_weights == "balanced" else np.ones(classes, np.float32)
        self._loss = Loss(order.activation, torch.from_numpy(weights).to(device), stage.label_smoothing)

    def plan(self, epoch: int) -> EpochPlan:
        """Return what the epoch of that number, counted over all stages, shows."""
        return self._sampling.epoch(self._labels, epoch, self._order.seed, self._whose)

    def batches(self, plan: EpochPlan) -> int:
        return len(batch_bounds(len(plan), self._stage.batch_size, self._processes.count))

    def close(self) -> None:
        self.feed.close()

    def set_learning_rate(self, done: float) -> float:
        """Set the learning rate after that share of the stage's longest course, and return it."""
        rate = self._stage.learning_rate
        if self._stage.schedule == "cosine":
            rate *= 0.5 * (1 + math.cos(math.pi * done))
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        return rate

    def train(self) -> None:
        """Switch to training; what is frozen stays as in use."""
        freezing.train_mode(self._network)

    def step(self, batch: Batch, epoch: int, stopping: bool) -> Told:
        """Learn from one batch; every random draw in it depends on its place alone, so that it can be repeated."""
        random = np.random.SeedSequence(self._order.seed, spawn_key=(epoch, batch.number, self._processes.number, 0, 0))
        torch.manual_seed(int(random.generate_state(1, np.uint32)[0]))  # for dropout
        inputs, labels = self._inputs(batch.inputs), torch.from_numpy(batch.labels).to(self._device, non_blocking=True)
        targets = self._loss.targets(labels)
        if self._stage.mixup > 0:
            mixing = Mixing.draw(
                self._stage.mixup, len(labels), seed=self._order.seed, epoch=epoch, batch=batch.number, process=self._processes.number
            )
            inputs, targets = mixing.blend(inputs), mixing.blend(targets)
        self.optimiser.zero_grad(set_to_none=True)
        with self._autocast():
            logits = self._forward(inputs)
        loss = self._loss(logits, targets)
        self.scaler.scale(loss / batch.size).backward()  # type: ignore[no-untyped-call]
        stopping = self._processes.sum_gradients(self._network, stopping)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        with torch.no_grad():
            right = (log_probabilities(logits, self._order.activation).argmax(1) == labels).sum()
        return Told(loss.detach(), right, stopping)

    @torch.no_grad()
    def validate(self) -> tuple[float, float]:
        """Return the mean negative log likelihood and the accuracy of the validation cells."""
        self._network.eval()
        labels = torch.from_numpy(self._order.labels[self._order.validation])
        sums = torch.zeros(2, dtype=torch.float64)
        starts = range(0, len(labels), ROWS_TO_LOOK_AT)
        for start in starts[self._processes.number :: self._processes.count]:
            rows = slice(start, start + ROWS_TO_LOOK_AT)
            with self._autocast():
                logits = self._forward(self._inputs(self._validation(np.arange(len(labels))[rows])))
            logs, true = log_probabilities(logits, self._order.activation).cpu().double(), labels[rows]
            sums += torch.stack([-logs[torch.arange(len(true)), true].sum(), (logs.argmax(1) == true).sum()])
        shared = sums.to(self._device, torch.float32 if self._device.type == "mps" else torch.float64)
        self._processes.sum(shared)
        loss, right = (shared / len(labels)).tolist()
        return loss, right

    def _freeze(self) -> None:
        if self._stage.frozen:
            freezing.freeze(self._network, self._stage.unfreeze_from)
        else:
            self._network.requires_grad_(True)

    def _sources(self, pixels: Pixels) -> tuple[nn.Module, Source, Callable[[NDArray[np.intp]], NDArray[Any]]]:
        """Return what is asked for logits, what it is shown in training, and what in validation.

        Where pictures are never augmented, what a frozen body makes of them is computed once and kept.
        """
        order = self._order
        augmentation = Augmentation(order.recipe.augmentation)
        prefix, rest = freezing.frozen_prefix(self._network) if self._stage.frozen and not augmentation else (None, self._network)
        turns = np.unique(self.plan(0).quarter_turns)
        if prefix is not None and features_fit(self._prefixed(prefix), pixels, len(order.train) * len(turns) + len(order.validation)):
            forward = self._prefixed(prefix)
            features = Features(extract(forward, pixels, order.train, turns), turns)
            validation = extract(forward, pixels, order.validation, np.zeros(1, np.int8))[:, 0]
            return rest, features, lambda rows: validation[rows]
        return self._network, Pictures(pixels, order.train, augmentation), lambda rows: pixels[order.validation[rows]]

    def _prefixed(self, prefix: nn.Module) -> Extract:
        def forward(pictures: NDArray[np.uint8]) -> NDArray[np.float32]:
            with torch.no_grad(), self._autocast():
                found: NDArray[np.float32] = prefix(self._inputs(pictures)).float().cpu().numpy()
            return found

        return forward

    def _inputs(self, values: NDArray[Any]) -> Tensor:
        """Return pictures or features as the network takes them, on the device."""
        tensor = torch.from_numpy(values)
        if self._device.type == "cuda":
            tensor = tensor.pin_memory()
        tensor = tensor.to(self._device, non_blocking=True)
        if values.dtype == np.uint8:  # height, width, channel in memory is what torch calls channels_last
            return tensor.permute(0, 3, 1, 2).float().mul_(self._scale).add_(self._shift)
        return tensor.contiguous(memory_format=torch.channels_last) if tensor.ndim == 4 else tensor

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self._device.type, self._half, enabled=self._half is not None)


def build_optimiser(stage: Stage, parameters: list[nn.Parameter], device: torch.device) -> torch.optim.Optimizer:
    """Return the optimiser that a stage names, for these parameters."""
    common: dict[str, Any] = {"lr": stage.learning_rate, "weight_decay": stage.weight_decay}
    fused = device.type in {"cpu", "cuda"}
    match stage.optimiser:
        case "sgd":
            return torch.optim.SGD(parameters, momentum=stage.momentum, fused=fused, **common)
        case "adam":
            return torch.optim.Adam(parameters, fused=fused, **common)
        case "adamw":
            return torch.optim.AdamW(parameters, fused=fused, **common)
        case "rmsprop":
            return torch.optim.RMSprop(parameters, alpha=KERAS_RHO, eps=KERAS_EPSILON, momentum=stage.momentum, **common)
