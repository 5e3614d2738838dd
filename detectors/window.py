"""The fixed sliding window: every window of a grid is a proposal, looked at or not."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from detectors.base import Detector, DetectorError, Proposals
from detectors.boxes import count_windows

__all__ = ["DEFAULT_SIZE", "DEFAULT_STEP", "PAPER_STEP", "WindowDetector", "count_windows"]

DEFAULT_SIZE = 112
DEFAULT_STEP = 56
PAPER_STEP = 50  # what the sliding-window paper's own table of 57,914 windows needs; its text says 56


class WindowDetector(Detector):
    """Windows of `size` px every `step` px, on a grid that starts at the slide's corner; whole windows only, as in the paper."""

    name = "window"

    def __init__(self, size: int = DEFAULT_SIZE, step: int = DEFAULT_STEP) -> None:
        if size < 1 or step < 1:
            raise DetectorError(f"A window needs a size and a step of at least 1 px, not size {size} and step {step}.")
        self.size = int(size)
        self.step = int(step)

    def propose(self, picture: NDArray[np.uint8], mpp: float | None = None, origin: tuple[int, int] = (0, 0)) -> Proposals:
        height, width = picture.shape[:2]
        left = self._starts(origin[0], width)
        top = self._starts(origin[1], height)
        tops, lefts = (each.ravel() for each in np.meshgrid(top, left, indexing="ij"))
        boxes = np.column_stack([lefts, tops, lefts + self.size, tops + self.size]).astype(np.float32)
        return Proposals(boxes, np.ones(len(boxes), np.float32))

    def _starts(self, origin: int, length: int) -> NDArray[np.int64]:
        first = -origin % self.step  # the first grid line at or after the picture's first pixel
        return np.arange(first, length - self.size + 1, self.step, dtype=np.int64)

    def reach(self, mpp: float | None) -> int:
        return -(-self.size // 2)

    def settings(self) -> Mapping[str, object]:
        return {"size": self.size, "step": self.step}
