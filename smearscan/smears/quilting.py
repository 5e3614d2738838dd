"""Joins pieces of real fields to one surface of any size without a visible seam.

The slide is a lattice of sites, each covered by one patch that reaches into its neighbours. Where four patches meet they
are joined at the place near the lattice point where they agree best; from joint to joint runs the line on which the two
patches beside it differ least (image quilting after Efros & Freeman 2001, who go row by row instead). Every line depends
on a handful of patches and on nothing else, so any part of the surface can be made alone.

Rows of sites are parted by lines that run from left to right and have one height for each column of pixels; inside a row
sites are parted by lines with one place for each row of pixels. Together they give each pixel to exactly one site.

In a crowd no line runs through glass alone, and half a red cell is seen at once. So a cell that a line would cut goes
whole to the site in which most of it lies, and over its border. Patches are optical densities against glass, which has
none: they are added, and two cells that come to lie on each other darken as they do on a smear.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

Patch = NDArray[np.float32]  # (side, side, 3): optical density
Line = NDArray[np.int64]
Key = tuple[int, int, bool]  # column, row, whether it is a line that stands
Found = TypeVar("Found")

FEATHER_PX = 1.2  # how soft a join is; a cell's edge is about as soft
_MARGIN = 8  # pixels of a patch that no line enters, so that the soft join does not reach its border
_STEEP = 3  # pixels that a line may go sideways for each pixel ahead
_MATTER_COST = 0.4  # what it costs to cut a cell that looks alike in both patches
_STRAIGHT_COST = 0.004
_KEEP = 800


@dataclass(frozen=True)
class Lattice:
    """Where sites lie, in slide pixels."""

    pitch: int
    overlap: int  # pixels that neighbouring patches share

    @property
    def side(self) -> int:
        return self.pitch + self.overlap

    def origin(self, column: int, row: int) -> tuple[int, int]:
        """Return the left upper corner of a site's patch."""
        return column * self.pitch - self.overlap // 2, row * self.pitch - self.overlap // 2

    def sites(self, left: int, top: int, right: int, bottom: int) -> list[tuple[int, int]]:
        """Return the sites whose patches a box may hold, row by row."""
        half = self.overlap // 2 + 1
        columns = range((left - half) // self.pitch, (right + half) // self.pitch + 1)
        rows = range((top - half) // self.pitch, (bottom + half) // self.pitch + 1)
        return [(column, row) for row in rows for column in columns]


@dataclass
class Quilt:
    """Gives each site's weights. `patch` returns the patch of a site, `cells` the number of the red cell that each of its
    pixels belongs to, 0 for none; both the same whenever they are asked."""

    lattice: Lattice
    patch: Callable[[int, int], Patch]
    cells: Callable[[int, int], NDArray[np.int32]]
    _joints: OrderedDict[Key, tuple[int, int]] = field(default_factory=OrderedDict)
    _lines: OrderedDict[Key, tuple[int, Line]] = field(default_factory=OrderedDict)

    def weights(self, column: int, row: int) -> NDArray[np.float32]:
        """Return how much of each pixel of the site's patch is seen; on glass it adds up to one over all sites."""
        lattice = self.lattice
        left, top = lattice.origin(column, row)
        xs = np.arange(left, left + lattice.side)
        ys = np.arange(top, top + lattice.side)
        first, last = self._heights(column, row, xs), self._heights(column, row + 1, xs)
        mine = (ys[:, None] >= first) & (ys[:, None] < last)
        # Above and below its own row a pixel of this window belongs to a neighbour, whose lines are not needed here.
        mine &= (xs >= self._places(column, row, ys)[:, None]) & (xs < self._places(column + 1, row, ys)[:, None])
        whole = keep_whole(mine, self.cells(column, row))
        return np.asarray(cv2.GaussianBlur(whole.astype(np.float32), (0, 0), FEATHER_PX), np.float32)

    def _heights(self, column: int, row: int, xs: Line) -> Line:
        """Return, for columns of pixels around a site, the line that parts its row from the row above."""
        found = np.empty(len(xs), np.int64)
        for segment in (column - 1, column, column + 1):
            start, line = self._lying(segment, row)
            inside = (xs >= start) & (xs < start + len(line))
            found[inside] = line[xs[inside] - start]
        return found

    def _places(self, column: int, row: int, ys: Line) -> Line:
        """Return the line that parts a site from its left neighbour; beyond its ends it goes on straight."""
        start, line = self._standing(column, row)
        return np.asarray(line[np.clip(ys - start, 0, len(line) - 1)], np.int64)

    def _joint(self, column: int, row: int) -> tuple[int, int]:
        """Return the pixel at which the four patches around a lattice point are joined."""
        return _remember(self._joints, (column, row, False), lambda: self._find_joint(column, row))

    def _find_joint(self, column: int, row: int) -> tuple[int, int]:
        lattice = self.lattice
        # Joints stay in the middle of the overlap, or a line between two of them would have to be too steep.
        half = max(lattice.overlap // 2 - _MARGIN - lattice.overlap // 8, 1)
        x, y = column * lattice.pitch, row * lattice.pitch
        box = (x - half, y - half, x + half, y + half)
        four = [self._part(column + dx, row + dy, box) for dy in (-1, 0) for dx in (-1, 0)]
        stack = np.stack(four)
        cost = stack.var(axis=0).sum(axis=2) + _MATTER_COST * np.clip(stack[..., 1], 0, None).mean(axis=0)
        cost = cv2.GaussianBlur(cost, (0, 0), 3.0)
        best = int(np.argmin(np.rint(cost * 1e6).astype(np.int64)))
        return box[0] + best % cost.shape[1], box[1] + best // cost.shape[1]

    def _lying(self, column: int, row: int) -> tuple[int, Line]:
        """Return where the line from joint to joint above a site begins, and its heights."""
        return _remember(self._lines, (column, row, False), lambda: self._find_line(column, row, standing=False))

    def _standing(self, column: int, row: int) -> tuple[int, Line]:
        """Return where the line from joint to joint left of a site begins, and its places."""
        return _remember(self._lines, (column, row, True), lambda: self._find_line(column, row, standing=True))

    def _find_line(self, column: int, row: int, *, standing: bool) -> tuple[int, Line]:
        lattice = self.lattice
        first = self._joint(column, row)
        last = self._joint(column, row + 1) if standing else self._joint(column + 1, row)
        half = lattice.overlap // 2 - _MARGIN
        if standing:
            low = column * lattice.pitch - half
            box = (low, first[1], low + 2 * half, last[1])
            other = (column - 1, row)
        else:
            low = row * lattice.pitch - half
            box = (first[0], low, last[0], low + 2 * half)
            other = (column, row - 1)
        one, two = self._part(*other, box), self._part(column, row, box)
        cost = ((one - two) ** 2).sum(axis=2) + _MATTER_COST * np.maximum(one, two)[..., 1].clip(0)
        cost = cv2.GaussianBlur(cost, (0, 0), 1.0) + np.float32(_STRAIGHT_COST)
        ahead = cost if standing else cost.T
        start, stop = (first[0] - low, last[0] - low) if standing else (first[1] - low, last[1] - low)
        return (first[1] if standing else first[0]), low + cheapest_line(np.asarray(ahead, np.float32), start, stop)

    def _part(self, column: int, row: int, box: tuple[int, int, int, int]) -> Patch:
        left, top = self.lattice.origin(column, row)
        patch = self.patch(column, row)
        return patch[box[1] - top : box[3] - top, box[0] - left : box[2] - left]


def _remember(known: OrderedDict[Key, Found], key: Key, make: Callable[[], Found]) -> Found:
    """Return what is known under `key`; the oldest of many is forgotten, and would be found again."""
    if key not in known:
        known[key] = make()
        if len(known) > _KEEP:
            known.popitem(last=False)
    return known[key]


def keep_whole(mine: NDArray[np.bool_], cells: NDArray[np.int32]) -> NDArray[np.bool_]:
    """Return `mine` with every cell wholly in or out, as most of it is; those that the patch's border cuts stay cut."""
    every = np.bincount(cells.ravel())
    inside = np.bincount(cells[mine], minlength=len(every))
    owned = 2 * inside > every
    edge = np.concatenate([cells[0], cells[-1], cells[:, 0], cells[:, -1]])
    cut = np.zeros(len(every), bool)
    cut[edge] = True
    cut[0] = True  # glass
    return np.asarray(np.where(cut[cells], mine, owned[cells]), bool)


def cheapest_line(cost: NDArray[np.float32], start: int, stop: int) -> Line:
    """Return, for each row of `cost`, the column of the cheapest line from `start` in the first row to `stop` in the last."""
    whole = np.rint(cost * 1e4).astype(np.int64)  # sums of whole numbers are the same on every machine
    rows, columns = whole.shape
    steps = np.arange(-_STEEP, _STEEP + 1)
    far = np.int64(1) << 50
    total = np.full(columns + 2 * _STEEP, far)
    inner = slice(_STEEP, _STEEP + columns)
    total[_STEEP + start] = whole[0, start]
    came = np.zeros((rows, columns), np.int8)
    windows = np.arange(columns)[:, None] + steps + _STEEP
    dear = (np.abs(steps) * 12).astype(np.int64)
    for row in range(1, rows):
        choices = total[windows] + dear
        best = choices.argmin(axis=1)
        came[row] = steps[best]
        total[inner] = choices[windows[:, 0] - windows[0, 0], best] + whole[row]
    line = np.empty(rows, np.int64)
    line[-1] = stop
    for row in range(rows - 1, 0, -1):
        line[row - 1] = line[row] + came[row, line[row]]
    return line
