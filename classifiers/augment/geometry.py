"""Random steps that move a crop's pixels: each draws an affine map, and maps that follow each other are done as one.

A matrix, (3, 3), takes (x, y, 1) of a pixel's middle after the step to where it comes from before it.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeAlias

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from classifiers.named_steps import check_choice, check_number, check_range
from classifiers.preprocess.framing import Crop

Matrix: TypeAlias = NDArray[np.float64]

FILLS = {"black": cv2.BORDER_CONSTANT, "reflect": cv2.BORDER_REFLECT}  # reflect repeats the outermost pixel, as Keras does


class Geometry(ABC):
    """Moves a crop's pixels; `fill` says what comes in from outside, None where nothing does."""

    @property
    @abstractmethod
    def fill(self) -> str | None: ...

    @abstractmethod
    def draw(self, height: int, width: int, rng: Generator) -> Matrix:
        """Draw where the pixels of a crop of this size come from."""


def warp(crop: Crop, matrix: Matrix, fill: str) -> Crop:
    """Return the crop with its pixels from where `matrix` says, in between them by their neighbours."""
    if np.array_equal(matrix, np.eye(3)):
        return crop
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(crop, matrix[:2], crop.shape[1::-1], flags=flags, borderMode=FILLS[fill])  # type: ignore[return-value]


def about_centre(linear: Sequence[Sequence[float]], height: int, width: int) -> Matrix:
    """Return the matrix of a (2, 2) linear map that leaves the crop's centre where it is."""
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = centre - matrix[:2, :2] @ centre
    return matrix


def moved(right: float, down: float) -> Matrix:
    """Return the matrix of a shift of what is shown by so many pixels."""
    return np.array([[1.0, 0, -right], [0, 1.0, -down], [0, 0, 1.0]])


@dataclass(frozen=True)
class Flip(Geometry):
    """Mirror a crop from left to right, from top to bottom or both, each every other time."""

    horizontal: bool = True
    vertical: bool = True
    fill: ClassVar[None] = None

    def draw(self, height: int, width: int, rng: Generator) -> Matrix:
        across, down = np.where(rng.random(2) < 0.5, -1, 1)
        return about_centre([[across if self.horizontal else 1, 0], [0, down if self.vertical else 1]], height, width)


@dataclass(frozen=True)
class RightAngle(Geometry):
    """Turn a square crop to one of its four sides; no pixel is changed."""

    fill: ClassVar[None] = None

    def draw(self, height: int, width: int, rng: Generator) -> Matrix:
        cosine, sine = ((1, 0), (0, 1), (-1, 0), (0, -1))[rng.integers(4)]
        return about_centre([[cosine, -sine], [sine, cosine]], height, width)


@dataclass(frozen=True)
class Rotate(Geometry):
    """Turn a crop about its centre by any angle up to `degrees` either way; 180 is every angle there is."""

    degrees: float = 180.0
    fill: str = "black"

    def __post_init__(self) -> None:
        check_number("degrees", self.degrees, 0, 180)
        check_choice("fill", self.fill, tuple(FILLS))

    def draw(self, height: int, width: int, rng: Generator) -> Matrix:
        angle = math.radians(rng.uniform(-self.degrees, self.degrees))
        return about_centre([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]], height, width)


@dataclass(frozen=True)
class PadOffCentre(Geometry):
    """Add black of different widths on random sides and cut the middle out again, so that a cell is no longer in it.

    Each side is padded every other time, by whole pixels up to `most` of the crop's side. What pads one side by p pixels moves
    the middle by p / 2.
    """

    most: float = 0.5
    fill: ClassVar[str] = "black"

    def __post_init__(self) -> None:
        check_number("most", self.most, 0, 2)

    def draw(self, height: int, width: int, rng: Generator) -> Matrix:
        padded = rng.random(4) < 0.5
        most = np.floor(self.most * np.array([width, width, height, height]))
        left, right, top, bottom = padded * np.floor(rng.random(4) * (most + 1))
        return moved((left - right) // 2, (top - bottom) // 2)


@dataclass(frozen=True)
class Shift(Geometry):
    """Shift a crop across and down, each by up to `share` of its side either way."""

    share: float = 0.25
    fill: str = "reflect"

    def __post_init__(self) -> None:
        check_number("share", self.share, 0, 1)
        check_choice("fill", self.fill, tuple(FILLS))

    def draw(self, height: int, width: int, rng: Generator) -> Matrix:
        right, down = rng.uniform(-self.share, self.share, 2)
        return moved(right * width, down * height)


@dataclass(frozen=True)
class Shear(Geometry):
    """Lean a crop over: its upper side moves against its lower one, or its left against its right, by up to `share` of a side."""

    share: float = 0.2
    fill: str = "reflect"

    def __post_init__(self) -> None:
        check_number("share", self.share, 0, 1)
        check_choice("fill", self.fill, tuple(FILLS))

    def draw(self, height: int, width: int, rng: Generator) -> Matrix:
        lean = rng.uniform(-self.share, self.share)
        return about_centre([[1, lean], [0, 1]] if rng.random() < 0.5 else [[1, 0], [lean, 1]], height, width)


@dataclass(frozen=True)
class Zoom(Geometry):
    """Show what is in a crop `low` to `high` times as large about its centre; half and double are equally likely."""

    low: float = 0.8
    high: float = 1.25
    fill: str = "black"

    def __post_init__(self) -> None:
        check_range("low and high", (self.low, self.high), 0.05, 20)
        check_choice("fill", self.fill, tuple(FILLS))

    def draw(self, height: int, width: int, rng: Generator) -> Matrix:
        smaller = 1 / math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
        return about_centre([[smaller, 0], [0, smaller]], height, width)


@dataclass(frozen=True)
class SizeJitter(Geometry):
    """Make a crop's content larger or smaller by up to `share`, across and down each by its own factor.

    In C-NMC blasts are larger than other cells, which a network may take for what makes a blast.
    """

    share: float = 0.15
    fill: str = "black"

    def __post_init__(self) -> None:
        check_number("share", self.share, 0, 0.9)
        check_choice("fill", self.fill, tuple(FILLS))

    def draw(self, height: int, width: int, rng: Generator) -> Matrix:
        across, down = np.exp(rng.uniform(-1, 1, 2) * math.log1p(self.share))
        return about_centre([[1 / across, 0], [0, 1 / down]], height, width)
