"""Whatever colours a file holds, made RGB on white."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from smearscan.results import Picture


def widen(grey: NDArray[np.uint8]) -> Picture:
    """Return a grey picture (height, width) as RGB."""
    return np.repeat(grey[..., None], 3, axis=2)


def lay_on_white(colours: NDArray[np.uint8], alpha: NDArray[np.uint8], *, premultiplied: bool = False) -> Picture:
    """Return colours seen through their alpha (height, width) on white."""
    if alpha.min(initial=255) == 255:
        return np.ascontiguousarray(colours)
    glass = (255 - alpha.astype(np.uint16))[..., None]
    if premultiplied:
        laid: Picture = np.minimum(colours + glass, 255).astype(np.uint8)
        return laid
    opacity = alpha.astype(np.uint32)[..., None]
    # One division for both terms, rounded to nearest: two would lose a grey value here and there.
    blended: Picture = ((colours * opacity + 255 * glass.astype(np.uint32) + 127) // 255).astype(np.uint8)
    return blended


def from_ycbcr(pixels: NDArray[np.uint8]) -> Picture:
    """Return full-range YCbCr (ITU-R BT.601, as JPEG uses it) as RGB."""
    y, cb, cr = (pixels[..., channel].astype(np.float32) for channel in range(3))
    cb -= 128
    cr -= 128
    rgb = np.stack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb], axis=-1)
    picture: Picture = np.clip(np.rint(rgb), 0, 255).astype(np.uint8)
    return picture
