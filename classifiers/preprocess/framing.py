"""Preparation steps that change which part of a crop is seen, or at what size; each says where its pixels come from.

A place is an affine map, (2, 3) float64, from (x, y) of a pixel's middle after the step to (x, y) of a pixel's middle before it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from classifiers.base import ClassifierError
from classifiers.named_steps import check_number

Crop: TypeAlias = NDArray[np.uint8]  # (height, width, 3)
Crops: TypeAlias = NDArray[np.uint8]  # (n, height, width, 3)
Place: TypeAlias = NDArray[np.float64]  # (2, 3)

BLACK = 12  # grey value up to which a pixel counts as the black around a cut-out cell: JPEG does not leave it at 0


class Step(ABC):
    """What is done to each crop by itself."""

    keeps_frame: ClassVar[bool] = True  # what is seen is the whole crop, at whatever size

    @abstractmethod
    def __call__(self, crops: Crops) -> Crops:
        """Return the crops after the step, all of one size, in new memory wherever something changes."""

    def place(self, crop: Crop) -> Place:
        """Say where the pixels of this crop, once the step is done, lie in it now."""
        return np.eye(2, 3)


@dataclass(frozen=True)
class Resize(Step):
    """Bring crops to `px` pixels a side: by area when they get smaller, cubic when larger."""

    px: int

    def __post_init__(self) -> None:
        check_number("px", self.px, 1, whole=True)

    def __call__(self, crops: Crops) -> Crops:
        if crops.shape[1:3] == (self.px, self.px):
            return crops
        resized = np.empty((len(crops), self.px, self.px, 3), np.uint8)
        for crop, out in zip(crops, resized, strict=True):
            scale(crop, out)
        return resized

    def place(self, crop: Crop) -> Place:
        return scaled(crop.shape[1] / self.px, crop.shape[0] / self.px)


@dataclass(frozen=True)
class CentreCrop(Step):
    """Keep the `px` by `px` pixels in the middle, as 448 of C-NMC's 450."""

    px: int
    keeps_frame = False

    def __post_init__(self) -> None:
        check_number("px", self.px, 1, whole=True)

    def __call__(self, crops: Crops) -> Crops:
        left, top = self._start(crops.shape[2]), self._start(crops.shape[1])
        return np.ascontiguousarray(crops[:, top : top + self.px, left : left + self.px])

    def place(self, crop: Crop) -> Place:
        return np.array([[1.0, 0, self._start(crop.shape[1])], [0, 1.0, self._start(crop.shape[0])]])

    def _start(self, side: int) -> int:
        if side < self.px:
            raise ClassifierError(f"The preparation step 'centre-crop' cannot take {self.px} pixels out of {side}. Resize the crops first.")
        return (side - self.px) // 2


@dataclass(frozen=True)
class CentreZoom(Step):
    """Keep the central `share` of each side and bring it back to the size that the crop had."""

    share: float = 0.6
    keeps_frame = False

    def __post_init__(self) -> None:
        check_number("share", self.share, 0.01, 1)

    def __call__(self, crops: Crops) -> Crops:
        (left, width), (top, height) = self._kept(crops.shape[2]), self._kept(crops.shape[1])
        zoomed = np.empty_like(crops, order="C")
        for crop, out in zip(crops, zoomed, strict=True):
            scale(crop[top : top + height, left : left + width], out)
        return zoomed

    def place(self, crop: Crop) -> Place:
        (left, width), (top, height) = self._kept(crop.shape[1]), self._kept(crop.shape[0])
        return compose(np.array([[1.0, 0, left], [0, 1.0, top]]), scaled(width / crop.shape[1], height / crop.shape[0]))

    def _kept(self, side: int) -> tuple[int, int]:
        """Return the first pixel that is kept, and how many: as many as leave equally much away on both sides."""
        left = round(side * (1 - self.share) / 2)
        left = min(left, (side - 1) // 2)
        return left, side - 2 * left


@dataclass(frozen=True)
class CellCrop(Step):
    """Cut a cell out of the black around it, make it square again with black, and bring it to `px` pixels a side.

    So a cell fills its crop whatever its size, and keeps its shape. What is no brighter than the grey value `black` is
    black; `margin` is left around the cell, as a share of its longer side. A crop without black around it, as from a
    slide, or with nothing else in it, is kept whole.
    """

    px: int
    black: int = BLACK
    margin: float = 0.0
    keeps_frame = False

    def __post_init__(self) -> None:
        check_number("px", self.px, 1, whole=True)
        check_number("black", self.black, 0, 254, whole=True)
        check_number("margin", self.margin, 0, 1)

    def __call__(self, crops: Crops) -> Crops:
        cut = np.empty((len(crops), self.px, self.px, 3), np.uint8)
        for crop, out in zip(crops, cut, strict=True):
            left, top, width, height = self._box(crop)
            x, y, side = self._inset(crop, width, height)
            square = np.zeros((side, side, 3), np.uint8)
            square[y : y + height, x : x + width] = crop[top : top + height, left : left + width]
            scale(square, out)
        return cut

    def place(self, crop: Crop) -> Place:
        left, top, width, height = self._box(crop)
        x, y, side = self._inset(crop, width, height)
        return compose(np.array([[1.0, 0, left - x], [0, 1.0, top - y]]), scaled(side / self.px, side / self.px))

    def _box(self, crop: Crop) -> tuple[int, int, int, int]:
        """Return left, top, width and height of what is not black."""
        left, top, width, height = cv2.boundingRect(bright_mask(crop, self.black))
        if width == 0:
            return 0, 0, crop.shape[1], crop.shape[0]
        return left, top, width, height

    def _inset(self, crop: Crop, width: int, height: int) -> tuple[int, int, int]:
        """Return where the cell's box lies in its square, from the left and from the top, and the square's side."""
        longer = max(width, height)
        whole = (height, width) == crop.shape[:2]
        side = longer if whole else longer + 2 * round(self.margin * longer)
        return (side - width) // 2, (side - height) // 2, side


def bright_mask(crop: Crop, black: int = BLACK) -> NDArray[np.uint8]:
    """Return 255 where a crop is brighter than the black around a cut-out cell, 0 elsewhere."""
    return cv2.threshold(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), black, 255, cv2.THRESH_BINARY)[1]  # type: ignore[return-value]


def scale(crop: Crop, out: Crop) -> None:
    """Write `crop` at the size of `out`."""
    if crop.shape == out.shape:
        out[:] = crop
        return
    method = cv2.INTER_AREA if out.shape[1] < crop.shape[1] else cv2.INTER_CUBIC
    cv2.resize(crop, out.shape[1::-1], dst=out, interpolation=method)


def scaled(across: float, down: float) -> Place:
    """Return the place of a crop that was resized; `across` and `down` are old pixels a new one."""
    return np.array([[across, 0, (across - 1) / 2], [0, down, (down - 1) / 2]])


def compose(first: Place, second: Place) -> Place:
    """Return the place after two steps, from the places of each in their order."""
    joined = first[:, :2] @ second
    joined[:, 2] += first[:, 2]
    return joined
