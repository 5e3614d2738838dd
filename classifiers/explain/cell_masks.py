"""Where the cell is on a crop that was cut out on black, as published cells often are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from classifiers.preprocess.framing import BLACK, bright_mask


def lie_on_black(crops: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return of each crop, (n, height, width, 3), whether its edge is black for the most part, and something else is not."""
    edges = np.concatenate([crops[:, 0], crops[:, -1], crops[:, :, 0], crops[:, :, -1]], axis=1)
    black = np.median(edges.max(axis=2), axis=1) < BLACK if len(crops) else np.zeros(0, bool)
    found: NDArray[np.bool_] = black & (crops.max(axis=(1, 2, 3), initial=0) > BLACK)
    return found


def masks_on_black(crops: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return (n, height, width) masks: True where a crop is brighter than the black around its cell."""
    masks = [bright_mask(crop) > 0 for crop in crops]
    return np.stack(masks) if masks else np.zeros(crops.shape[:3], bool)
