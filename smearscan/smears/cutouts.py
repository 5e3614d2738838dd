"""One object cut out of its surroundings, as painters and training sets want it, and the place where cells come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from smearscan.results import Picture


@dataclass(frozen=True)
class Cutout:
    """A picture of one object and how much of the background it hides.

    The object's centre is the picture's, and nothing of it lies farther from there than 1.5 diameters.
    """

    rgb: Picture
    alpha: NDArray[np.float32]  # (height, width) in [0, 1]
    diameter_px: float  # of the disc that has a cell's area; of debris its longer side
    kind: str


class CellSource(ABC):
    """Where the cells of one kind come from: drawn ones, or another package's real cut-outs.

    A smear asks for each cell by a random stream of its own, so a source must take every choice from `rng`
    and keep nothing between calls. Sources travel to other processes and must pickle.
    """

    @abstractmethod
    def draw(self, rng: np.random.Generator, mpp: float) -> Cutout:
        """Return one cell at `mpp` microns per pixel."""

    def measure(self, rng: np.random.Generator, mpp: float) -> float:
        """Return the diameter in pixels of the cell that `draw` gives for this stream; cheaper where a source can tell."""
        return self.draw(rng, mpp).diameter_px

    def origin(self, rng: np.random.Generator, mpp: float) -> Mapping[str, str]:
        """Return where the cell that `draw` gives for this stream comes from, column by column; nothing where it is drawn."""
        return {}


class BackgroundSource(ABC):
    """What lies around the cells, where it is not drawn: real red-cell fields, say."""

    @abstractmethod
    def paint(self, left: int, top: int, right: int, bottom: int) -> Picture:
        """Return that part of the slide; equal pixels for equal places, whatever part is asked for."""

    def weight_at(self, xs: NDArray[np.float64], ys: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return how likely a white cell is to lie at each place, 0 to 1."""
        return np.ones(len(xs), np.float32)

    def room_at(self, xs: NDArray[np.float64], ys: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return how many pixels around each place are free of red cells; a larger white cell pushes them aside."""
        return np.full(len(xs), np.inf)
