"""Where the white cells, smudges and clots lie: one table for the whole slide, small even for a very large one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from smearscan.errors import ConfigError
from smearscan.smears.cutouts import BackgroundSource, CellSource
from smearscan.smears.film import Film
from smearscan.smears.plan import SmearPlan, Stream

APART = 1.25  # centres are at least so many mean diameters apart, so that no two cells are one
_THROWS = 512
_IDLE_ROUNDS = 1000  # without a single new cell: then the slide is full

Weight = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float32]]


@dataclass(frozen=True)
class Placed:
    """The objects of a slide as columns, sorted by top then left."""

    x: NDArray[np.int64]  # the pixel at the centre
    y: NDArray[np.int64]
    diameter: NDArray[np.float64]
    kind: NDArray[np.str_]
    stream: NDArray[np.int64]  # which random stream draws it

    def __len__(self) -> int:
        return len(self.x)


def place(plan: SmearPlan, film: Film | BackgroundSource, sources: Mapping[str, CellSource]) -> Placed:
    """Choose kinds and places; the film or the background says how likely a cell is to lie at a place."""
    readable = _readable_share(plan, film) if isinstance(film, Film) else 1.0
    kinds = _kinds(plan, readable)
    if missing := sorted(set(kinds) - set(sources)):
        raise ConfigError(f"The mixture asks for cells of the kind {missing[0]!r}, which nothing draws. Give a source for it.")
    diameter = np.array([sources[kind].measure(plan.stream(Stream.CELL, slot), plan.mpp) for slot, kind in enumerate(kinds)], np.float64)
    x, y = _scatter(plan, diameter, film.weight_at)
    order = np.lexsort((x, y))
    names = np.array(kinds, np.str_) if kinds else np.zeros(0, "<U1")
    return Placed(x[order], y[order], diameter[order], names[order], order.astype(np.int64))


def _readable_share(plan: SmearPlan, film: Film) -> float:
    xs, ys = np.meshgrid(np.linspace(0, plan.width, 200), np.linspace(0, plan.height, 200))
    return float((film.weight_at(xs.ravel(), ys.ravel()) > 0).mean())


def _kinds(plan: SmearPlan, readable: float) -> list[str]:
    """Return the kind of every object: blasts first, then the normal kinds, smudges, debris."""
    area_mm2 = plan.width * plan.height * plan.mpp**2 / 1e6
    count = plan.white_cells if plan.white_cells is not None else round(plan.white_cells_per_mm2 * area_mm2 * readable)
    blasts = round(plan.blast_fraction * count)
    rng = plan.stream(Stream.KINDS)
    names = sorted(plan.mixture)
    shares = np.array([plan.mixture[name] for name in names], np.float64)
    normal: list[str] = rng.choice(names, count - blasts, p=shares / shares.sum()).tolist()
    debris = int(rng.poisson(plan.debris_per_mm2 * area_mm2 * readable))
    return ["blast"] * blasts + normal + ["smudge"] * round(plan.smudge_fraction * count) + ["debris"] * debris


def _scatter(plan: SmearPlan, diameter: NDArray[np.float64], weight: Weight) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Throw every object until it lies in the film, wholly inside the slide and clear of the others."""
    rng = plan.stream(Stream.PLACES)
    x, y = np.zeros(len(diameter), np.int64), np.zeros(len(diameter), np.int64)
    waiting = np.arange(len(diameter))
    placed = np.zeros(0, np.int64)
    margin = np.ceil(diameter * 0.65).astype(np.int64) + 2
    if len(diameter) and 2 * margin.max() >= min(plan.width, plan.height):
        raise ConfigError(
            f"{plan.width} x {plan.height} px at {plan.mpp:g} um/px is too small for a whole white cell. Draw a larger smear."
        )
    idle = 0
    while len(waiting) and idle < _IDLE_ROUNDS:
        throws = max(1, _THROWS // len(waiting))  # the last ones get more tries in a round
        gap = margin[waiting, None]
        xs = rng.integers(gap, plan.width - gap, (len(waiting), throws))
        ys = rng.integers(gap, plan.height - gap, (len(waiting), throws))
        weights = weight(xs.ravel().astype(np.float64), ys.ravel().astype(np.float64)).reshape(xs.shape)
        fits = rng.random(xs.shape) < weights
        first = fits.argmax(1)[:, None]
        x[waiting], y[waiting] = np.take_along_axis(xs, first, 1)[:, 0], np.take_along_axis(ys, first, 1)[:, 0]
        tried = waiting[fits.any(1)]
        clear = tried[_clear(x, y, diameter, placed, tried)]
        idle = 0 if len(clear) else idle + 1
        placed = np.concatenate([placed, clear])
        waiting = np.setdiff1d(waiting, clear)
    if not len(waiting):
        return x, y
    raise ConfigError(
        f"Only {len(placed)} of {len(diameter)} cells found a place on {plan.width} x {plan.height} px at {plan.mpp:g} um/px. "
        "Draw fewer cells or a larger smear."
    )


def _clear(
    x: NDArray[np.int64], y: NDArray[np.int64], diameter: NDArray[np.float64], placed: NDArray[np.int64], tried: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Say which of `tried` keep their distance from what is placed and from those tried before them."""
    index = np.concatenate([placed, tried])
    keep = np.ones(len(index), bool)
    if len(index) > 1:
        points = np.stack([x[index], y[index]], 1).astype(np.float64)
        pairs = cKDTree(points).query_pairs(APART * float(diameter.max()), output_type="ndarray")
        pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
        near = np.hypot(*(points[pairs[:, 0]] - points[pairs[:, 1]]).T)
        close = near < APART * (diameter[index[pairs[:, 0]]] + diameter[index[pairs[:, 1]]]) / 2
        for first, second in pairs[close].tolist():
            if keep[first] and second >= len(placed):
                keep[second] = False
    return keep[len(placed) :]
