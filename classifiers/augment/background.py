"""A random step that puts a cut-out cell back among red cells, so that black is not what a network learns a cell by.

The backgrounds are pictures of smears, or drawn: red cells as discs with a pale middle on bright glass. A network that was
trained on composed crops has still not seen how a cell really lies in a smear; what it says of one is to be measured there.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from classifiers.augment.drawn_background import RED_TO_WHITE, draw_red_cells
from classifiers.augment.step import Change
from classifiers.base import ClassifierError
from classifiers.named_steps import check_number, check_range
from classifiers.preprocess.framing import Crop, bright_mask

SUFFIXES = {".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff"}
LARGEST_PX = 1024  # of a picture's shorter side as it is kept in memory
PICTURES_KEPT = 64
LEAST_BLACK = 0.02  # share of a crop; with less there is no cut-out cell in it


@dataclass(frozen=True)
class Background(Change):
    """Fill the black around a cut-out cell with part of a smear, with an edge soft enough that no seam shows.

    The smear is a picture out of `folder`, or drawn where none is given. Its red cells are in proportion to the cell: in pictures
    they measure `red_cell_px` across. Where that is not given the crop shows, of a picture's shorter side, a share out of
    the range `shown`. A crop that is no cut-out cell is left as it is.
    """

    folder: str | None = None
    probability: float = 1.0
    red_cell_px: float | None = None
    shown: tuple[float, float] = (0.4, 0.8)

    def __post_init__(self) -> None:
        check_number("probability", self.probability, 0, 1)
        check_range("shown", self.shown, 0.01, 1)
        if self.red_cell_px is not None:
            check_number("red_cell_px", self.red_cell_px, 1)
        if self.folder is not None:
            _pictures(self.folder)

    def __call__(self, crop: Crop, rng: Generator) -> Crop:
        if rng.random() >= self.probability:
            return crop
        cell = find_cell(crop)
        if cell is None:
            return crop
        red_px = 2 * math.sqrt(cv2.countNonZero(cell) / math.pi) * rng.uniform(*RED_TO_WHITE)
        behind = draw_red_cells(crop.shape[:2], red_px, rng) if self.folder is None else self._cut(self.folder, crop, red_px, rng)
        return compose(crop, cell, behind)

    def _cut(self, folder: str, crop: Crop, red_px: float, rng: Generator) -> Crop:
        pictures = _pictures(folder)
        picture = _read(pictures[rng.integers(len(pictures))])
        side = rng.uniform(*self.shown) * min(picture.pixels.shape[:2])
        if self.red_cell_px is not None:
            side = crop.shape[0] * self.red_cell_px * picture.shrunk / red_px
        return cut_background(picture.pixels, crop.shape[:2], side, rng)


def find_cell(crop: Crop) -> NDArray[np.uint8] | None:
    """Return a mask of the cut-out cell, 255 in it, with its dark places filled; None where a crop is not one cell on black."""
    outlines, _ = cv2.findContours(bright_mask(crop), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not outlines:
        return None
    cell = np.zeros(crop.shape[:2], np.uint8)
    cv2.drawContours(cell, [max(outlines, key=cv2.contourArea)], -1, 255, cv2.FILLED)
    return cell if cv2.countNonZero(cell) <= (1 - LEAST_BLACK) * cell.size else None


def compose(crop: Crop, cell: NDArray[np.uint8], behind: Crop) -> Crop:
    """Lay the cell over what is behind it, its edge fading over a pixel or two.

    The outermost pixels of a cut-out are part black. They are replaced by the colours next to them in the cell, so that what
    fades is the cell's colour and no dark rim.
    """
    edge = max(1, round(crop.shape[0] / 150))
    inner = cv2.erode(cell, np.ones((3, 3), np.uint8), iterations=edge, borderType=cv2.BORDER_REPLICATE)
    inside = np.multiply(inner, 1 / 255, dtype=np.float32)[..., None]
    colours = crop.astype(np.float32)
    near = cv2.GaussianBlur(np.concatenate([colours * inside, inside], axis=2), (0, 0), 1.5 * edge)
    colours = np.where(inside > 0, colours, near[..., :3] / np.maximum(near[..., 3:], 1e-6))
    opacity = cv2.GaussianBlur(inside, (0, 0), 0.8 * edge)[..., None]
    laid: Any = behind + opacity * (colours - behind)
    return np.rint(laid).clip(0, 255).astype(np.uint8)  # type: ignore[no-any-return]


def cut_background(picture: Crop, size: tuple[int, int], side_px: float, rng: Generator) -> Crop:
    """Return a random square of a picture, as large as it has, at one of its four turns and mirrored or not, at a crop's size."""
    side = max(1, min(round(side_px), *picture.shape[:2]))
    top, left = (int(rng.integers(whole - side + 1)) for whole in picture.shape[:2])
    part = np.rot90(picture[top : top + side, left : left + side], int(rng.integers(4)))
    part = np.ascontiguousarray(part[:, ::-1] if rng.random() < 0.5 else part)
    method = cv2.INTER_AREA if side > size[0] else cv2.INTER_CUBIC
    return cv2.resize(part, size[::-1], interpolation=method)  # type: ignore[return-value]


@dataclass(frozen=True)
class _Picture:
    pixels: Crop
    shrunk: float  # its side, as a share of that of the file


@functools.lru_cache(maxsize=8)
def _pictures(folder: str) -> tuple[Path, ...]:
    found = tuple(sorted(path for path in Path(folder).rglob("*") if path.suffix.lower() in SUFFIXES))
    if not found:
        raise ClassifierError(f"The folder of backgrounds {folder!r} holds no pictures ({', '.join(sorted(SUFFIXES))}).")
    return found


@functools.lru_cache(maxsize=PICTURES_KEPT)
def _read(path: Path) -> _Picture:
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise ClassifierError(f"The background {path} cannot be read as a picture. Take it out of its folder.")
    picture = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
    shrunk = min(1.0, LARGEST_PX / min(picture.shape[:2]))
    if shrunk < 1:
        picture = cv2.resize(picture, None, fx=shrunk, fy=shrunk, interpolation=cv2.INTER_AREA)
    picture.setflags(write=False)  # it is kept and given out again
    return _Picture(picture, shrunk)  # type: ignore[arg-type]
