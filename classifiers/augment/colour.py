"""Random steps that change how a cell is stained and lit. The black around a cut-out cell is neither, and stays as it is."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from skimage.color import rgb_from_hed

from classifiers.augment.step import Change
from classifiers.named_steps import check_number
from classifiers.preprocess.framing import Crop
from classifiers.preprocess.toning import black_mask, turn_grey

DENSITIES = -np.log(np.maximum(np.arange(256), 1) / 255).astype(np.float32)  # optical density of each grey value
STAINS = rgb_from_hed / np.linalg.norm(rgb_from_hed, axis=1, keepdims=True)  # rows: colours of haematoxylin, eosin, DAB
UNSTAINED = np.linalg.inv(STAINS)


@dataclass(frozen=True)
class Grey(Change):
    """Take the colour away from a share of crops, so that the network learns shape and texture as well."""

    probability: float = 0.1

    def __post_init__(self) -> None:
        check_number("probability", self.probability, 0, 1)

    def __call__(self, crop: Crop, rng: Generator) -> Crop:
        return turn_grey(crop) if rng.random() < self.probability else crop


@dataclass(frozen=True)
class Stain(Change):
    """Stain a crop more or less: haematoxylin, eosin and the rest each on its own, after Tellez et al. 2018.

    Optical densities are split into the three stains of Ruifrok and Johnston 2001; the amount of each is multiplied by
    1 +- `share` and `offset` of a density is added or taken. Both are linear, so the way there and back is one (3, 3) matrix.
    The nucleus of a Romanowsky stain is near to haematoxylin and its red to eosin; the third catches what is left.
    """

    share: float = 0.1
    offset: float = 0.03

    def __post_init__(self) -> None:
        check_number("share", self.share, 0, 0.95)
        check_number("offset", self.offset, 0, 1)

    def __call__(self, crop: Crop, rng: Generator) -> Crop:
        amounts, offsets = rng.uniform(-1, 1, (2, 3))
        matrix = np.empty((3, 4))
        matrix[:, :3] = (UNSTAINED @ np.diag(1 + self.share * amounts) @ STAINS).T
        matrix[:, 3] = self.offset * offsets @ STAINS
        densities = cv2.transform(cv2.LUT(crop, DENSITIES), -matrix)
        stained = cv2.convertScaleAbs(cv2.exp(densities), alpha=255)
        return cv2.copyTo(crop, black_mask(crop), dst=stained)  # type: ignore[return-value]


@dataclass(frozen=True)
class Strength(Change):
    """Stain a crop more or less strongly, as where a slide's stain was told not quite right before its crops were brought to the known one.

    The optical density against the `glass` that crops have is multiplied by one factor in all colours and one in each;
    `together` and `apart` are the standard deviations of their logarithms. Cells keep their place beside each other only
    on one slide, so each crop has its own.
    """

    glass: int = 255
    together: float = 0.02
    apart: float = 0.02

    def __post_init__(self) -> None:
        check_number("glass", self.glass, 1, 255, whole=True)
        check_number("together", self.together, 0, 0.5)
        check_number("apart", self.apart, 0, 0.5)

    def __call__(self, crop: Crop, rng: Generator) -> Crop:
        factors = np.exp(rng.normal(0, self.together) + rng.normal(0, self.apart, 3))
        light = np.log((np.arange(256) + 1) / (self.glass + 1))
        table = (self.glass + 1) * np.exp(light[:, None] * factors) - 1
        stained = cv2.LUT(crop, table.round().clip(0, 255).astype(np.uint8)[None])
        return cv2.copyTo(crop, black_mask(crop), dst=stained)  # type: ignore[return-value]


@dataclass(frozen=True)
class Brightness(Change):
    """Light a crop more or less: every channel is multiplied by the same 1 +- `share`."""

    share: float = 0.15

    def __post_init__(self) -> None:
        check_number("share", self.share, 0, 1)

    def __call__(self, crop: Crop, rng: Generator) -> Crop:
        return cv2.convertScaleAbs(crop, alpha=1 + rng.uniform(-self.share, self.share))  # type: ignore[return-value]


@dataclass(frozen=True)
class Contrast(Change):
    """Spread or narrow a crop's values about the mean of what is not black, by 1 +- `share`."""

    share: float = 0.15

    def __post_init__(self) -> None:
        check_number("share", self.share, 0, 1)

    def __call__(self, crop: Crop, rng: Generator) -> Crop:
        factor = 1 + rng.uniform(-self.share, self.share)
        black = black_mask(crop)
        mean = cv2.mean(crop, mask=cv2.bitwise_not(black))[:3]
        table = factor * np.arange(256)[:, None] + (1 - factor) * np.array(mean)
        spread = cv2.LUT(crop, table.round().clip(0, 255).astype(np.uint8)[None])
        return cv2.copyTo(crop, black, dst=spread)  # type: ignore[return-value]
