"""How much of a heat map lies in the cell: the first thing to ask of a map, for a model may look at the background.

A map spreads over more than what moved the score, because a feature sees many pixels. So a share has to be read beside the
share of the crop that the cell takes up, which a map without any preference would have.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def share_inside(maps: ArrayLike, places: ArrayLike) -> NDArray[np.float64]:
    """Return which share of each map's positive mass lies in its cell; not a number where a map has none.

    `maps` are (n, height, width); of signed ones what speaks against the class is left out. `places` are masks of the same
    shape, True in the cell, or (n, 4) boxes in pixels of the map (left, top, right, bottom; right and bottom exclusive), which
    stand for the ellipses in them: cells are round, and the corners of their boxes are background.
    """
    mass = np.maximum(np.asarray(maps, np.float64), 0)
    where = np.asarray(places)
    masks = ellipses(where, (mass.shape[1], mass.shape[2])) if where.ndim == 2 else where.astype(np.bool_)
    if masks.shape != mass.shape:
        raise ValueError(f"{mass.shape} maps need as many boxes or masks of their size, not {where.shape}.")
    whole = mass.sum((1, 2))
    shares: NDArray[np.float64] = np.full(len(mass), np.nan)
    np.divide((mass * masks).sum((1, 2)), whole, out=shares, where=whole > 0)
    return shares


def ellipses(boxes: ArrayLike, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return (n, height, width) masks: True where a pixel's middle lies in the ellipse inscribed in its box."""
    left, top, right, bottom = np.asarray(boxes, np.float64).reshape(-1, 4, 1, 1).transpose(1, 0, 2, 3)
    y, x = np.arange(shape[0])[:, None] + 0.5, np.arange(shape[1])[None, :] + 0.5
    width, height = np.maximum(right - left, 1e-9), np.maximum(bottom - top, 1e-9)
    masks: NDArray[np.bool_] = ((2 * x - left - right) / width) ** 2 + ((2 * y - top - bottom) / height) ** 2 <= 1
    return masks
