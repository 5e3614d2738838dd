"""What every classifier offers: crops in, probabilities out; it knows nothing of slides."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from classifiers.card import ModelCard


class ClassifierError(Exception):
    """A classifier cannot be built or cannot work on what it was given."""


NOTICE: Final = "For research use only. Not for use in diagnostic procedures."  # stands in every picture that is made here


@dataclass(frozen=True)
class Predictions:
    """Calibrated probabilities, one row a crop, one column a class of the card, in the card's order."""

    probabilities: NDArray[np.float32]  # (n, k)
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.probabilities)


@dataclass
class Compute:
    """What a classifier did to get by on its device; goes to run.json."""

    device: str
    precision: str
    batch_size: int
    events: list[str] = field(default_factory=list)  # "out of memory at 512 crops: going on with 256"


class Classifier(ABC):
    """Scores crops of the size that its card states."""

    card: ModelCard
    compute: Compute

    @abstractmethod
    def predict(self, crops: NDArray[np.uint8]) -> Predictions:
        """Score `crops`, (n, crop_px, crop_px, 3) RGB. The bits of a row do not depend on the rows beside it."""


class Explainer(ABC):
    """Says for each crop where a classifier looked."""

    signed: ClassVar[bool] = False  # whether its maps also show what spoke against the class

    @abstractmethod
    def explain(self, crops: NDArray[np.uint8], class_name: str, show: Callable[[int], None] | None = None) -> NDArray[np.float32]:
        """Return (n, height, width) maps of what spoke for `class_name` in `crops`, (n, crop_px, crop_px, 3) RGB.

        Each map lies in [0, 1] and is relative to itself: its greatest place is 1, so two maps say nothing of which cell
        has the higher score. Those of a signed method lie in [-1, 1], what spoke against the class being below zero, and
        their greatest absolute value is 1. A map in which nothing speaks is zero everywhere. A map does not depend on the
        crops beside it. `show` is told, as time goes on, how many crops are done.
        """
