"""Fields of one fixed size on the slide's grid: what a network sees at once, so that its answer does not depend on the tiling.

A field has a core, which it owns, and a margin around it. Cores stand side by side from the slide's corner, so field k
begins at k * core - margin. What lies outside the picture is white, as the glass is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

WHITE = 255


@dataclass(frozen=True)
class Field:
    """One field of a picture: where it begins and which centres it owns, in the picture's pixels."""

    left: int
    top: int
    owned: tuple[float, float, float, float]  # left, top, right, bottom; open to infinity where no other field follows

    def owns(self, boxes: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Tell which boxes have their centre in the part that is this field's own."""
        x, y = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
        left, top, right, bottom = self.owned
        return (x >= left) & (x < right) & (y >= top) & (y < bottom)


@dataclass(frozen=True)
class FieldGrid:
    """How large fields are, in slide pixels."""

    side: int
    margin: int

    def __post_init__(self) -> None:
        if self.margin < 0 or self.core <= self.margin:
            raise ValueError(f"A field of {self.side} px with a margin of {self.margin} px leaves a core no larger than its margin.")

    @property
    def core(self) -> int:
        return self.side - 2 * self.margin

    def fields(self, origin: tuple[int, int], size: tuple[int, int]) -> Iterator[Field]:
        """Yield the fields that a picture of `size` (width, height) at `origin` on the slide needs, row by row.

        A picture that was cut for one core, with its margin or as much of it as the slide has, gets exactly that field.
        """
        for top, above, below in self._along(origin[1], size[1]):
            for left, before, behind in self._along(origin[0], size[0]):
                yield Field(left, top, (before, above, behind, below))

    def cut(self, picture: NDArray[np.uint8], field: Field) -> NDArray[np.uint8]:
        """Return the field's pixels, (side, side, 3)."""
        out = np.full((self.side, self.side, 3), WHITE, np.uint8)
        height, width = picture.shape[:2]
        left, top = max(field.left, 0), max(field.top, 0)
        right, bottom = min(field.left + self.side, width), min(field.top + self.side, height)
        out[top - field.top : bottom - field.top, left - field.left : right - field.left] = picture[top:bottom, left:right]
        return out

    def _along(self, origin: int, length: int) -> Iterator[tuple[int, float, float]]:
        """Yield, for one axis, where each field begins and the centres it owns, in picture pixels."""
        # At the slide's edge there is no margin to read; elsewhere the picture begins a margin before its first core.
        first = 0 if origin == 0 else (origin + self.margin) // self.core
        last = max(first, -(-(origin + length - self.margin) // self.core) - 1)
        for index in range(first, last + 1):
            start = index * self.core - origin
            owned_from = -np.inf if index == first else float(start)
            owned_to = np.inf if index == last else float(start + self.core)
            yield start - self.margin, owned_from, owned_to
