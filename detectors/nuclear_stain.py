"""How strongly white cells' nuclei are stained: the one thing on every smear that takes much of every colour.

Laboratories, days and slides differ in it far more than the cells of one slide do, so it says how a slide was stained.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from detectors.stain import Stain, density_tables, nucleus_density

SMALLEST_UM2, LARGEST_UM2 = 15.0, 250.0  # of a nucleus: less is a platelet, more are several that touch


def nuclear_densities(picture: NDArray[np.uint8], stain: Stain, mpp: float) -> NDArray[np.float64]:
    """Return (n, 3): the optical density in red, green and blue of each nucleus, of the darker half of its pixels.

    The paler half is where a nucleus thins out, and hangs on where its edge is drawn.
    """
    marked = (nucleus_density(picture, stain.white) >= stain.nucleus).astype(np.uint8)
    marked = cv2.morphologyEx(marked, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)).astype(np.uint8, copy=False)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(marked)
    areas = stats[:, cv2.CC_STAT_AREA] * mpp * mpp
    tables = density_tables(stain.white)
    found = []
    for label in range(1, count):
        if not SMALLEST_UM2 <= areas[label] <= LARGEST_UM2:
            continue
        left, top, width, height = stats[label, :4].tolist()
        part = np.s_[top : top + height, left : left + width]
        pixels = picture[part][labels[part] == label]
        densities = np.stack([table[pixels[:, channel]] for channel, table in enumerate(tables)], axis=1)
        found.append(np.median(densities[densities[:, 1] >= np.median(densities[:, 1])], axis=0))
    return np.array(found, np.float64).reshape(-1, 3)


def typical(densities: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return the density of a smear's nuclei by those of them that `nuclear_densities` found: the middle of the darker half.

    The paler half is smudged, thin or hardly stained, in other shares on every smear; the darker half varies less.
    """
    sums = densities.sum(axis=1)
    red, green, blue = np.median(densities[sums >= np.median(sums)], axis=0).tolist()
    return red, green, blue
