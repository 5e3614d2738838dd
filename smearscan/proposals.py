"""A detector over tiles: boxes in slide pixels, each cell proposed by the one tile whose core holds its centre."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from detectors import Detector, Proposals
from smearscan.results import Box, Picture, Tile


def propose_in_tile(detector: Detector, picture: Picture, tile: Tile, mpp: float | None) -> Proposals:
    """Return the proposals, in slide pixels, whose centres lie in the tile's core, sorted by top then left."""
    pieces = list(_pieces(detector, tile, mpp))
    cut = [picture[top - tile.top : bottom - tile.top, left - tile.left : right - tile.left] for (left, top, right, bottom), _ in pieces]
    origins = [(box[0], box[1]) for box, _ in pieces]
    found = detector.propose_many(cut, mpp, origins)
    owned = [_owned(proposals, origin, core) for proposals, origin, (_, core) in zip(found, origins, pieces, strict=True)]
    boxes = np.concatenate([each.boxes for each in owned])
    scores = np.concatenate([each.scores for each in owned])
    order = sorted_order(boxes)
    return Proposals(boxes[order], scores[order])


def sorted_order(boxes: NDArray[np.float32]) -> NDArray[np.intp]:
    """Return the order that cells are listed in: by top, then left, then size."""
    left, top, right, bottom = boxes.T
    return np.lexsort((right, bottom, left, top))


def _pieces(detector: Detector, tile: Tile, mpp: float | None) -> list[tuple[Box, Box]]:
    """Split a tile for a detector that wants to see fields of one size: (what it sees, the core it owns)."""
    side = detector.field(mpp)
    if side is None:
        return [(tile.box, tile.core)]
    reach = detector.reach(mpp)
    left, top, right, bottom = tile.core
    return [
        (
            (max(x - reach, tile.left), max(y - reach, tile.top), min(x + side + reach, tile.right), min(y + side + reach, tile.bottom)),
            (x, y, min(x + side, right), min(y + side, bottom)),
        )
        for y in range(top, bottom, side)
        for x in range(left, right, side)
    ]


def _owned(proposals: Proposals, origin: tuple[int, int], core: Box) -> Proposals:
    # In float64, so that adding the origin of a far tile rounds once and to the same value from every tile.
    boxes = proposals.boxes.astype(np.float64) + np.array([*origin, *origin], np.float64)
    x, y = (boxes[:, 0] + boxes[:, 2]) / 2, (boxes[:, 1] + boxes[:, 3]) / 2
    left, top, right, bottom = core
    inside = (x >= left) & (x < right) & (y >= top) & (y < bottom)
    return Proposals(boxes[inside].astype(np.float32), proposals.scores[inside])
