"""Random steps that make a picture worse, as optics, cameras and files do: blur, coarse pixels, noise, JPEG, missing parts."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator

from classifiers.augment.step import Change
from classifiers.named_steps import check_choice, check_number, check_range
from classifiers.preprocess.framing import Crop
from classifiers.preprocess.toning import black_mask


@dataclass(frozen=True)
class Blur(Change):
    """Put a share of crops out of focus: a Gaussian of `sigma` pixels, somewhere in that range."""

    probability: float = 0.3
    sigma: tuple[float, float] = (0.3, 1.2)

    def __post_init__(self) -> None:
        check_number("probability", self.probability, 0, 1)
        check_range("sigma", self.sigma, 0.05, 50)

    def __call__(self, crop: Crop, rng: Generator) -> Crop:
        chance, sigma = rng.random(), rng.uniform(*self.sigma)
        return cv2.GaussianBlur(crop, (0, 0), sigma) if chance < self.probability else crop  # type: ignore[return-value]


@dataclass(frozen=True)
class Resolution(Change):
    """Take a share of crops at fewer pixels, down to `low` of a side, and bring them back, as from a coarser scan."""

    probability: float = 0.3
    low: float = 0.5

    def __post_init__(self) -> None:
        check_number("probability", self.probability, 0, 1)
        check_number("low", self.low, 0.05, 1)

    def __call__(self, crop: Crop, rng: Generator) -> Crop:
        chance, share = rng.random(), rng.uniform(self.low, 1)
        if chance >= self.probability:
            return crop
        height, width = crop.shape[:2]
        coarse = cv2.resize(crop, (max(1, round(width * share)), max(1, round(height * share))), interpolation=cv2.INTER_AREA)
        return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)  # type: ignore[return-value]


@dataclass(frozen=True)
class Noise(Change):
    """Add a camera's noise: normally distributed, up to `most` grey values of deviation, in each channel and pixel by itself."""

    most: float = 6.0

    def __post_init__(self) -> None:
        check_number("most", self.most, 0, 255)

    def __call__(self, crop: Crop, rng: Generator) -> Crop:
        noise = rng.standard_normal(crop.shape, np.float32)
        noise *= rng.uniform(0, self.most)
        noise += crop
        noisy = np.rint(noise, out=noise).clip(0, 255).astype(np.uint8)
        return cv2.copyTo(crop, black_mask(crop), dst=noisy)  # type: ignore[return-value]


@dataclass(frozen=True)
class Jpeg(Change):
    """Save a share of crops as JPEG of `low` to `high` quality and read them again."""

    probability: float = 0.5
    low: int = 40
    high: int = 95

    def __post_init__(self) -> None:
        check_number("probability", self.probability, 0, 1)
        check_number("low", self.low, 1, 100, whole=True)
        check_number("high", self.high, self.low, 100, whole=True)

    def __call__(self, crop: Crop, rng: Generator) -> Crop:
        chance, quality = rng.random(), int(rng.integers(self.low, self.high + 1))
        if chance >= self.probability:
            return crop
        # The order of the channels matters here: JPEG keeps the green of a picture better than its blue.
        _, content = cv2.imencode(".jpg", cv2.cvtColor(crop, cv2.COLOR_RGB2BGR), (cv2.IMWRITE_JPEG_QUALITY, quality))
        saved = cv2.imdecode(content, cv2.IMREAD_COLOR)
        assert saved is not None, "what was just encoded can be decoded"
        return cv2.cvtColor(saved, cv2.COLOR_BGR2RGB)  # type: ignore[return-value]


@dataclass(frozen=True)
class Erase(Change):
    """Hide a rectangle in a share of crops, of `low` to `high` of their area: under black, or under noise of the crop's own colours."""

    probability: float = 0.5
    low: float = 0.02
    high: float = 0.2
    fill: str = "black"

    def __post_init__(self) -> None:
        check_number("probability", self.probability, 0, 1)
        check_range("low and high", (self.low, self.high), 0, 1)
        check_choice("fill", self.fill, ("black", "noise"))

    def __call__(self, crop: Crop, rng: Generator) -> Crop:
        chance, area, shape, x, y = rng.random(5)
        if chance >= self.probability:
            return crop
        side = np.sqrt(self.low + (self.high - self.low) * area)
        longer = 3.0 ** (shape - 0.5)  # sides relate as 1 to 3 at most
        height, width = crop.shape[:2]
        tall, wide = max(1, round(height * min(1.0, side * longer))), max(1, round(width * min(1.0, side / longer)))
        top, left = int(y * (height - tall + 1)), int(x * (width - wide + 1))
        hidden = 0 if self.fill == "black" else crop[rng.integers(height, size=(tall, wide)), rng.integers(width, size=(tall, wide))]
        erased = crop.copy()
        erased[top : top + tall, left : left + wide] = hidden
        return erased
