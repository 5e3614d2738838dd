"""What a frozen body makes of every picture, computed once: a head then trains in seconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import psutil
from numpy.typing import NDArray

from classifiers.sampling import EpochPlan
from classifiers.training.pixels import SHARE_OF_MEMORY, Pixels

Extract: TypeAlias = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
ROWS_AT_ONCE = 32


@dataclass(frozen=True)
class Features:
    """Features of the training cells, turned by each of `turns` before they were computed."""

    values: NDArray[np.float32]  # (cells, turns, ...)
    turns: NDArray[np.int8]  # ascending

    def allocate(self, rows: int) -> NDArray[np.float32]:
        return np.empty((rows, *self.values.shape[2:]), np.float32)

    def fill(self, out: NDArray[Any], plan: EpochPlan, positions: NDArray[np.intp], seed: int, epoch: int) -> None:
        out[:] = self.values[plan.index[positions], np.searchsorted(self.turns, plan.quarter_turns[positions])]


def features_fit(extract_from: Extract, pixels: Pixels, count: int) -> bool:
    """Whether memory has room for the features of so many pictures."""
    one = extract_from(np.ascontiguousarray(pixels[:1]))
    return bool(count * one.nbytes <= SHARE_OF_MEMORY * psutil.virtual_memory().total)


def extract(extract_from: Extract, pixels: Pixels, rows: NDArray[np.intp], turns: NDArray[np.int8]) -> NDArray[np.float32]:
    """Return (rows, turns, ...) features of these pictures."""
    values: NDArray[np.float32] | None = None
    for start in range(0, len(rows), ROWS_AT_ONCE):
        pictures = pixels[rows[start : start + ROWS_AT_ONCE]]
        for place, turn in enumerate(turns.tolist()):
            found = extract_from(np.ascontiguousarray(np.rot90(pictures, turn, axes=(1, 2))))
            if values is None:
                values = np.empty((len(rows), len(turns), *found.shape[1:]), np.float32)
            values[start : start + len(found), place] = found
    assert values is not None, "a split has training cells"
    return values
