"""Red cells drawn at random on bright glass: what a white cell is laid on where no pictures of smears are at hand."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from classifiers.preprocess.framing import Crop

DRAWN_PX = 160  # drawn at most at this size and enlarged: red cells have no fine texture
RED_TO_WHITE = (0.5, 0.75)  # diameters; red cells measure 6 to 8 um, lymphocytes and blasts 9 to 16
RED_DENSITY = np.array([0.10, 0.38, 0.30], np.float32)  # optical density of a red cell's body in R, G, B
GLASS = np.array([238, 232, 234], np.float32)
COVER = (0.15, 0.6)  # share of the glass that red cells cover, at which no more are drawn
TRIES = 60


def draw_red_cells(size: tuple[int, int], diameter_px: float, rng: Generator) -> Crop:
    """Return a picture of `size` (height, width) with red cells of about that diameter."""
    shrink = min(1.0, DRAWN_PX / max(size))
    height, width = max(1, round(size[0] * shrink)), max(1, round(size[1] * shrink))
    diameter = max(4.0, diameter_px * shrink)
    density = _place_cells(height, width, diameter, rng)
    colour = RED_DENSITY * rng.uniform(0.7, 1.3) * rng.uniform(0.85, 1.15, 3).astype(np.float32)
    glass = GLASS * rng.uniform(0.8, 1.05) + rng.uniform(-8, 8, 3)
    lit = _uneven_light(height, width, rng)
    picture = glass.astype(np.float32) * lit * np.exp(-density[..., None] * colour)
    picture += rng.normal(0, rng.uniform(0.5, 2.5), picture.shape).astype(np.float32)
    drawn = np.rint(picture).clip(0, 255).astype(np.uint8)
    if drawn.shape[:2] != size:
        drawn = cv2.resize(drawn, size[::-1], interpolation=cv2.INTER_CUBIC)
    return drawn  # type: ignore[no-any-return]


def _place_cells(height: int, width: int, diameter: float, rng: Generator) -> NDArray[np.float32]:
    """Return how dense red cells lie at each pixel, 1 being the body of one."""
    density = np.zeros((height, width), np.float32)
    wanted = rng.uniform(*COVER) * height * width
    placed: list[tuple[float, float]] = []
    for _ in range(TRIES):
        x, y = rng.uniform(-diameter / 2, width + diameter / 2), rng.uniform(-diameter / 2, height + diameter / 2)
        if any(math.hypot(x - other_x, y - other_y) < 0.9 * diameter for other_x, other_y in placed):
            continue
        placed.append((x, y))
        _add_cell(density, x, y, diameter * rng.uniform(0.9, 1.08), rng)
        if len(placed) * math.pi / 4 * diameter**2 > wanted:
            break
    return density


def _add_cell(density: NDArray[np.float32], x: float, y: float, diameter: float, rng: Generator) -> None:
    """Add one red cell: a slightly oval disc, paler in its middle, with a soft edge."""
    height, width = density.shape
    reach = 0.65 * diameter
    top, bottom = max(0, math.floor(y - reach)), min(height, math.ceil(y + reach) + 1)
    left, right = max(0, math.floor(x - reach)), min(width, math.ceil(x + reach) + 1)
    angle, oval, pallor = rng.uniform(0, math.pi), rng.uniform(1, 1.15), rng.uniform(0.2, 0.75)
    if top >= bottom or left >= right:
        return
    down, across = np.arange(top, bottom, dtype=np.float32)[:, None] - y, np.arange(left, right, dtype=np.float32)[None] - x
    along, beside = across * math.cos(angle) + down * math.sin(angle), down * math.cos(angle) - across * math.sin(angle)
    radius = np.hypot(along / oval, beside * oval).astype(np.float32) * np.float32(2 / diameter)
    body = np.clip((1 - radius) * (diameter / 5), 0, 1)  # the edge is two to three pixels of a cell of 25
    density[top:bottom, left:right] += body * (1 - pallor * np.exp(-((radius / 0.42) ** 2)))


def _uneven_light(height: int, width: int, rng: Generator) -> NDArray[np.float32]:
    down, across = rng.uniform(-0.04, 0.04, 2)
    light = 1 + down * np.linspace(-1, 1, height)[:, None] + across * np.linspace(-1, 1, width)[None]
    return light[..., None].astype(np.float32)  # type: ignore[no-any-return]
