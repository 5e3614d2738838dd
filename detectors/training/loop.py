"""The training loop: canvases in, averaged weights out; a kill costs a minute at most."""

from __future__ import annotations

import math
import os
import pickle
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from detectors.base import DetectorError
from detectors.training.errors import NotTrainable, TrainingStopped
from detectors.training.judging import look_at
from detectors.training.labels import PictureStore, usual_diameters
from detectors.training.metrics import Seen, mean_average_precisions
from detectors.training.mosaic import Canvas, CellSizes, Mosaic
from detectors.training.network import fresh_network
from detectors.training.settings import DetectorProgress, Show, Stop, TrainingSettings, Validation
from detectors.training.splitting import FieldSplit
from detectors.yolo_library import load_tasks

LARGEST_GRADIENT = 10.0
AVERAGE_RISE = 300.0  # updates until the moving average is as slow as it will be


@dataclass
class Standing:
    """Where a training stands, beside the weights."""

    step: int = 0
    history: list[Validation] = field(default_factory=list)
    best: Validation | None = None
    losses: list[float] = field(default_factory=list)  # since the last validation
    seconds: float = 0.0


class Training:
    """One network being trained on one split."""

    def __init__(self, split: FieldSplit, settings: TrainingSettings, checkpoint: Path, device: torch.device, threads: int) -> None:
        load_tasks()
        from ultralytics.utils.loss import v8DetectionLoss
        from ultralytics.utils.torch_utils import ModelEMA

        self.settings, self.device, self._path, self._threads = settings, device, checkpoint, threads
        self._split = split
        self._store = PictureStore()
        self._mosaic = Mosaic(split.train, self._store)
        self._usual = usual_diameters(split.train)
        self.network = fresh_network(settings.width, settings.depth, settings.seed).to(device=device, memory_format=torch.channels_last)
        self._loss = v8DetectionLoss(self.network)
        self._average: Any = ModelEMA(self.network, decay=settings.average, tau=AVERAGE_RISE)  # type: ignore[no-untyped-call]
        self._optimizer = _optimizer(self.network, settings)
        self.best_weights: dict[str, torch.Tensor] = {}
        self.standing = Standing()
        self._identity = repr((settings.as_json(), [each.name for each in split.train], [each.name for each in split.validation]))

    def run(self, show: Show, stop: Stop, checkpoint_every_s: float) -> Iterator[Validation]:
        """Train to the end; yield after each validation. `TrainingStopped` is raised once `stop` says so."""
        written = started = time.monotonic()
        done_before, total = self.standing.step, self.settings.steps
        with ThreadPoolExecutor(max(1, self._threads - 1), "canvases") as pool:
            waiting = self._order(pool, self.standing.step)
            while self.standing.step < total:
                canvases = [each.result() for each in waiting]
                if self.standing.step + 1 < total:
                    waiting = self._order(pool, self.standing.step + 1)
                begun = time.monotonic()
                loss = self._step(canvases)
                self.standing.seconds += time.monotonic() - begun
                if not math.isfinite(loss):
                    raise DetectorError(f"The loss is no number any more at step {self.standing.step}: use a lower learning rate.")
                self.standing.losses.append(loss)
                self.standing.step += 1
                rate = (self.standing.step - done_before) / (time.monotonic() - started)
                show(self._progress("training", rate))
                if self.standing.step % self.settings.validate_every == 0 or self.standing.step == total:
                    show(self._progress("validating", rate))
                    yield self._validate()
                    self.save()
                    written = time.monotonic()
                ended = self.standing.step < total and stop()
                if ended or time.monotonic() - written >= checkpoint_every_s:
                    self.save()
                    written = time.monotonic()
                if ended:
                    raise TrainingStopped(f"Training stands at step {self.standing.step} of {total}.")

    def averaged(self) -> Any:
        """Return the network with the moving average of its weights, in evaluation mode."""
        return self._average.ema

    def best_network(self) -> Any:
        """Return the averaged network as it was at its best validation."""
        network = fresh_network(self.settings.width, self.settings.depth, self.settings.seed)
        network.load_state_dict(self.best_weights)
        return network.eval()

    def looks(self, part: str) -> dict[float, list[Seen]]:
        """Return what the best weights see of one part of the split, at each size."""
        network = self.best_network()
        return {diameter: self.look(network, part, diameter) for diameter in self.settings.judged_px}

    def look(self, network: Any, part: str, diameter_px: float) -> list[Seen]:
        """Show one part of the split at one size."""
        return look_at(network.to(self.device), self._split.part(part), self._usual, diameter_px, self._store)

    def save(self) -> None:
        """Write all that is needed to go on, whole or not at all."""
        standing = asdict(self.standing)
        content = {
            "identity": self._identity,
            "standing": standing,
            "network": self.network.state_dict(),
            "average": self._average.ema.state_dict(),
            "updates": self._average.updates,
            "optimizer": self._optimizer.state_dict(),
            "best": self.best_weights,
        }
        unfinished = self._path.with_name(f".{self._path.name}")
        torch.save(content, unfinished)
        os.replace(unfinished, self._path)  # noqa: PTH105

    def resume(self) -> bool:
        """Go on from the checkpoint, if there is one; DetectorError where it is of another training."""
        if not self._path.is_file():
            return False
        try:
            stored = torch.load(self._path, map_location=self.device, weights_only=True)
        except (OSError, EOFError, RuntimeError, pickle.UnpicklingError) as error:
            raise DetectorError(f"{self._path} cannot be read: {error}. Delete it, or start anew with overwrite.") from error
        if stored["identity"] != self._identity:
            raise NotTrainable(f"{self._path} is of a training with other settings or pictures: choose another folder, or overwrite it.")
        self.network.load_state_dict(stored["network"])
        self._average.ema.load_state_dict(stored["average"])
        self._average.updates = stored["updates"]
        self._optimizer.load_state_dict(stored["optimizer"])
        self.best_weights = stored["best"]
        told = stored["standing"]
        history = [Validation(**each) for each in told["history"]]
        best = None if told["best"] is None else Validation(**told["best"])
        self.standing = Standing(**{**told, "history": history, "best": best})
        return True

    def _order(self, pool: ThreadPoolExecutor, step: int) -> list[Future[Canvas]]:
        """Ask for a step's canvases; what each shows follows from the seed, the step and its place alone."""
        sizes = self._sizes(step)
        count = max(2, round(self.settings.batch * sizes.batch))
        return [pool.submit(self._mosaic.canvas, sizes, (self.settings.seed, step, place)) for place in range(count)]

    def _sizes(self, step: int) -> CellSizes:
        sizes = self.settings.sizes
        shares = np.array([each.share for each in sizes])
        rng = np.random.default_rng([self.settings.seed, step])
        return sizes[int(rng.choice(len(sizes), p=shares / shares.sum()))]

    def _step(self, canvases: list[Canvas]) -> float:
        rate = learning_rate(self.settings, self.standing.step)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        pixels = torch.from_numpy(np.stack([each.picture for each in canvases])).to(self.device).permute(0, 3, 1, 2)
        self.network.train()
        with torch.autocast(self.device.type, torch.bfloat16):
            answers = self.network(pixels.float() / 255)
        answers = {name: _float(value) for name, value in answers.items()}
        loss, _ = self._loss(answers, _targets(canvases))
        total = loss.sum() / len(canvases)
        self._optimizer.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), LARGEST_GRADIENT)
        self._optimizer.step()
        self._average.update(self.network)
        return float(total.detach())

    def _validate(self) -> Validation:
        network = self.averaged()
        looks = {diameter: self.look(network, "validation", diameter) for diameter in self.settings.judged_px}
        found = {f"{diameter:g}": mean_average_precisions(seen) for diameter, seen in looks.items()}
        standing = self.standing
        result = Validation(
            standing.step,
            learning_rate(self.settings, standing.step),
            float(np.mean(standing.losses)),
            float(np.mean([each[0] for each in found.values()])),
            float(np.mean([each[1] for each in found.values()])),
            {size: each[1] for size, each in found.items()},
        )
        standing.losses = []
        standing.history.append(result)
        if standing.best is None or result.map50_95 > standing.best.map50_95:
            standing.best = result
            self.best_weights = {name: _as_kept(value) for name, value in network.state_dict().items()}
        return result

    def _progress(self, activity: str, rate: float) -> DetectorProgress:
        standing = self.standing
        left = (self.settings.steps - standing.step) / rate
        last = standing.history[-1] if standing.history else None
        loss = float(np.mean(standing.losses[-50:])) if standing.losses else None
        sizes = self.settings.sizes
        in_a_step = self.settings.batch * float(np.average([each.batch for each in sizes], weights=[each.share for each in sizes]))
        canvases = rate * in_a_step
        return DetectorProgress(activity, standing.step, self.settings.steps, loss, canvases, left, last, standing.best)


