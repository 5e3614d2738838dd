"""Where the red cells, platelets and grains lie, block by block: found again for any block without its slide.

A red cell must know its neighbours to keep its distance, also across the border of its block. Blocks are coloured
like a map: a block is filled after its neighbours of a lower colour and with regard to them, so that every block
depends on a few others only and comes out the same in whatever order blocks are asked for.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from smearscan.smears.film import Film
from smearscan.smears.placing import Placed
from smearscan.smears.plan import SmearPlan, Stream
from smearscan.smears.sprites import RED_CELL_UM, Bank

BLOCK = 1024  # pixels; also what is painted at once
Points = NDArray[np.float64]


@dataclass(frozen=True)
class RedCells:
    """The red cells whose home is one block (a rouleau may leave it by some cells)."""

    points: Points  # (n, 2) x, y
    space: NDArray[np.float64]  # (n,) share of a diameter that it keeps free; rouleaux keep none
    variant: NDArray[np.int64]
    flat: NDArray[np.bool_]


class Crowd:
    """The red cells of a slide, remembered for the blocks last asked for."""

    def __init__(self, plan: SmearPlan, film: Film, placed: Placed, bank: Bank) -> None:
        self._plan, self._film, self._bank = plan, film, bank
        self._across, self._down = -(-plan.width // BLOCK), -(-plan.height // BLOCK)
        self._diameter = RED_CELL_UM / plan.mpp
        self._white = cKDTree(np.stack([placed.x, placed.y], 1).astype(np.float64)) if len(placed) else None
        self._free = np.where(np.isin(placed.kind, ("smudge", "debris")), 0.3, 0.46) * placed.diameter
        self._known: OrderedDict[tuple[int, int], RedCells] = OrderedDict()
        self._remember = 6 * self._across + 30

    def block(self, column: int, row: int) -> RedCells | None:
        """Return the red cells of one block; None outside the slide's ring of blocks."""
        if not (-1 <= column <= self._across and -1 <= row <= self._down):
            return None
        key = (column, row)
        known = self._known.get(key)
        if known is None:
            known = self._fill(column, row)
            self._known[key] = known
            while len(self._known) > self._remember:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(key)
        return known

    def around(self, column: int, row: int) -> list[RedCells]:
        """Return the blocks whose red cells may reach into this one, in a fixed order."""
        near = (self.block(column + dx, row + dy) for dy in (-1, 0, 1) for dx in (-1, 0, 1))
        return [each for each in near if each is not None and len(each.points)]

    def _fill(self, column: int, row: int) -> RedCells:
        rng = self._plan.stream(Stream.RED_CELLS, column + 1, row + 1)
        points, thickness = self._candidates(rng, column, row)
        # Most red cells keep clear of each other, some touch and overlap, and the more so the thicker the film.
        space = rng.choice([1.03, 0.86, 0.55], len(points), p=[0.66, 0.26, 0.08])
        space *= np.interp(thickness, [0.9, 1.2, 2.0], [1.0, 0.86, 0.45])
        older = [each for each in self._lower_neighbours(column, row) if len(each.points)]
        fixed = sum(len(each.points) for each in older)
        every = np.concatenate([*(each.points for each in older), points])
        room = np.concatenate([*(each.space for each in older), space])
        kept = np.flatnonzero(self._apart(every, room, fixed))
        points, space, thickness = every[kept + fixed], room[kept + fixed], thickness[kept]
        points, space, thickness = self._with_rouleaux(rng, points, space, thickness)
        clear = self.clear_of_white(points)
        points, space, thickness = points[clear], space[clear], thickness[clear]
        flat = rng.random(len(points)) < np.interp(thickness, [0.35, 0.62], [0.95, 0.03])
        variant = np.where(flat, rng.integers(0, len(self._bank.flat), len(points)), rng.integers(0, len(self._bank.pale), len(points)))
        return RedCells(points, space, variant, flat)

    def _candidates(self, rng: np.random.Generator, column: int, row: int) -> tuple[Points, NDArray[np.float32]]:
        most = 3.0  # layers of red cells tried, in the thickest film
        count = int(rng.poisson(most * BLOCK**2 / (np.pi / 4 * self._diameter**2)))
        points = (rng.random((count, 2)) + np.array([column, row])) * BLOCK
        thickness = self._film.thickness_at(points[:, 0], points[:, 1])
        tried = np.interp(thickness, [0.0, 0.2, 1.0, 1.6, 2.6], [0.0, 0.16, 1.15, 1.9, most])
        keep = rng.random(count) * most < tried
        keep[keep] = self.clear_of_white(points[keep])
        return points[keep], thickness[keep]

    def _lower_neighbours(self, column: int, row: int) -> list[RedCells]:
        colour = (column & 1) + 2 * (row & 1)
        found = []
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):
                theirs = ((column + dx) & 1) + 2 * ((row + dy) & 1)
                block = self.block(column + dx, row + dy) if theirs < colour else None
                if block is not None:
                    found.append(block)
        return found

    def _apart(self, points: Points, space: NDArray[np.float64], fixed: int) -> NDArray[np.bool_]:
        """Say which points after the first `fixed` keep their distance from all kept before them."""
        keep = np.ones(len(points), bool)
        if len(points) > 1:
            pairs = cKDTree(points).query_pairs(1.03 * self._diameter, output_type="ndarray")
            pairs = pairs[pairs[:, 1] >= fixed]
            gap = points[pairs[:, 0]] - points[pairs[:, 1]]
            close = np.hypot(gap[:, 0], gap[:, 1]) < self._diameter * (space[pairs[:, 0]] + space[pairs[:, 1]]) / 2
            pairs = pairs[close]
            pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
            alive = keep.tolist()
            for first, second in pairs.tolist():
                if alive[first]:
                    alive[second] = False
            keep = np.array(alive, bool)
        return keep[fixed:]

    def clear_of_white(self, points: Points) -> NDArray[np.bool_]:
        """Say which points leave the white cells alone: those push the red cells aside."""
        if self._white is None or not len(points):
            return np.ones(len(points), bool)
        gap, nearest = self._white.query(points, distance_upper_bound=float(self._free.max()) + self._diameter)
        reach = np.append(self._free, 0.0)[nearest] + 0.42 * self._diameter
        return np.asarray(gap > reach, bool)

    def _with_rouleaux(
        self, rng: np.random.Generator, points: Points, space: NDArray[np.float64], thickness: NDArray[np.float32]
    ) -> tuple[Points, NDArray[np.float64], NDArray[np.float32]]:
        """Let some cells of the thicker film be the first of a stack of coins."""
        chance = np.interp(thickness, [1.25, 1.8], [0.0, 0.09])
        heads = np.flatnonzero(rng.random(len(points)) < chance)
        chains = [points]
        levels = [thickness]
        for head in heads:
            length, turn = int(rng.integers(1, 5)), rng.uniform(0, 2 * np.pi)
            turns = turn + np.cumsum(rng.normal(0, 0.15, length))
            steps = np.stack([np.cos(turns), np.sin(turns)], 1) * self._diameter * rng.uniform(0.3, 0.45)
            chains.append(points[head] + np.cumsum(steps, 0))
            levels.append(np.full(length, thickness[head], np.float32))
        stacked = np.concatenate(chains)
        rooms = np.concatenate([space, np.zeros(len(stacked) - len(points))])
        return stacked, rooms, np.concatenate(levels)
