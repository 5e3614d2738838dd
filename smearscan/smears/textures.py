"""Random shapes and grains, sized in micrometres, from which cells are drawn."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Grid = NDArray[np.float32]
_ANGLES = 720


@dataclass(frozen=True)
class Canvas:
    """A square of pixels around a cell's centre; `x` and `y` are micrometres from it."""

    um_px: float
    x: Grid
    y: Grid

    @property
    def side(self) -> int:
        return len(self.x)

    @classmethod
    def of(cls, half_um: float, um_px: float) -> Canvas:
        half = int(np.ceil(half_um / um_px))
        axis = (np.arange(-half, half + 1) * um_px).astype(np.float32)
        x, y = np.meshgrid(axis, axis)
        return cls(um_px, x, y)


def grain(rng: np.random.Generator, canvas: Canvas, size_um: float) -> Grid:
    """Return smooth noise, mean 0 and deviation about 1, whose blobs measure about `size_um`."""
    coarse = max(4, round(canvas.side * canvas.um_px / size_um) + 3)
    noise = rng.standard_normal((coarse, coarse), np.float32)
    if coarse >= canvas.side:
        return noise[: canvas.side, : canvas.side]
    wide = round(canvas.side * (coarse / (coarse - 2)))  # cut off the border, where interpolation repeats the last value
    start = (wide - canvas.side) // 2
    smooth = cv2.resize(noise, (wide, wide), interpolation=cv2.INTER_CUBIC)
    return np.asarray(smooth[start : start + canvas.side, start : start + canvas.side] * 1.25, np.float32)


def outline(rng: np.random.Generator, roughness: float, waves: int = 7) -> NDArray[np.float32]:
    """Return radii over the full turn, of a wobbly circle with the area of the unit circle, centred on its middle."""
    turn = np.linspace(0, 2 * np.pi, _ANGLES, endpoint=False)
    radii = np.ones(_ANGLES)
    for wave in range(2, waves + 1):
        radii += roughness * rng.normal() / wave**0.8 * np.cos(wave * turn + rng.uniform(0, 2 * np.pi))
    radii = np.maximum(radii, 0.55)
    return np.asarray(radii / np.sqrt(np.mean(radii**2)), np.float32)


def inside(canvas: Canvas, radii: NDArray[np.float32], radius_um: float) -> Grid:
    """Return the distance in micrometres to an outline, positive inside."""
    angle = cv2.cartToPolar(canvas.x, canvas.y)
    reach, turn = angle[0], angle[1]
    place = np.minimum((turn * (_ANGLES / (2 * np.pi))).astype(np.int32), _ANGLES - 1)
    return np.asarray(radii[place] * radius_um - reach, np.float32)


def blobs(canvas: Canvas, centres: NDArray[np.float64], radii: NDArray[np.float64], blend_um: float) -> Grid:
    """Return the signed distance to a union of discs that melt into each other over `blend_um`."""
    total = np.zeros_like(canvas.x)
    for (x, y), radius in zip(centres.tolist(), radii.tolist(), strict=True):
        distance = radius - np.sqrt((canvas.x - x) ** 2 + (canvas.y - y) ** 2)
        total += np.exp(np.minimum(distance / blend_um, 30.0))
    return np.asarray(blend_um * np.log(np.maximum(total, 1e-12)), np.float32)


def rods(canvas: Canvas, points: NDArray[np.float64], half_width_um: float) -> Grid:
    """Return the signed distance to the line through `points`, as thick as twice `half_width_um`."""
    best = np.full_like(canvas.x, -1e3)
    for (x0, y0), (x1, y1) in zip(points[:-1].tolist(), points[1:].tolist(), strict=True):
        right, down = x1 - x0, y1 - y0
        share = np.clip(((canvas.x - x0) * right + (canvas.y - y0) * down) / max(right * right + down * down, 1e-6), 0, 1)
        gap = np.sqrt((canvas.x - x0 - share * right) ** 2 + (canvas.y - y0 - share * down) ** 2)
        best = np.maximum(best, half_width_um - gap)
    return np.asarray(best, np.float32)


def soften(distance: Grid, edge_um: float) -> Grid:
    """Turn a signed distance into coverage in [0, 1] with an edge `edge_um` wide."""
    return np.asarray(np.clip(distance / edge_um + 0.5, 0, 1), np.float32)


def spots(rng: np.random.Generator, canvas: Canvas, where: Grid, per_um2: float, radius_um: tuple[float, float]) -> Grid:
    """Return coverage by small discs scattered over the places where `where` is above 0.5."""
    rows, columns = np.nonzero(where > 0.5)
    cover = np.zeros(where.shape, np.uint8)
    count = int(rng.poisson(per_um2 * len(rows) * canvas.um_px**2)) if len(rows) else 0
    if count:
        picks = rng.integers(0, len(rows), count)
        radii = np.rint(rng.uniform(*radius_um, count) / canvas.um_px * 16).astype(int)
        for x, y, radius in zip((columns[picks] * 16).tolist(), (rows[picks] * 16).tolist(), radii.tolist(), strict=True):
            cv2.circle(cover, (x, y), radius, 255, cv2.FILLED, cv2.LINE_AA, 4)  # 4: coordinates in sixteenths of a pixel
    return np.asarray(cover / np.float32(255), np.float32)
