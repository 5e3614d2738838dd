"""What is done to crops before a network sees them: named steps, as a card's `preparation` lists them.

A step takes and returns crops, (n, height, width, 3) uint8, and treats each crop by itself: a crop's
result must not depend on the crops beside it. Subtracting the mean and dividing by the deviation is no
step; the card's `mean` and `std` say it, and it happens on the device.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from classifiers.base import ClassifierError

Crops: TypeAlias = NDArray[np.uint8]
Step: TypeAlias = Callable[..., Crops]


def resize(crops: Crops, *, px: int) -> Crops:
    """Bring crops to `px` pixels a side: by area when they get smaller, cubic when larger."""
    if crops.shape[1:3] == (px, px):
        return crops
    method = cv2.INTER_AREA if px < crops.shape[1] else cv2.INTER_CUBIC
    resized = np.empty((len(crops), px, px, 3), np.uint8)
    for crop, out in zip(crops, resized, strict=True):
        cv2.resize(crop, (px, px), dst=out, interpolation=method)
    return resized


STEPS: dict[str, Step] = {
    "resize": resize,
}


class Preparation:
    """The steps of one card, in order; built once, so that an unknown step stops the run before any slide."""

    def __init__(self, steps: Sequence[Mapping[str, Any]]) -> None:
        self._steps = [self._find(step) for step in steps]

    @staticmethod
    def _find(description: Mapping[str, Any]) -> tuple[Step, dict[str, Any]]:
        options = dict(description)
        name = options.pop("step", None)
        if name not in STEPS:
            raise ClassifierError(
                f"There is no preparation step named {name!r}, which the card asks for. Known: {', '.join(sorted(STEPS))}."
            )
        try:
            inspect.signature(STEPS[name]).bind(None, **options)
        except TypeError as error:
            raise ClassifierError(f"The preparation step {name!r} cannot be done with {options}: {error}.") from error
        return STEPS[name], options

    def __call__(self, crops: Crops) -> Crops:
        for step, options in self._steps:
            crops = step(crops, **options)
        return crops
