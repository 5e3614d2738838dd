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
    validation_loss: float | None  # mean negative log likelihood, whatever weights and smoothing training uses; None: no such cells
    validation_accuracy: float | None

    def monitored(self, monitor: str) -> float:
        """Return the number that decides which epoch is best, the greater the better."""
        if monitor == "none":
            return self.epoch
        assert self.validation_loss is not None and self.validation_accuracy is not None, "what is chosen by needs validation cells"
        return -self.validation_loss if monitor == "loss" else self.validation_accuracy

    @property
    def validation(self) -> str:
        """Say how the validation cells were called; nothing where there are none."""
        if self.validation_loss is None:
            return ""
        return f"loss {self.validation_loss:.4f}, accuracy {self.validation_accuracy:.4f}"


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
        if self.last is not None and self.last.validation:
            lines["validation"] = self.last.validation
        if self.best is not None and self.best.validation:
            lines["best"] = f"epoch {self.best.epoch}: {self.best.validation}"
        return lines


Show: TypeAlias = Callable[[Progress], None]
Stop: TypeAlias = Callable[[], bool]
