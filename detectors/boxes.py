"""Arithmetic on boxes: (n, 4) arrays of left, top, right, bottom, right and bottom exclusive.

Everything is computed in float64, whatever comes in: slide coordinates pass 10^5 px, where float32 has steps of 1/128 px.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import cKDTree

Boxes: TypeAlias = NDArray[np.float64]

SAME_CELL_IOU = 0.5
SAME_CELL_CENTRE = 0.5  # of the smaller diameter


def as_boxes(boxes: ArrayLike) -> Boxes:
    """Return `boxes` as (n, 4) float64; an empty list becomes (0, 4)."""
    array = np.asarray(boxes, np.float64)
    if array.size == 0:
        return np.zeros((0, 4))
    if array.ndim != 2 or array.shape[1] != 4:
        raise ValueError(f"Boxes must be an (n, 4) array, not one of shape {array.shape}.")
    return array


def shift(boxes: ArrayLike, x: float, y: float) -> Boxes:
    """Move boxes by x to the right and y down."""
    return as_boxes(boxes) + np.array([x, y, x, y], np.float64)


def scale(boxes: ArrayLike, factor: float) -> Boxes:
    """Multiply every coordinate: from a level's pixels to level 0 with its downsample, and back with 1 / downsample."""
    return as_boxes(boxes) * float(factor)


def clip(boxes: ArrayLike, width: float, height: float) -> Boxes:
    """Cut boxes to a picture; a box wholly outside keeps no area."""
    return np.clip(as_boxes(boxes), 0.0, np.array([width, height, width, height], np.float64))


def centres(boxes: ArrayLike) -> NDArray[np.float64]:
    """Return (n, 2): x, y of each box's middle."""
    array = as_boxes(boxes)
    return (array[:, :2] + array[:, 2:]) / 2.0


def sizes(boxes: ArrayLike) -> NDArray[np.float64]:
    """Return (n, 2): width and height."""
    array = as_boxes(boxes)
    return array[:, 2:] - array[:, :2]


def diameters(boxes: ArrayLike) -> NDArray[np.float64]:
    """Return the mean of width and height: what a round cell in that box measures across."""
    side = sizes(boxes)
    return (side[:, 0] + side[:, 1]) / 2.0


def areas(boxes: ArrayLike) -> NDArray[np.float64]:
    side = sizes(boxes)
    return side[:, 0] * side[:, 1]


def paired_iou(first: ArrayLike, second: ArrayLike) -> NDArray[np.float64]:
    """Return intersection over union of row i of `first` with row i of `second`; 0 where both are empty."""
    a, b = as_boxes(first), as_boxes(second)
    overlap = np.clip(np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2]), 0.0, None)
    shared = overlap[:, 0] * overlap[:, 1]
    union = areas(a) + areas(b) - shared
    share: NDArray[np.float64] = np.divide(shared, union, out=np.zeros_like(shared), where=union > 0)
    return share


def iou(first: ArrayLike, second: ArrayLike) -> NDArray[np.float64]:
    """Return the (n, m) table of intersection over union; for small sets, such as one field's cells against its truth."""
    a, b = as_boxes(first), as_boxes(second)
    rows, columns = np.indices((len(a), len(b))).reshape(2, -1)
    return paired_iou(a[rows], b[columns]).reshape(len(a), len(b))


def suppress(boxes: ArrayLike, *ranks: ArrayLike) -> NDArray[np.intp]:
    """Return the rows to keep, ascending, so that each cell is kept once (STATISTICS D14).

    Two boxes are the same cell when their IoU is at least 0.5 or their centres are no farther apart than half the
    smaller diameter. `ranks` decide which one stays: the higher first rank, among equals the higher second one, and
    so on; last the upper, then the left box. A box falls only to one that is itself kept. The outcome is the same
    set of boxes in whatever order they come.
    """
    array = as_boxes(boxes)
    first, second = _near_pairs(array)
    close = np.hypot(*(centres(array)[first] - centres(array)[second]).T)
    across = diameters(array)
    same = close <= SAME_CELL_CENTRE * np.minimum(across[first], across[second])
    same |= paired_iou(array[first], array[second]) >= SAME_CELL_IOU
    return _keep_best(array, ranks, first[same], second[same])


