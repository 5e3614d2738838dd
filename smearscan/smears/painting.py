"""Turns a plan into pixels, block by block; every box of a smear comes out the same however it is asked for."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from smearscan.results import Box, Picture
from smearscan.smears.cells import CELL_KINDS, DrawnCells
from smearscan.smears.cutouts import BackgroundSource, CellSource, Cutout
from smearscan.smears.fields import Surface
from smearscan.smears.film import Film
from smearscan.smears.placing import Placed, place
from smearscan.smears.plan import SmearPlan, Stream
from smearscan.smears.pushing import Pushed
from smearscan.smears.scattering import BLOCK, Crowd
from smearscan.smears.sprites import LAYER, Bank
from smearscan.smears.stain import Stain
from smearscan.smears.truth import TruthCell

_BLUR_UM = 1.3  # how wide a point becomes where a patch is out of focus
_NOISE_LEVEL = 1.1  # of 255: the camera's
_NOISE_SIDE = 1600
_STEP = 16  # pixels between the places where light and focus are computed
_KEEP_CELLS, _KEEP_BLOCKS = 256, 12


@dataclass(frozen=True)
class _Clots(CellSource):
    """Debris large enough to be listed in the truth, as a source like the cells'."""

    clots: tuple[Cutout, ...]

    def draw(self, rng: np.random.Generator, mpp: float) -> Cutout:
        return self.clots[int(rng.integers(len(self.clots)))]


