"""From a cell on black, or with an alpha channel, to one that can be laid on anything: its mask, and colours beyond its edge."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from smearscan.errors import ConfigError
from smearscan.results import Picture

Mask = NDArray[np.bool_]

_BLACK = 24  # JPEG leaves some light beside a cell
_JPEG_RIM = 2  # pixels that black has darkened
_LEAST_AREA = 400
_LEAST_SOLIDITY = 0.93  # of the cell in its convex outline: less is a bite taken out by whoever cut it
_LONGEST_FLAT = 0.3  # of the diameter: a longer straight side was cut by a frame
_GREY, _BRIGHT = 0.8, 1.5  # of the largest colour, and of the cell's own: glass


@dataclass(frozen=True)
class Pasteable:
    """A cell's colours, valid beyond its edge as well, and its mask."""

    rgb: Picture
    mask: Mask

    @property
    def area(self) -> int:
        return int(self.mask.sum())

    @property
    def centre(self) -> tuple[float, float]:
        rows, columns = np.nonzero(self.mask)
        return float(columns.mean()), float(rows.mean())


@lru_cache(maxsize=512)  # a slide asks for each of its cells three times: how large, of whom, and what it looks like
def read_pasteable(path: Path) -> Pasteable | None:
    """Return the cell of a cut-out; None where it is too small, bitten into, or cut off by a frame."""
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}.") from error
    read = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if len(data) else None
    if read is None or read.ndim != 3:
        raise ConfigError(f"{path} is no colour picture, or a broken one. Take it out of the folder.")
    rgb = np.asarray(cv2.cvtColor(np.ascontiguousarray(read[..., :3]), cv2.COLOR_BGR2RGB), np.uint8)
    if read.shape[2] == 4:
        mask = _largest(read[..., 3] >= 128)
        inner = mask
    else:
        mask = _on_black(rgb)
        if _longest_flat(mask) > _LONGEST_FLAT * np.sqrt(mask.sum() * 4 / np.pi):
            return None
        mask = _eroded(mask, _JPEG_RIM)
        inner = _eroded(mask, 1)
    if mask.sum() < _LEAST_AREA or not inner.any() or _solidity(mask) < _LEAST_SOLIDITY:
        return None
    return Pasteable(_continued(rgb, inner), mask)


def _on_black(rgb: Picture) -> Mask:
    mask = _largest(cv2.morphologyEx((rgb.max(axis=2) > _BLACK).astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)) > 0)
    if not mask.any():
        return mask
    calm = cv2.blur(rgb, (3, 3)).astype(np.float32)
    # Cytoplasm may be pale, but it takes green; what is pale and grey is glass that was cut out with the cell.
    usual = float(np.median(calm.max(axis=2)[mask]))
    pale = mask & (calm.min(axis=2) > _GREY * calm.max(axis=2)) & (calm.max(axis=2) > _BRIGHT * usual)
    if not pale.any():
        return mask
    kept = cv2.morphologyEx((mask & ~pale).astype(np.uint8), cv2.MORPH_OPEN, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (7, 7)))
    return _largest(kept > 0)


def _largest(mask: Mask) -> Mask:
    """Return the largest part of a mask, without holes."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    if count < 2:
        return np.zeros(mask.shape, bool)
    largest = labels == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    return np.asarray(ndimage.binary_fill_holes(largest), bool)


def _eroded(mask: Mask, by_px: int) -> Mask:
    """Take pixels off the edge; the picture's border is an edge too."""
    padded = np.pad(mask.astype(np.uint8), 1)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * by_px + 1, 2 * by_px + 1))
    return cv2.erode(padded, kernel)[1:-1, 1:-1] > 0


def _longest_flat(mask: Mask) -> float:
    """Return the longest straight run of the cell along its bounding box; a round cell touches each side with a short one."""
    rows, columns = np.nonzero(mask)
    if not len(rows):
        return 0.0
    box = mask[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    return float(max(side.sum() for side in (box[0], box[-1], box[:, 0], box[:, -1])))


def _solidity(mask: Mask) -> float:
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    outline = max(outlines, key=cv2.contourArea)
    return float(cv2.contourArea(outline) / max(cv2.contourArea(cv2.convexHull(outline)), 1.0))


def _continued(rgb: Picture, inner: Mask) -> Picture:
    """Give every pixel beyond the cell the colour of the cell's nearest one, so that no soft edge mixes in what was there."""
    where = ndimage.distance_transform_edt(~inner, return_distances=False, return_indices=True)
    return np.asarray(rgb[where[0], where[1]], np.uint8)
