"""Pictures that show the same field or the same cell: written again, turned, mirrored, brightened, shifted.

Two kinds of thumbnail are compared, each 32 x 32 grey values without broad shading, as a vector of length 1, in the best of the
eight ways to lay one on the other: the whole picture, and each white cell in its box. In 1,278 fields of three laboratories every
pair above the two limits was visibly the same (two fields shifted by a few pixels 0.81 and more, other fields 0.80 and less, but
for chains of basophils; the same cell in another exposure 0.915 and more, other cells 0.92 and less). Pairs that are wrongly taken
for the same only stay on one side together, which does no harm.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from detectors.training.labels import LabelledPicture, Picture

THUMBNAIL_PX = 32
LIKE_PICTURES = 0.81
LIKE_CELLS = 0.915
SHADING_PX = {"picture": 6.0, "cell": 4.0}  # of the thumbnail; broader than this is light and stain
BLOCK_ROWS = 1024

Thumbnails = NDArray[np.float32]


def group_lookalikes(pictures: Sequence[LabelledPicture]) -> list[int]:
    """Return a group number for each picture; pictures that show the same field or cell have the same one."""
    whole, cells, owners = [], [], []
    for index, labelled in enumerate(pictures):
        grey = np.asarray(cv2.cvtColor(labelled.read(), cv2.COLOR_RGB2GRAY), np.uint8)
        whole.append(_thumbnail(grey, "picture"))
        for left, top, right, bottom in np.rint(labelled.cells).astype(int):
            cells.append(_thumbnail(grey[top:bottom, left:right], "cell"))
            owners.append(index)
    pairs = [np.tile(np.arange(len(pictures)), (2, 1)), _pairs(whole, LIKE_PICTURES)]
    pairs.append(np.asarray(owners, np.intp)[_pairs(cells, LIKE_CELLS)])
    first, second = np.concatenate(pairs, axis=1)
    links = coo_matrix((np.ones(len(first)), (first, second)), shape=(len(pictures), len(pictures)))
    _, groups = connected_components(links, directed=False)
    return [int(group) for group in groups]


def _thumbnail(grey: Picture, what: str) -> Thumbnails:
    small = cv2.resize(grey, (THUMBNAIL_PX, THUMBNAIL_PX), interpolation=cv2.INTER_AREA).astype(np.float32)
    detail = small - cv2.GaussianBlur(small, (0, 0), SHADING_PX[what])
    if what == "cell":  # what lies in the corners of its box is not the cell
        y, x = np.mgrid[:THUMBNAIL_PX, :THUMBNAIL_PX] - (THUMBNAIL_PX - 1) / 2
        detail[np.hypot(x, y) > 0.46 * THUMBNAIL_PX] = 0.0
    length = float(np.linalg.norm(detail))
    return np.asarray(detail / length if length > 0 else detail, np.float32)


def _pairs(thumbnails: Sequence[Thumbnails], limit: float) -> NDArray[np.intp]:
    """Return (2, n): the rows of each pair whose product, in the best of eight ways, reaches `limit`."""
    if not thumbnails:
        return np.zeros((2, 0), np.intp)
    stacked = np.stack(thumbnails)
    flat = stacked.reshape(len(stacked), -1)
    found = []
    turns = [np.rot90(stacked, k, axes=(1, 2)) for k in range(4)]
    for turned in (*turns, *(turn[:, :, ::-1] for turn in turns)):
        columns = turned.reshape(len(stacked), -1).T
        for start in range(0, len(flat), BLOCK_ROWS):
            first, second = np.nonzero(flat[start : start + BLOCK_ROWS] @ columns >= limit)
            found.append(np.stack([first + start, second]))
    return np.concatenate(found, axis=1)
