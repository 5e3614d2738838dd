"""The course of a training: stages, epochs, batches; the best weights kept, and a checkpoint from which each batch can be gone on."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from classifiers.recipes import Stage
from classifiers.training.checkpoint import Checkpoint, Standing
from classifiers.training.order import Order
from classifiers.training.pixels import Pixels
from classifiers.training.processes import Alone
from classifiers.training.progress import Epoch, Progress, Show, Stop, TrainingDiverged, TrainingStopped
from classifiers.training.stage import StageWork

SHOW_EVERY_S = 0.5


@dataclass(frozen=True)
class Fitted:
    """A trained network, on the CPU and in evaluation mode, and how it came about."""

    network: nn.Module
    history: tuple[Epoch, ...]
    seconds: dict[str, float]
    cells_trained: int


class Loop:
    """Trains one network as an order says, from the beginning or from its checkpoint."""

    def __init__(
        self,
        order: Order,
        pixels: Pixels,
        processes: Alone,
        show: Show | None = None,
        stop: Stop | None = None,
    ) -> None:
        self._order, self._pixels, self._processes = order, pixels, processes
        self._show, self._stop = show, stop
        self._stages = order.recipe.stages
        self._network = order.build_network()
        self._checkpoint = Checkpoint(order.checkpoint, order.identity, order.checkpoint_every_s)
        self._standing = Standing()
        self._resumed: dict[str, dict[str, Tensor]] = {}  # state of an optimiser and a scaler that are yet to be built
        if (found := self._checkpoint.read()) is not None:
            self._standing, self._resumed = found
            self._network.load_state_dict(self._resumed.pop("network"))
        self._network.to(device=processes.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._standing.loss, self._standing.right = self._standing.loss.to(processes.device), self._standing.right.to(processes.device)
        self._clock = _Clock()

    def run(self) -> Fitted:
        """Train to the end; raises TrainingStopped where `stop` asked for it, after writing the checkpoint."""
        for index in range(self._standing.stage, len(self._stages)):
            self._run_stage(self._stages[index])
        standing = self._standing
        network = self._network.to("cpu").eval().requires_grad_(True)
        return Fitted(network, tuple(standing.history), dict(standing.seconds), standing.cells_trained)

    def _run_stage(self, stage: Stage) -> None:
        standing = self._standing
        work = StageWork(self._order, stage, self._network, self._pixels, self._processes)
        if self._resumed:
            work.optimiser.load_state_dict(self._resumed["optimiser"])
            work.scaler.load_state_dict(self._resumed["scaler"])
            self._resumed = {}
        with contextlib.closing(work):
            while standing.epoch < stage.epochs and not self._exhausted(stage):
                self._run_epoch(stage, work)
        self._network.load_state_dict(standing.best_weights)
        standing.next_stage()
        self._write(None)

    def _exhausted(self, stage: Stage) -> bool:
        best = self._standing.best
        return stage.patience is not None and best is not None and self._standing.epoch - best.epoch >= stage.patience

    def _run_epoch(self, stage: Stage, work: StageWork) -> None:
        standing = self._standing
        number = sum(each.epochs for each in self._stages[: standing.stage]) + standing.epoch
        plan = work.plan(number)
        batches = work.batches(plan)
        rate = work.set_learning_rate(standing.epoch / stage.epochs)
        work.train()
        waited, started = work.feed.waited_s, time.perf_counter()
        for batch in work.feed.batches(plan, number, standing.batch):
            work.set_learning_rate((standing.epoch + batch.number / batches) / stage.epochs)
            told = work.step(batch, number, self._stop is not None and self._stop())
            standing.loss += told.loss
            standing.right += told.right
            standing.cells += batch.size
            standing.batch += 1
            standing.cells_trained += batch.size
            now = time.perf_counter()
            standing.seconds["training"] += now - started
            standing.seconds["waiting"] += work.feed.waited_s - waited
            waited = work.feed.waited_s
            if told.stopping:
                self._write(work)
                raise TrainingStopped(f"Stopped in epoch {standing.epoch + 1} of stage {standing.stage + 1}, after batch {standing.batch}.")
            if self._checkpoint.due(at_epoch_end=False):
                self._write(work)
            self._tell("training", work, batches)
            started = time.perf_counter()
        self._end_epoch(stage, work, rate, batches)

    def _end_epoch(self, stage: Stage, work: StageWork, rate: float, batches: int) -> None:
        standing = self._standing
        self._tell("validating", work, batches)
        started = time.perf_counter()
        sums = torch.stack([standing.loss, standing.right])
        self._processes.sum(sums)
        loss, right = (sums / standing.cells).tolist()
        found, accuracy = work.validate() if len(self._order.validation) else (None, None)
        standing.seconds["validating"] += time.perf_counter() - started
        epoch = Epoch(standing.stage + 1, standing.epoch + 1, rate, loss, right, found, accuracy)
        telling = loss if found is None else found
        if not torch.isfinite(torch.tensor(telling)):
            raise TrainingDiverged(
                f"The {'training' if found is None else 'validation'} loss became {telling} in epoch {epoch.epoch} of stage {epoch.stage}. "
                f"Take a learning rate below {rate:g}, or precision fp32."
            )
        standing.history.append(epoch)
        if standing.best is None or epoch.monitored(stage.monitor) > standing.best.monitored(stage.monitor):
            standing.best = epoch
            standing.best_weights = {name: value.detach().cpu().clone() for name, value in self._network.state_dict().items()}
        standing.epoch += 1
        standing.begin_epoch()
        if self._checkpoint.due(at_epoch_end=True):
            self._write(work)
        self._tell("training", work, batches, at_once=True)

    def _write(self, work: StageWork | None) -> None:
        """Write the checkpoint; between two stages there is no optimiser."""
        if self._processes.number:
            return
        parts = {"network": self._network.state_dict()}
        if work is not None:
            parts |= {"optimiser": work.optimiser.state_dict(), "scaler": work.scaler.state_dict()}
        self._standing.seconds["writing"] += self._checkpoint.write(self._standing, parts)

    def _tell(self, activity: str, work: StageWork, batches: int, *, at_once: bool = False) -> None:
        if self._show is None or not (at_once or activity != "training" or self._clock.due()):
            return
        standing, stage = self._standing, self._stages[self._standing.stage]
        total = sum(each.epochs for each in self._stages) * batches
        done = (sum(each.epochs for each in self._stages[: standing.stage]) + standing.epoch) * batches + standing.batch
        training = standing.seconds["training"]
        told = Progress(
            activity,
            done,
            total,
            standing.stage + 1,
            len(self._stages),
            min(standing.epoch + 1, stage.epochs),
            stage.epochs,
            standing.batch,
            batches,
        )
        self._show(
            replace(
                told,
                loss=float(standing.loss) * self._processes.count / standing.cells if standing.cells else None,
                last=standing.history[-1] if standing.history else None,
                best=standing.best,
                cells_per_s=standing.cells_trained / training if training else None,
                waited_share=standing.seconds["waiting"] / training if training else None,
                seconds_left=self._clock.left(done, total),
            )
        )


class _Clock:
    """When progress was last shown, and how long the rest will take."""

    def __init__(self) -> None:
        self._shown = self._started = time.monotonic()
        self._first: int | None = None

    def due(self) -> bool:
        now = time.monotonic()
        if now - self._shown < SHOW_EVERY_S:
            return False
        self._shown = now
        return True

    def left(self, done: int, total: int) -> float | None:
        """Return the seconds left at the pace of this process; None until there is one."""
        if self._first is None:
            self._first, self._started = done, time.monotonic()
        passed = done - self._first
        return (time.monotonic() - self._started) * (total - done) / passed if passed else None


@contextlib.contextmanager
def exact_threads(threads: int, device: torch.device) -> Iterator[None]:
    """Compute with so many threads and in a way that gives the same bits again; leave torch as it was found."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with (
            torch.random.fork_rng([device] if device.type == "cuda" else []),
            torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False),
        ):
            yield
    finally:
        torch.set_num_threads(before)
