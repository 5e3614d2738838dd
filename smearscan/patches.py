"""Patches of a slide in full resolution, chosen on its coarse picture: for what needs fine pixels, but not all of them."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from smearscan.results import Box, SlideInfo

PATCH_PX = 1000


class PatchGrid:
    """A slide in patches of about `PATCH_PX`."""

    def __init__(self, info: SlideInfo) -> None:
        self.columns, self.rows = -(-info.width // PATCH_PX), -(-info.height // PATCH_PX)
        self._across = np.linspace(0, info.width, self.columns + 1).astype(int).tolist()
        self._down = np.linspace(0, info.height, self.rows + 1).astype(int).tolist()

    def shares(self, marked: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Return which share of each patch is marked in a picture of the whole slide."""
        return np.asarray(cv2.resize(marked.astype(np.float32), (self.columns, self.rows), interpolation=cv2.INTER_AREA), np.float32)

    def boxes(self, wanted: NDArray[np.bool_]) -> list[Box]:
        """Return the wanted patches in level-0 pixels, in an order in which the first few lie far apart."""
        numbers = np.flatnonzero(wanted)
        places = [divmod(int(numbers[each]), self.columns) for each in _spread_out(len(numbers))]
        return [(self._across[column], self._down[row], self._across[column + 1], self._down[row + 1]) for row, column in places]


def _spread_out(count: int) -> Iterator[int]:
    """Yield 0 .. count - 1 so that however few are taken, they lie far apart: by the bits of a counter, read backwards."""
    bits = max(count - 1, 1).bit_length()
    for number in range(2**bits):
        place = int(f"{number:0{bits}b}"[::-1], 2)
        if place < count:
            yield place
