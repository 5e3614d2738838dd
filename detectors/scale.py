"""How large is a pixel, where no file says? Red cells are about as wide everywhere."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.feature import peak_local_max

from detectors import stain as stains
from detectors.base import DetectorError
from detectors.stain import Stain

# The largest disc inside a dried red cell, which is rarely quite round: 7.2 um is its long axis.
RED_CELL_DISC_UM = 6.5
SMALLEST_RADIUS_PX = 3.0  # below this noise is as large as red cells
PALLOR_SHARE = 1 / 12  # of the picture's shorter side: a wider hole is glass between cells, not a cell's pale middle
DIRECTIONS = 48


def estimate_mpp(picture: NDArray[np.uint8], stain: Stain) -> float:
    """Return microns per pixel: the commonest disc inside red cells is `RED_CELL_DISC_UM` wide.

    Within about a tenth where red cells can be told apart; crowded fields may be off by a quarter. Raises
    DetectorError where there are none.
    """
    solid = _red_cells(picture, stain)
    depth = ndimage.distance_transform_edt(np.pad(solid, 1, mode="edge"))[1:-1, 1:-1]
    peaks = peak_local_max(depth, min_distance=5, threshold_abs=SMALLEST_RADIUS_PX, exclude_border=False)  # type: ignore[no-untyped-call]
    radii = depth[tuple(peaks.T)]
    weights = radii**1.5 * _roundness(solid, peaks, radii)
    if not weights.sum() > 0:
        raise DetectorError("The picture has no scale and no red cells to take it from. Give its microns per pixel.")
    return RED_CELL_DISC_UM / (2.0 * _commonest(radii, weights))


def _red_cells(picture: NDArray[np.uint8], stain: Stain) -> NDArray[np.bool_]:
    """Mark red cells as solid discs: pale middles filled, nuclei cut out."""
    calm = np.asarray(cv2.blur(picture, (5, 5)), np.uint8)
    # Lower than where cells part from glass: the middle of a pale cell must not open its ring.
    matter = stains.green_density(calm, stain.white) >= 0.6 * stain.matter
    nuclei = (stains.nucleus_density(calm, stain.white) >= stain.nucleus).astype(np.uint8)
    holes, count = ndimage.label(~matter)
    pallor = np.bincount(holes.ravel(), minlength=count + 1) <= (PALLOR_SHARE * min(picture.shape[:2])) ** 2
    pallor[0] = False
    solid: NDArray[np.bool_] = (matter | pallor[holes]) & (cv2.dilate(nuclei, np.ones((5, 5), np.uint8)) == 0)
    return solid


def _roundness(solid: NDArray[np.bool_], peaks: NDArray[np.intp], radii: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weigh each disc by how much of a ring a third wider is bare: a crowd of cells run together has large discs, but no round ones."""
    angle = np.arange(DIRECTIONS) * (2.0 * np.pi / DIRECTIONS)
    y = np.rint(peaks[:, :1] + 1.35 * radii[:, None] * np.sin(angle)).astype(int)
    x = np.rint(peaks[:, 1:] + 1.35 * radii[:, None] * np.cos(angle)).astype(int)
    height, width = solid.shape
    inside = (y >= 0) & (x >= 0) & (y < height) & (x < width)
    bare = inside & ~solid[y.clip(0, height - 1), x.clip(0, width - 1)]
    seen = inside.sum(axis=1)
    weights: NDArray[np.float64] = (bare.sum(axis=1) / np.maximum(seen, 1)) ** 3 * seen / DIRECTIONS
    return weights


def _commonest(radii: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    """Return the peak of the radii's density on a logarithmic axis, smoothed by an eighth."""
    candidates = np.arange(np.log(SMALLEST_RADIUS_PX), np.log(radii.max()) + 0.1, 0.02)
    distance = (np.log(radii)[:, None] - candidates) / 0.12
    density = weights @ np.exp(-0.5 * distance**2)
    return float(np.exp(candidates[density.argmax()]))
