"""What a training of a detector can be told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, TypeAlias

from detectors.training.errors import NotTrainable
from detectors.training.mosaic import LARGEST_CELL_PX, SMALLEST_CELL_PX, CellSizes

# Most canvases show cells as a run does at the card's microns per pixel; the others, as a slide without a scale may.
SIZES = (CellSizes(SMALLEST_CELL_PX - 1, 75.0, 320, share=0.65), CellSizes(60.0, LARGEST_CELL_PX, 480, share=0.35, batch=0.5))


@dataclass(frozen=True)
class TrainingSettings:
    """All that the trained weights follow from, beside the pictures."""

    steps: int = 4000
    batch: int = 16  # canvases of 320 px; half as many of 480
    learning_rate: float = 2e-3  # AdamW, after a warm-up, falling along a cosine to a hundredth
    weight_decay: float = 5e-4
    warm_up: int = 300
    average: float = 0.999  # of the weights: the moving average is what is kept
    width: float = 0.125  # of the network: the nano has 0.25
    depth: float = 0.33
    validate_every: int = 500
    sizes: tuple[CellSizes, ...] = SIZES
    judged_px: tuple[float, ...] = (18.0, 32.0, 60.0, 120.0, 240.0)  # cell diameters at which validation pictures are shown
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.steps, self.batch, self.validate_every) < 1 or self.warm_up < 0:
            raise NotTrainable(f"steps {self.steps}, batch {self.batch} and validate_every {self.validate_every} must be at least 1.")
        if not 0 < self.learning_rate < 1 or not 0 <= self.average < 1 or not self.sizes or not self.judged_px:
            raise NotTrainable(f"learning_rate {self.learning_rate} and average {self.average} must lie between 0 and 1.")

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Validation:
    """What the averaged weights were worth after so many steps."""

    step: int
    learning_rate: float
    loss: float  # mean since the last one
    map50: float  # means over the sizes at which pictures were shown
    map50_95: float
    by_size: Mapping[str, float] = field(default_factory=dict)  # mAP50-95 of each


@dataclass(frozen=True)
class DetectorProgress:
    """How far training is; handed to `show`."""

    activity: str
    done: int
    total: int
    loss: float | None = None
    pictures_per_s: float | None = None
    seconds_left: float | None = None
    last: Validation | None = None
    best: Validation | None = None

    def details(self) -> Mapping[str, str]:
        """Return a few lines for a person, by their names."""
        speed = "" if self.pictures_per_s is None else f", {self.pictures_per_s:.0f} canvases/s"
        lines = {"step": f"{self.done} of {self.total}" + ("" if self.loss is None else f", loss {self.loss:.3f}") + speed}
        for name, found in (("validation", self.last), ("best", self.best)):
            if found is not None:
                lines[name] = f"step {found.step}: mAP50 {found.map50:.4f}, mAP50-95 {found.map50_95:.4f}"
        return lines


Show: TypeAlias = Callable[[DetectorProgress], None]
Stop: TypeAlias = Callable[[], bool]