class Smear:
    """A drawn smear: its truth, and its pixels when they are asked for.

    `sources` puts other cells in the place of the drawn ones, kind by kind; `background` other surroundings.
    """

    def __init__(
        self, plan: SmearPlan, sources: Mapping[str, CellSource] | None = None, background: BackgroundSource | None = None
    ) -> None:
        self.plan = plan
        self.stain = Stain.from_seed(plan.seed if plan.stain is None else plan.stain)
        bank = Bank.draw(plan.stream(Stream.BANK), plan.mpp, self.stain)
        drawn = {kind: DrawnCells(kind, self.stain) for kind in CELL_KINDS}
        self._sources: dict[str, CellSource] = {**drawn, "debris": _Clots(bank.clots), **(sources or {})}
        self._film = Film.of(plan)
        self._placed = place(plan, background or self._film, self._sources)
        self._homes = _by_block(self._placed)
        self._pushed = Pushed(background, self._placed.x, self._placed.y, self._placed.diameter) if background else None
        self._surroundings = None if background else _Surroundings(plan, self.stain, self._film, self._placed, bank)
        self._cells: OrderedDict[int, Cutout] = OrderedDict()
        self._blocks: OrderedDict[tuple[int, int], Picture] = OrderedDict()

    @property
    def truth(self) -> list[TruthCell]:
        """Every object in it, sorted by top then left; a pixel's middle is half a pixel from its corner."""
        placed = self._placed
        columns = (placed.x.tolist(), placed.y.tolist(), placed.diameter.tolist(), placed.kind.tolist())
        return [TruthCell(x + 0.5, y + 0.5, diameter, kind) for x, y, diameter, kind in zip(*columns, strict=True)]

    @property
    def origins(self) -> list[Mapping[str, str]]:
        """Where each object of `truth` was cut out of, in its order; nothing where it is drawn."""
        rows = zip(self._placed.kind.tolist(), self._placed.stream.tolist(), strict=True)
        return [self._sources[kind].origin(self.plan.stream(Stream.CELL, stream), self.plan.mpp) for kind, stream in rows]

    def cutout(self, index: int) -> Cutout:
        """Return the cell that `truth` has in that row."""
        return self._cell(index)

    def picture(self) -> Picture:
        """Return all of it; for small ones."""
        return self.paint((0, 0, self.plan.width, self.plan.height))

    def paint(self, box: Box) -> Picture:
        """Return the pixels of a box; outside the slide is white."""
        left, top, right, bottom = box
        picture = np.full((bottom - top, right - left, 3), 255, np.uint8)
        x0, y0, x1, y1 = max(left, 0), max(top, 0), min(right, self.plan.width), min(bottom, self.plan.height)
        if x0 >= x1 or y0 >= y1:
            return picture
        for row in range(y0 // BLOCK, -(-y1 // BLOCK)):
            for column in range(x0 // BLOCK, -(-x1 // BLOCK)):
                block = self.block(column, row)
                u0, v0 = max(x0, column * BLOCK), max(y0, row * BLOCK)
                u1, v1 = min(x1, (column + 1) * BLOCK), min(y1, (row + 1) * BLOCK)
                part = block[v0 - row * BLOCK : v1 - row * BLOCK, u0 - column * BLOCK : u1 - column * BLOCK]
                picture[v0 - top : v1 - top, u0 - left : u1 - left] = part
        return picture

    def block(self, column: int, row: int) -> Picture:
        """Return one block of the fixed grid on which a smear is painted, cut off at the slide's edge."""
        key = (column, row)
        known = self._blocks.get(key)
        if known is None:
            known = self._paint_block(column, row)
            self._blocks[key] = known
            if len(self._blocks) > _KEEP_BLOCKS:
                self._blocks.popitem(last=False)
        return known

    def _paint_block(self, column: int, row: int) -> Picture:
        left, top = column * BLOCK, row * BLOCK
        right, bottom = min(left + BLOCK, self.plan.width), min(top + BLOCK, self.plan.height)
        if self._surroundings is None:
            assert self._pushed is not None
            picture = self._pushed.paint((left, top, right, bottom))
            self._stamp_cells(picture, column, row, left, top)
            return picture
        pad = self._surroundings.pad
        picture = self._surroundings.draw(column, row, (left - pad, top - pad, right + pad, bottom + pad))
        self._stamp_cells(picture, column, row, left - pad, top - pad)
        return self._surroundings.look_through(picture, column, row, (left, top, right, bottom))

    def _stamp_cells(self, picture: Picture, column: int, row: int, left: int, top: int) -> None:
        near = [self._homes.get((column + dx, row + dy), ()) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
        for index in sorted(index for indices in near for index in indices):
            x, y = int(self._placed.x[index]) - left, int(self._placed.y[index]) - top
            reach = int(self._placed.diameter[index] * 1.5) + 4
            if -reach < x < picture.shape[1] + reach and -reach < y < picture.shape[0] + reach:
                stamp(picture, self._cell(index), x, y)

    def _cell(self, index: int) -> Cutout:
        known = self._cells.get(index)
        if known is None:
            stream = self.plan.stream(Stream.CELL, int(self._placed.stream[index]))
            known = self._sources[str(self._placed.kind[index])].draw(stream, self.plan.mpp)
            self._cells[index] = known
            if len(self._cells) > _KEEP_CELLS:
                self._cells.popitem(last=False)
        return known


def plan_smear(plan: SmearPlan, sources: Mapping[str, CellSource] | None = None, background: BackgroundSource | None = None) -> Smear:
    """Lay out a smear: choose its cells and their places. Pixels come when they are asked for."""
    return Smear(plan, sources, background)


def stamp(picture: Picture, cutout: Cutout, x: int, y: int) -> None:
    """Lay a cut-out on the picture with its centre on pixel x, y; what hangs over the edge is cut off."""
    height, width = cutout.alpha.shape
    left, top = x - width // 2, y - height // 2
    u0, v0 = max(left, 0), max(top, 0)
    u1, v1 = min(left + width, picture.shape[1]), min(top + height, picture.shape[0])
    if u0 >= u1 or v0 >= v1:
        return
    own = (slice(v0 - top, v1 - top), slice(u0 - left, u1 - left))
    part = picture[v0:v1, u0:u1]
    alpha = cutout.alpha[own][..., None]
    part[:] = np.rint(part + alpha * (cutout.rgb[own].astype(np.float32) - part)).astype(np.uint8)


def _by_block(placed: Placed) -> dict[tuple[int, int], list[int]]:
    homes: dict[tuple[int, int], list[int]] = {}
    for index, (x, y) in enumerate(zip((placed.x // BLOCK).tolist(), (placed.y // BLOCK).tolist(), strict=True)):
        homes.setdefault((x, y), []).append(index)
    return homes


class _Surroundings:
    """Everything but the white cells: glass, red cells, platelets, grains; and the microscope that looks at it."""

    def __init__(self, plan: SmearPlan, stain: Stain, film: Film, placed: Placed, bank: Bank) -> None:
        self._plan, self._film, self._bank = plan, film, bank
        self._crowd = Crowd(plan, film, placed, bank)
        self._white = placed
        self._sigma = _BLUR_UM / plan.mpp
        self.pad = int(np.ceil(3 * self._sigma)) + 1
        depth = np.arange(256, dtype=np.float32)[:, None] / LAYER
        depth = np.where(depth < 1.2, depth, 1.2 + 1.3 * (1 - np.exp(-(depth - 1.2) / 1.3)))  # stacks darken ever more slowly
        colours = stain.background * np.exp(-depth * stain.density("red_cell"))
        self._colours = np.clip(np.rint(colours), 0, 255).astype(np.uint8)[None]
        self._plasma = np.asarray(0.035 * stain.density("platelet"), np.float32)
        noise = plan.stream(Stream.NOISE).standard_normal((_NOISE_SIDE, _NOISE_SIDE, 4), np.float32)
        mixed = 0.5 * noise[..., :3] + 0.85 * noise[..., 3:]  # most of it is common to the colours
        self._noise = np.clip(np.rint(mixed * _NOISE_LEVEL), -20, 20).astype(np.int8)

    def draw(self, column: int, row: int, box: Box) -> Picture:
        """Return a box around one block, sharp and evenly lit; its margin is smaller than a block."""
        left, top, right, bottom = box
        layers = np.zeros((bottom - top, right - left), np.uint8)
        for cells in self._crowd.around(column, row):
            places = np.rint(cells.points).astype(np.int64) - (left, top)
            reach = self._bank.reach
            near = np.flatnonzero(((places > -reach) & (places < (layers.shape[1] + reach, layers.shape[0] + reach))).all(1))
            for x, y, variant, flat in zip(*places[near].T.tolist(), cells.variant[near].tolist(), cells.flat[near].tolist(), strict=True):
                _add_layer(layers, (self._bank.flat if flat else self._bank.pale)[variant].amount, x, y)
        picture: Picture = np.asarray(cv2.LUT(cv2.merge([layers, layers, layers]), self._colours), np.uint8)
        self._scatter_small(picture, column, row, left, top)
        return picture

    def look_through(self, picture: Picture, column: int, row: int, box: Box) -> Picture:
        """Return the block as a camera sees it: patches out of focus, uneven light, noise."""
        left, top, right, bottom = box
        height, width = bottom - top, right - left
        light, blur = self._look(left, top)
        inner = (slice(self.pad, self.pad + height), slice(self.pad, self.pad + width))
        sharp = picture[inner]
        if blur is not None:
            part = blur[:height, :width, None]
            soft = cv2.GaussianBlur(picture, (0, 0), self._sigma)[inner]
            sharp = np.rint(sharp + part * (soft.astype(np.float32) - sharp)).astype(np.uint8)
        seen = cv2.multiply(sharp, light[:height, :width], dtype=cv2.CV_8U)
        rng = self._plan.stream(Stream.NOISE, column, row)
        y, x = (int(rng.integers(_NOISE_SIDE - side + 1)) for side in (height, width))
        return np.asarray(cv2.add(seen, self._noise[y : y + height, x : x + width], dtype=cv2.CV_8U), np.uint8)

    def _look(self, left: int, top: int) -> tuple[NDArray[np.float32], Surface | None]:
        """Return light and blur for a whole block, from a coarse grid that its neighbours share."""
        steps = (np.arange(-1, BLOCK // _STEP + 1, dtype=np.float64) + 0.5) * _STEP
        light, blur, thickness = self._film.look_on(left + steps, top + steps)
        light *= 1 - np.minimum(thickness, 1.6)[..., None] * self._plasma
        return _finer(light), _finer(blur) if blur.max() > 0 else None

    def _scatter_small(self, picture: Picture, column: int, row: int, left: int, top: int) -> None:
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):
                for cutout, x, y in self._small(column + dx, row + dy):
                    stamp(picture, cutout, x - left, y - top)

    def _small(self, column: int, row: int) -> list[tuple[Cutout, int, int]]:
        """Return the platelets and grains of dye whose home is that block."""
        if column < -1 or row < -1:
            return []
        rng = self._plan.stream(Stream.SCATTER, column + 1, row + 1)
        area_mm2 = (BLOCK * self._plan.mpp) ** 2 / 1e6
        found: list[tuple[Cutout, int, int]] = []
        for bank, per_mm2 in ((self._bank.platelets, 620.0), (self._bank.grains, 40.0)):
            count = int(rng.poisson(per_mm2 * area_mm2))
            places = (rng.random((count, 2)) + np.array([column, row])) * BLOCK
            picks = rng.integers(0, len(bank), count)
            chance = rng.random(count)
            thickness = self._film.thickness_at(places[:, 0], places[:, 1])
            keep = (chance < np.clip(thickness, 0.0, 1.0)) & self._crowd.clear_of_white(places)
            found += [(bank[pick], int(x), int(y)) for pick, (x, y) in zip(picks[keep].tolist(), places[keep].tolist(), strict=True)]
        return found


def _finer(coarse: NDArray[np.float32]) -> NDArray[np.float32]:
    """Interpolate a block's coarse grid, which has one step more on every side, to its pixels."""
    side = BLOCK + 2 * _STEP
    return np.asarray(cv2.resize(coarse, (side, side), interpolation=cv2.INTER_LINEAR)[_STEP:-_STEP, _STEP:-_STEP], np.float32)


def _add_layer(layers: NDArray[np.uint8], amount: NDArray[np.uint8], x: int, y: int) -> None:
    half = len(amount) // 2
    left, top = x - half, y - half
    u0, v0 = max(left, 0), max(top, 0)
    u1, v1 = min(left + len(amount), layers.shape[1]), min(top + len(amount), layers.shape[0])
    if u0 < u1 and v0 < v1:
        part = layers[v0:v1, u0:u1]
        cv2.add(part, amount[v0 - top : v1 - top, u0 - left : u1 - left], dst=part)
