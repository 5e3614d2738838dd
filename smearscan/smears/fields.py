"""Smooth random surfaces over a whole slide: known anywhere, at any time, from a small table of random numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Surface = NDArray[np.float32]


@dataclass(frozen=True)
class SmoothField:
    """Noise of mean 0 and deviation 1 whose hills and hollows are about `spacing` pixels apart.

    A cubic B-spline over a lattice: unlike a picture that is resized piece by piece it has no seams, whatever
    part of it is asked for.
    """

    lattice: NDArray[np.float32]
    spacing: float

    @classmethod
    def random(cls, rng: np.random.Generator, width: int, height: int, spacing: float) -> SmoothField:
        shape = (int(np.ceil(height / spacing)) + 4, int(np.ceil(width / spacing)) + 4)
        return cls((rng.standard_normal(shape) * 1.9).astype(np.float32), spacing)

    def on(self, xs: NDArray[np.float64], ys: NDArray[np.float64]) -> Surface:
        """Return the field on the grid of columns `xs` and rows `ys` (slide pixels)."""
        across, left = _weights(xs / self.spacing, self.lattice.shape[1])
        down, top = _weights(ys / self.spacing, self.lattice.shape[0])
        part = self.lattice[top : top + down.shape[1], left : left + across.shape[1]]
        return np.asarray(down @ part @ across.T, np.float32)

    def at(self, xs: NDArray[np.float64], ys: NDArray[np.float64]) -> Surface:
        """Return the field at single points."""
        columns, across = _spline(xs / self.spacing, self.lattice.shape[1])
        rows, down = _spline(ys / self.spacing, self.lattice.shape[0])
        total = np.zeros(len(xs), np.float32)
        for i in range(4):
            for j in range(4):
                total += down[:, i] * across[:, j] * self.lattice[rows + i, columns + j]
        return total


def _spline(places: NDArray[np.float64], size: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return for each place the first of its four lattice points and their weights."""
    first = np.clip(np.floor(places).astype(np.int64), 0, size - 4)
    t = np.clip(places - first, 0.0, 1.0)
    weights = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], 1) / 6
    return first, weights.astype(np.float32)


def _weights(places: NDArray[np.float64], size: int) -> tuple[NDArray[np.float32], int]:
    """Return the matrix that turns lattice points into values at `places`, and the first point it uses."""
    first, weights = _spline(places, size)
    start = int(first.min())
    matrix = np.zeros((len(places), int(first.max()) - start + 4), np.float32)
    rows = np.arange(len(places))
    for k in range(4):
        matrix[rows, first - start + k] += weights[:, k]
    return matrix, start


def smoothstep(values: Surface, low: float, high: float) -> Surface:
    """Return 0 below `low`, 1 above `high` and a soft slope between; `low` may be the larger."""
    t = np.clip((values - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)
