"""Preparation steps that change how bright or how coloured a crop is, and nothing of where things lie.

The black around a cut-out cell is no tissue. It stays as black as it was and is left out of every mean.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from classifiers.base import ClassifierError
from classifiers.named_steps import check_number
from classifiers.preprocess.framing import BLACK, Crop, Crops, Step


def black_mask(crop: Crop) -> NDArray[np.uint8]:
    """Return 255 where a crop is as black as the surroundings of a cut-out cell, 0 elsewhere."""
    mask: NDArray[np.uint8] = cv2.inRange(crop, (0, 0, 0), (BLACK, BLACK, BLACK))  # type: ignore[assignment]
    return mask


@dataclass(frozen=True)
class Grey(Step):
    """Take the colour away: three equal channels of luma, so that every network can be given them."""

    def __call__(self, crops: Crops) -> Crops:
        return np.stack([turn_grey(crop) for crop in crops]) if len(crops) else crops


def turn_grey(crop: Crop) -> Crop:
    """Return a crop with its luma in all three channels."""
    return cv2.cvtColor(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)  # type: ignore[return-value]


@dataclass(frozen=True)
class Clahe(Step):
    """Equalise contrast within `grid` by `grid` tiles, on the luma of YUV alone, so that colours stay.

    `clip_limit` is how many times more often than evenly a grey value may count. Equalising spreads the few darkest values
    over the black around a cell as well, tile by tile; that is undone.
    """

    clip_limit: float = 2.0
    grid: int = 8

    def __post_init__(self) -> None:
        check_number("clip_limit", self.clip_limit, 0.01)
        check_number("grid", self.grid, 1, 64, whole=True)

    def __call__(self, crops: Crops) -> Crops:
        equaliser = cv2.createCLAHE(self.clip_limit, (self.grid, self.grid))
        equalised = np.empty_like(crops, order="C")
        for crop, out in zip(crops, equalised, strict=True):
            parts = cv2.cvtColor(crop, cv2.COLOR_RGB2YUV)
            parts[..., 0] = equaliser.apply(np.ascontiguousarray(parts[..., 0]))
            cv2.cvtColor(parts, cv2.COLOR_YUV2RGB, dst=out)
            cv2.copyTo(crop, black_mask(crop), dst=out)
        return equalised


@dataclass(frozen=True)
class StainNormalise(Step):
    """Give every crop the same mean and deviation in L*a*b*, after Reinhard et al. 2001.

    `mean` and `std` are those of L* (0 to 100), a* and b*, as measured on the pictures whose stain is wanted. What a crop holds
    decides its own mean, so that a crop of a dark cell becomes lighter: take it where crops hold alike.
    """

    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    def __post_init__(self) -> None:
        for name, values in (("mean", self.mean), ("std", self.std)):
            if not isinstance(values, tuple) or len(values) != 3:
                raise ClassifierError(f"{name} must be three numbers, for L*, a* and b*, not {values!r}.")
            for value in values:
                check_number(name, value, -128 if name == "mean" else 0.01, 128)

    def __call__(self, crops: Crops) -> Crops:
        normalised = crops.copy()
        for crop, out in zip(crops, normalised, strict=True):
            tissue = black_mask(crop) == 0
            if not tissue.any():
                continue
            lab = cv2.cvtColor(crop.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
            mean, std = lab[tissue].mean(axis=0, dtype=np.float64), lab[tissue].std(axis=0, dtype=np.float64)
            lab = ((lab - mean) * (np.array(self.std) / np.maximum(std, 1e-3)) + np.array(self.mean)).astype(np.float32)
            lab[..., 0] = lab[..., 0].clip(0, 100)
            rgb = cv2.cvtColor(lab, cv2.COLOR_LAB2RGB)
            out[tissue] = (255 * rgb[tissue]).round().clip(0, 255).astype(np.uint8)
        return normalised