def learning_rate(settings: TrainingSettings, step: int) -> float:
    """Return the rate of a step: a straight rise, then half a cosine down to a hundredth."""
    if step < settings.warm_up:
        return settings.learning_rate * (step + 1) / (settings.warm_up + 1)
    along = (step - settings.warm_up) / max(1, settings.steps - settings.warm_up)
    return settings.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, along))))


def _optimizer(network: Any, settings: TrainingSettings) -> torch.optim.Optimizer:
    """AdamW; biases and batch norms are not pulled to zero."""
    decayed = [value for value in network.parameters() if value.requires_grad and value.ndim > 1]
    others = [value for value in network.parameters() if value.requires_grad and value.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(0.9, 0.99))


def _as_kept(value: torch.Tensor) -> torch.Tensor:
    """Return a weight as a folder of 16-bit numbers gives it back, so that what is judged is what is written."""
    value = value.detach().cpu().clone()
    return value.half().float() if value.is_floating_point() else value


def _float(value: Any) -> Any:
    return [each.float() for each in value] if isinstance(value, list) else value.float()


def _targets(canvases: list[Canvas]) -> dict[str, torch.Tensor]:
    """Return boxes as ultralytics' loss wants them: which canvas, which class, middle and size as shares."""
    side = canvases[0].picture.shape[0]
    boxes = np.concatenate([each.boxes for each in canvases]) / side
    middle, size = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    owner = np.repeat(np.arange(len(canvases)), [len(each.boxes) for each in canvases])
    return {
        "batch_idx": torch.from_numpy(owner).float(),
        "cls": torch.zeros(len(boxes)),
        "bboxes": torch.from_numpy(np.hstack([middle, size])).float(),
    }
