"""How strongly white cells' nuclei are stained: the one thing on every smear that takes much of every colour.

Laboratories, days and slides differ in it far more than the nuclei of one slide's granulocytes do, so those say how a slide was stained.
Nuclei of lymphoid cells do not: how dark they are differs from person to person, and is part of what tells a blast.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from detectors.stain import Stain, density_tables, nucleus_density

SMALLEST_UM2, LARGEST_UM2 = 15.0, 250.0  # of a nucleus: less is a platelet, more are several that touch
LOBE_UM2 = 40.0  # a smaller piece is a lobe: of the nuclei of healthy persons' lymphocytes nine in ten are larger than 49
LOBED_SOLIDITY = 0.9  # of its convex outline a lobed nucleus fills less; lymphocytes and blasts fill 0.97 and more
ENOUGH_LOBED = 10  # from so many on they alone tell the stain
INSIDE_UM = 1.25  # from a nucleus's edge: so far in blur and the coarse colours of JPEG reach little, and lobes still have pixels
MOST_INSIDE = 0.8  # of how far a nucleus's innermost pixel lies from its edge


@dataclass(frozen=True)
class Nuclei:
    """What was seen of nuclei."""

    densities: NDArray[np.float64]  # (n, 3): optical density in red, green and blue, of a nucleus's inside
    lobed: NDArray[np.bool_]  # whether it is one of a granulocyte, or a piece of one

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        return cls(
            np.concatenate([np.zeros((0, 3)), *(each.densities for each in parts)]),
            np.concatenate([np.zeros(0, np.bool_), *(each.lobed for each in parts)]),
        )

    def __len__(self) -> int:
        return len(self.lobed)

    @property
    def told_by_lobed(self) -> bool:
        return int(self.lobed.sum()) >= ENOUGH_LOBED

    def telling(self) -> NDArray[np.float64]:
        """Return the densities of those that tell a smear's stain: lobed ones, or where they are too few the darker half of all.

        The paler half is smudged, thin or hardly stained, in other shares on every smear.
        """
        if self.told_by_lobed:
            return self.densities[self.lobed]
        sums = self.densities.sum(axis=1)
        return self.densities[sums >= np.median(sums)] if len(self) else self.densities


def measure_nuclei(picture: NDArray[np.uint8], stain: Stain, mpp: float) -> Nuclei:
    """Measure every nucleus of a picture. What the picture's edge cuts has no shape of its own, and is not called lobed."""
    marked = (nucleus_density(picture, stain.white) >= stain.nucleus).astype(np.uint8)
    marked = cv2.morphologyEx(marked, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)).astype(np.uint8, copy=False)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(marked)
    areas = stats[:, cv2.CC_STAT_AREA] * mpp * mpp
    tables = density_tables(stain.white)
    densities, lobed = [], []
    for label in range(1, count):
        if not SMALLEST_UM2 <= areas[label] <= LARGEST_UM2:
            continue
        left, top, width, height = stats[label, :4].tolist()
        part = np.s_[top : top + height, left : left + width]
        mask = labels[part] == label
        seen = picture[part][inside(mask, mpp)]
        densities.append(np.median([table[seen[:, channel]] for channel, table in enumerate(tables)], axis=1))
        whole = left > 0 and top > 0 and left + width < picture.shape[1] and top + height < picture.shape[0]
        lobed.append(whole and (areas[label] < LOBE_UM2 or _solidity(mask) < LOBED_SOLIDITY))
    return Nuclei(np.array(densities, np.float64).reshape(-1, 3), np.array(lobed, np.bool_))


def inside(nucleus: NDArray[np.bool_], mpp: float) -> NDArray[np.bool_]:
    """Return which pixels of a nucleus show its stain: how dark it is beside its edge hangs on how sharp the picture is.

    Lobes are small. Of a picture with more blur their edges are a larger part of what is seen, and they would tell a paler stain.
    """
    depth = cv2.distanceTransform(np.pad(nucleus.astype(np.uint8), 1), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    return np.asarray(nucleus & (depth >= min(INSIDE_UM / mpp, MOST_INSIDE * float(depth.max()))), np.bool_)


def _solidity(mask: NDArray[np.bool_]) -> float:
    """Return which share of its convex outline a nucleus fills; holes and pieces of pixels count little."""
    outline = max(cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0], key=cv2.contourArea)
    return float(mask.sum() / max(cv2.contourArea(cv2.convexHull(outline)), 1.0))
