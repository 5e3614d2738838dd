"""Where a training stands, in one file that is whole or not there: a kill at any time costs what came after it."""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from classifiers.base import ClassifierError
from classifiers.training.order import differing
from classifiers.training.progress import Epoch

SHARE_OF_TIME = 0.05  # that writing may take: large networks are written more rarely
HOW_TO_START_ANEW = "Give another folder, or start anew with overwrite (--overwrite)."


@dataclass
class Standing:
    """All that a training knows beside the weights of its network and its optimiser."""

    stage: int = 0
    epoch: int = 0  # of the stage: the next one, or the one that is in work
    batch: int = 0  # of the epoch: the next one
    loss: Tensor = field(default_factory=lambda: torch.zeros(()))  # sums over the epoch's cells so far
    right: Tensor = field(default_factory=lambda: torch.zeros(()))
    cells: int = 0
    history: list[Epoch] = field(default_factory=list)
    best: Epoch | None = None  # of the stage
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=lambda: dict.fromkeys(("training", "waiting", "validating", "writing"), 0.0))
    cells_trained: int = 0

    def next_stage(self) -> None:
        self.stage += 1
        self.epoch = self.batch = 0
        self.best, self.best_weights = None, {}

    def begin_epoch(self) -> None:
        self.batch = self.cells = 0
        self.loss, self.right = torch.zeros_like(self.loss), torch.zeros_like(self.right)

    def as_mapping(self) -> dict[str, Any]:
        history = [asdict(each) for each in self.history]
        best = None if self.best is None else asdict(self.best)
        return {**vars(self), "history": history, "best": best}

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Standing:
        history = [Epoch(**each) for each in values["history"]]
        best = None if values["best"] is None else Epoch(**values["best"])
        return cls(**{**values, "history": history, "best": best})


class Checkpoint:
    """The file, and when it is due again."""

    def __init__(self, path: Path, identity: Mapping[str, str], every_s: float) -> None:
        self.path = path
        self._identity = dict(identity)
        self._every_s = every_s
        self._cost_s = 0.0
        self._written = time.monotonic()

    def due(self, *, at_epoch_end: bool) -> bool:
        """Whether it is time to write: at the end of an epoch, or after so many seconds, unless writing takes too long."""
        wanted = 0.0 if at_epoch_end else self._every_s
        return time.monotonic() - self._written >= max(wanted, self._cost_s / SHARE_OF_TIME)

    def write(self, standing: Standing, parts: Mapping[str, Any]) -> float:
        """Write where training stands, with the state of its parts; return the seconds it took."""
        started = time.monotonic()
        unfinished = self.path.with_name(f".{self.path.name}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with unfinished.open("wb") as file:
                torch.save({"identity": self._identity, "standing": standing.as_mapping(), **parts}, file)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(self.path)
        except OSError as error:
            raise ClassifierError(f"The checkpoint {self.path} cannot be written: {error.strerror}. Make room there.") from error
        finally:
            unfinished.unlink(missing_ok=True)
        self._written = time.monotonic()
        self._cost_s = self._written - started
        return self._cost_s

    def read(self) -> tuple[Standing, dict[str, Any]] | None:
        """Return where an earlier call stopped, None where there was none; refuses one of another training."""
        if not self.path.is_file():
            return None
        try:
            content = torch.load(self.path, map_location="cpu", weights_only=True)
            before, standing = content.pop("identity"), Standing.from_mapping(content.pop("standing"))
        except (OSError, EOFError, KeyError, TypeError, RuntimeError, pickle.UnpicklingError) as error:
            raise ClassifierError(
                f"The checkpoint {self.path} cannot be read, it is damaged or of another version. {HOW_TO_START_ANEW}"
            ) from error
        if changed := differing(before, self._identity):
            raise ClassifierError(
                f"{self.path.parent.parent} holds an unfinished training whose {' and '.join(changed)} was not the same. "
                f"{HOW_TO_START_ANEW}"
            )
        return standing, content
