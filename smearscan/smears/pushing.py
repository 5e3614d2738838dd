"""Makes room for a white cell among real red cells: they give way and lie around it, as they do on a smear."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from smearscan.results import Box, Picture
from smearscan.smears.cutouts import BackgroundSource

_SNUG = 0.97  # of the white cell's radius: some red cells touch it
_YIELD = 1.3  # how far around it they are pressed, in its diameters


class Pushed:
    """A background from which the red cells under given white cells are pushed aside."""

    def __init__(self, background: BackgroundSource, x: NDArray[np.int64], y: NDArray[np.int64], diameter: NDArray[np.float64]) -> None:
        self._background = background
        self._x, self._y = x, y
        self._radius = diameter * 0.5 * _SNUG
        self._shift = np.maximum(self._radius - background.room_at(x.astype(np.float64), y.astype(np.float64)), 0.0)
        self._reach = self._radius + np.maximum(diameter * _YIELD, 2.5 * self._shift)
        self.pad = int(np.ceil(self._shift.max(initial=0.0) * 2)) + 3

    def paint(self, box: Box) -> Picture:
        """Return the background of a box."""
        left, top, right, bottom = box
        near = (self._x > left - self._reach) & (self._x < right + self._reach) & (self._shift > 0)
        near &= (self._y > top - self._reach) & (self._y < bottom + self._reach)
        if not near.any():
            return self._background.paint(left, top, right, bottom).copy()
        across = np.zeros((bottom - top, right - left), np.float32)
        down = np.zeros_like(across)
        for index in np.flatnonzero(near).tolist():
            self._press(across, down, index, left, top)
        wide = self._background.paint(left - self.pad, top - self.pad, right + self.pad, bottom + self.pad)
        limit = np.float32(self.pad - 2)
        u = np.arange(right - left, dtype=np.float32) + np.float32(self.pad) + across.clip(-limit, limit)
        v = np.arange(bottom - top, dtype=np.float32)[:, None] + np.float32(self.pad) + down.clip(-limit, limit)
        return np.asarray(cv2.remap(wide, u, v, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE), np.uint8)

    def _press(self, across: NDArray[np.float32], down: NDArray[np.float32], index: int, left: int, top: int) -> None:
        """Add where one white cell takes its surroundings from: nearer to its centre, less so the farther away."""
        x, y, radius, shift, reach = int(self._x[index]), int(self._y[index]), self._radius[index], self._shift[index], self._reach[index]
        edge = int(np.ceil(reach)) + 1
        u0, v0 = max(x - edge - left, 0), max(y - edge - top, 0)
        u1, v1 = min(x + edge + 1 - left, across.shape[1]), min(y + edge + 1 - top, across.shape[0])
        if u0 >= u1 or v0 >= v1:
            return
        dx = np.arange(u0, u1, dtype=np.float32) + left - x
        dy = (np.arange(v0, v1, dtype=np.float32) + top - y)[:, None]
        far = np.sqrt(dx * dx + dy * dy)
        share = np.clip((far - radius) / (reach - radius), 0, 1)
        inward = shift * (1 - share) ** 2 * np.clip(far / radius, 0, 1)
        pull = inward / np.maximum(far, 1.0)
        across[v0:v1, u0:u1] -= dx * pull
        down[v0:v1, u0:u1] -= dy * pull