def suppress_windows(boxes: ArrayLike, size: float, *ranks: ArrayLike, groups: ArrayLike | None = None) -> NDArray[np.intp]:
    """Return the windows to keep, ascending, so that none of a group lies within half a window of a better one (STATISTICS D13).

    `groups` are labels, such as blast and non-blast: windows of different groups do not suppress each other.
    """
    array = as_boxes(boxes)
    if len(array) == 0:
        return np.zeros(0, np.intp)
    middle = centres(array)
    first, second = _columns(cKDTree(middle).query_pairs(size / 2.0, output_type="ndarray"))
    same = np.hypot(*(middle[first] - middle[second]).T) < size / 2.0
    if groups is not None:
        labels = np.asarray(groups)
        same &= labels[first] == labels[second]
    return _keep_best(array, ranks, first[same], second[same])


def count_windows(width: int, height: int, size: int, step: int) -> int:
    """Return how many whole windows a picture holds; none where a side is shorter than a window."""
    across, down = (0 if side < size else (side - size) // step + 1 for side in (width, height))
    return across * down


def _columns(pairs: NDArray[Any]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    table = np.asarray(pairs, np.intp).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def _near_pairs(array: Boxes) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return every pair that could be the same cell, and few others, in about linear time.

    Boxes are searched octave by octave of size, so that one giant does not make everything its neighbour. Both rules
    of `suppress` ask for centres within two thirds of the smaller box's diagonal: an IoU of at least 0.5 makes the
    shared part of each axis at least half of the joint extent, which puts the middles within a third of the longer side,
    and no side is more than twice the other box's.
    """
    if len(array) == 0:
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    middle = centres(array)
    diagonal = np.hypot(*sizes(array).T)
    octave = np.floor(np.log2(np.maximum(diagonal, 1e-6))).astype(np.int64)
    members = [np.flatnonzero(octave == each) for each in np.unique(octave)]
    trees = [cKDTree(middle[rows]) for rows in members]
    found: list[NDArray[np.intp]] = []
    for smaller, rows in enumerate(members):
        # A hair more than the bound: rounding must not lose a pair that lies exactly on it.
        radius = float(diagonal[rows].max()) * (2.0 / 3.0) * (1.0 + 1e-9)
        found.append(rows[trees[smaller].query_pairs(radius, output_type="ndarray").reshape(-1, 2)])
        for larger in range(smaller + 1, len(members)):
            across = trees[smaller].sparse_distance_matrix(trees[larger], radius, output_type="ndarray")
            found.append(np.column_stack([rows[across["i"]], members[larger][across["j"]]]))
    return _columns(np.concatenate(found))


def _keep_best(array: Boxes, ranks: Sequence[ArrayLike], first: NDArray[np.intp], second: NDArray[np.intp]) -> NDArray[np.intp]:
    """Walk from the best box to the worst; each one kept strikes out those paired with it."""
    place = np.empty(len(array), np.intp)
    place[_best_first(array, ranks)] = np.arange(len(array))
    better = np.where(place[first] < place[second], first, second)
    worse = np.where(place[first] < place[second], second, first)
    order = np.lexsort((place[worse], place[better]))
    struck = bytearray(len(array))
    # A plain loop over the pairs, best box first: when a box's turn comes, whatever could strike it has had its own.
    for winner, loser in zip(better[order].tolist(), worse[order].tolist(), strict=True):
        if not struck[winner]:
            struck[loser] = 1
    return np.flatnonzero(np.frombuffer(struck, np.uint8) == 0)


def _best_first(array: Boxes, ranks: Sequence[ArrayLike]) -> NDArray[np.intp]:
    """Order by the ranks, highest first, then by top, left, bottom and right."""
    columns = [-np.asarray(rank, np.float64) for rank in ranks]
    if any(column.shape != (len(array),) for column in columns):
        raise ValueError(f"Each rank must hold one number for each of the {len(array)} boxes.")
    keys = [*columns, array[:, 1], array[:, 0], array[:, 3], array[:, 2]]
    return np.lexsort(tuple(reversed(keys)))
