"""What training tells while it goes on, and what it remembers of each epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from classifiers.base import ClassifierError


class TrainingStopped(ClassifierError):
    """Training was asked to stop; its checkpoint is written, and the same call goes on from there."""


class TrainingDiverged(ClassifierError):
    """The loss is no number any more: another learning rate or precision is needed."""


@dataclass(frozen=True)
class Epoch:
    """What one epoch came to. The training figures are means over its batches, while the network was changing."""

    stage: int  # from 1
    epoch: int  # of the stage, from 1
    learning_rate: float  # of its first batch
    loss: float
    accuracy: float
    validation_loss: float  # mean negative log likelihood, whatever weights and smoothing training uses
    validation_accuracy: float

    def monitored(self, monitor: str) -> float:
        """Return the number that decides which epoch is best, the greater the better."""
        return -self.validation_loss if monitor == "loss" else self.validation_accuracy


@dataclass(frozen=True)
class Progress:
    """How far training is; handed to `show` a few times a second at most."""

    activity: str  # "reading cells", "training", "validating"
    done: int  # cells read, or batches of the stages
    total: int
    stage: int = 1
    stages: int = 1
    epoch: int = 1
    epochs: int = 1  # of the stage, if nothing stops it earlier
    batch: int = 0
    batches: int = 0
    loss: float | None = None  # of this epoch so far
    last: Epoch | None = None
    best: Epoch | None = None  # of this stage
    cells_per_s: float | None = None
    waited_share: float | None = None  # of the training time: the network waited for data
    seconds_left: float | None = None  # at most: early stopping may end it before
    label: str = ""  # which of several trainings

    def details(self) -> Mapping[str, str]:
        """Return a few lines for a person, by their names."""
        if not self.batches:
            return {self.activity: f"{self.done} of {self.total}"}
        stage = f"stage {self.stage} of {self.stages}, " if self.stages > 1 else ""
        loss = "" if self.loss is None else f", loss {self.loss:.4f}"
        speed = "" if self.cells_per_s is None else f", {self.cells_per_s:.0f} cells/s"
        lines = {f"{stage}epoch {self.epoch}/{self.epochs}": f"batch {self.batch}/{self.batches}{loss}{speed}"}
        if self.last is not None:
            lines["validation"] = f"loss {self.last.validation_loss:.4f}, accuracy {self.last.validation_accuracy:.4f}"
        if self.best is not None:
            best = self.best
            lines["best"] = f"epoch {best.epoch}: loss {best.validation_loss:.4f}, accuracy {best.validation_accuracy:.4f}"
        return lines


Show: TypeAlias = Callable[[Progress], None]
Stop: TypeAlias = Callable[[], bool]
