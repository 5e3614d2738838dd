"""What is done to crops before a network sees them: named steps, as a card's `preparation` lists them.

A step takes and returns crops, (n, height, width, 3) uint8, and treats each crop by itself: a crop's
result must not depend on the crops beside it. Subtracting the mean and dividing by the deviation is no
step; the card's `mean` and `std` say it, and it happens on the device.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifiers.named_steps import build_steps
from classifiers.preprocess.framing import CellCrop, CentreCrop, CentreZoom, Crops, Resize, Step, compose
from classifiers.preprocess.toning import Clahe, Grey, StainNormalise

STEPS: dict[str, type[Step]] = {
    "resize": Resize,
    "centre-crop": CentreCrop,
    "centre-zoom": CentreZoom,
    "cell-crop": CellCrop,
    "grey": Grey,
    "clahe": Clahe,
    "stain-normalise": StainNormalise,
}


class Preparation:
    """The steps of one card, in order; built once, so that an unknown step stops the run before any slide."""

    def __init__(self, steps: Sequence[Mapping[str, Any]]) -> None:
        self._steps = build_steps("preparation", STEPS, steps, "the card")

    def __call__(self, crops: Crops) -> Crops:
        for step in self._steps:
            crops = step(crops)
        return crops

    @property
    def keeps_frame(self) -> bool:
        """Whether the network sees the whole of every crop, so that a map of what it saw lies on the crop as it is."""
        return all(step.keeps_frame for step in self._steps)

    def places(self, crops: Crops) -> NDArray[np.float64]:
        """Return for each crop the affine map, (n, 2, 3), from (x, y) in the prepared crop to (x, y) in the crop.

        Whole numbers are the middles of pixels.
        """
        places = np.broadcast_to(np.eye(2, 3), (len(crops), 2, 3)).copy()
        for step in self._steps:
            for row, crop in enumerate(crops):
                places[row] = compose(places[row], step.place(crop))
            crops = step(crops)
        return places

    def prepared_px(self, crop_px: int) -> int:
        """Return the side of what comes out of crops of `crop_px`; raises ClassifierError where a step cannot take them."""
        return int(self(np.zeros((1, crop_px, crop_px, 3), np.uint8)).shape[1])
