"""Crops changed at random while a network is trained, so that it sees a cell as it might also have looked.

    augmentation = Augmentation(({"step": "flip"}, {"step": "rotate", "degrees": 180}, {"step": "stain"}))
    changed = augmentation(crop, generator(seed, epoch, position))

Nothing is kept in files: a crop is changed anew whenever it is shown. What becomes of it depends on the seed, the epoch and
its position in the epoch alone, so neither on the number of workers, nor on batches, nor on where training went on after a stop.

A step takes a crop, (height, width, 3) uint8 RGB, of any size, and returns one of the same size; it leaves the crop that it is
given as it is. So steps may come before a card's preparation or after it. After it is quicker, since prepared crops are small
and need to be prepared once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.random import Generator

from classifiers.augment.background import Background
from classifiers.augment.colour import Brightness, Contrast, Grey, Stain, Strength
from classifiers.augment.geometry import Flip, Geometry, PadOffCentre, RightAngle, Rotate, Shear, Shift, SizeJitter, Zoom, warp
from classifiers.augment.quality import Blur, Erase, Jpeg, Noise, Resolution
from classifiers.augment.step import Change
from classifiers.named_steps import build_steps
from classifiers.preprocess.framing import Crop

AUGMENTATIONS: dict[str, type[Geometry] | type[Change]] = {
    "flip": Flip,
    "rotate": Rotate,
    "right-angle": RightAngle,
    "pad-off-centre": PadOffCentre,
    "shift": Shift,
    "shear": Shear,
    "zoom": Zoom,
    "size-jitter": SizeJitter,
    "grey": Grey,
    "stain": Stain,
    "strength": Strength,
    "brightness": Brightness,
    "contrast": Contrast,
    "blur": Blur,
    "resolution": Resolution,
    "noise": Noise,
    "jpeg": Jpeg,
    "erase": Erase,
    "background": Background,
}


class Augmentation:
    """The random steps of one recipe, in order; built once, so that an unknown step stops training before it begins.

    Steps that move pixels and follow each other are done at once, as one affine map: a crop is interpolated once, and what one
    step pushes out of the crop, the next one may bring back. Steps that fill what comes in from outside differently are not joined.
    """

    def __init__(self, steps: Sequence[Mapping[str, Any]]) -> None:
        self._steps: list[Change | list[Geometry]] = []
        for step in build_steps("augmentation", AUGMENTATIONS, steps, "the recipe"):
            if isinstance(step, Change):
                self._steps.append(step)
            elif self._steps and isinstance(self._steps[-1], list) and _fill([*self._steps[-1], step]) != "both":
                self._steps[-1].append(step)
            else:
                self._steps.append([step])

    def __bool__(self) -> bool:
        return bool(self._steps)

    def __call__(self, crop: Crop, rng: Generator) -> Crop:
        """Return the crop changed by what `rng` draws; where nothing is to be changed, the crop itself."""
        for step in self._steps:
            if isinstance(step, Change):
                crop = step(crop, rng)
                continue
            matrix = np.eye(3)
            for each in step:
                matrix = matrix @ each.draw(crop.shape[0], crop.shape[1], rng)
            crop = warp(crop, matrix, _fill(step))
        return crop


def _fill(steps: Sequence[Geometry]) -> str:
    """Return what fills the places that these steps open up, or "both" where they do not agree."""
    fills = {step.fill for step in steps if step.fill is not None}
    return "both" if len(fills) > 1 else next(iter(fills), "black")


def generator(seed: int, epoch: int, position: int) -> Generator:
    """Return what decides how the crop at this position of this epoch is changed."""
    return Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(epoch, position))))


def turn(crop: Crop, quarter_turns: int) -> Crop:
    """Return a square crop turned counter-clockwise by right angles, as an epoch's plan asks for; no pixel is changed."""
    return np.ascontiguousarray(np.rot90(crop, quarter_turns)) if quarter_turns % 4 else crop
