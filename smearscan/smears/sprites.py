"""Banks of small things that a smear holds by the million: red cells, platelets, grains of dye.

A bank is drawn once a slide; painting only stamps. Red cells are layers of haemoglobin, so that where two
overlap the picture darkens by itself; the others are cut-outs.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from smearscan.results import Picture
from smearscan.smears.cutouts import Cutout
from smearscan.smears.stain import Stain
from smearscan.smears.textures import Canvas, Grid, grain, inside, outline, rods, soften, spots

RED_CELL_UM = 7.4
LAYER = 70.0  # what one red cell's rim adds to a layer picture; 255 is as dark as it gets
_VARIANTS = 160


@dataclass(frozen=True)
class Layers:
    """How much haemoglobin a red cell adds, pixel by pixel."""

    amount: NDArray[np.uint8]


@dataclass(frozen=True)
class Bank:
    """Everything that is stamped on one slide."""

    pale: tuple[Layers, ...]  # red cells of the monolayer, with central pallor
    flat: tuple[Layers, ...]  # red cells of the feather edge: spread, without pallor
    platelets: tuple[Cutout, ...]
    grains: tuple[Cutout, ...]  # precipitate of dye, too small to be taken for a cell
    clots: tuple[Cutout, ...]  # clots of dye and dirt, large enough to be taken for one
    reach: int  # pixels that any of them may reach from its centre

    @classmethod
    def draw(cls, rng: np.random.Generator, mpp: float, stain: Stain) -> Bank:
        pale = tuple(_red_cell(rng, mpp, flat=False) for _ in range(_VARIANTS))
        flat = tuple(_red_cell(rng, mpp, flat=True) for _ in range(_VARIANTS // 2))
        platelets = tuple(_platelet(rng, mpp, stain) for _ in range(60))
        grains = tuple(_grain(rng, mpp, stain) for _ in range(40))
        clots = tuple(_clot(rng, mpp, stain) for _ in range(24))
        sides = [len(each.amount) for each in pale + flat] + [len(each.alpha) for each in platelets + grains + clots]
        return cls(pale, flat, platelets, grains, clots, max(sides) // 2 + 2)


def _shrunk(layers: NDArray[np.float32], um_px: float, mpp: float) -> NDArray[np.float32]:
    """Bring a drawing from the canvas' scale to the slide's, with a pixel as its centre."""
    blurred = cv2.GaussianBlur(layers, (0, 0), 0.17 / um_px)
    side = round(len(layers) * um_px / mpp)
    side += 1 - side % 2
    return np.asarray(cv2.resize(blurred, (side, side), interpolation=cv2.INTER_AREA), np.float32)


def _red_cell(rng: np.random.Generator, mpp: float, *, flat: bool) -> Layers:
    um_px = mpp / 2
    radius = RED_CELL_UM / 2 * float(np.clip(rng.normal(1.06 if flat else 1.0, 0.06), 0.78, 1.22))
    canvas = Canvas.of(radius * 1.45 + 0.6, um_px)
    # Ovals, tears and dents come from squeezing the plane before a wobbly circle is drawn in it.
    squeeze, turn = float(np.clip(abs(rng.normal(0, 0.07)), 0, 0.3)), rng.uniform(0, np.pi)
    along = canvas.x * np.cos(turn) + canvas.y * np.sin(turn)
    across = canvas.y * np.cos(turn) - canvas.x * np.sin(turn)
    tail = rng.uniform(0.1, 0.22) if rng.random() < 0.03 else 0.0
    across = across * (1 + tail * along / radius)
    bent = Canvas(um_px, np.asarray(along * (1 - squeeze), np.float32), np.asarray(across * (1 + squeeze), np.float32))
    distance = inside(bent, outline(rng, 0.016 if rng.random() < 0.9 else 0.04), radius)
    depth = np.clip(distance / radius, 0, 1)  # 0 at the edge, 1 in the middle
    thick = _profile(rng, depth, flat=flat) * (1 + 0.02 * grain(rng, canvas, 1.5))
    haemoglobin = float(np.clip(rng.normal(1.0, 0.08), 0.75, 1.25)) * (0.85 if flat else 1.0)
    amount = soften(distance, 0.35) * thick * haemoglobin * LAYER
    return Layers(np.clip(np.rint(_shrunk(np.asarray(amount, np.float32), um_px, mpp)), 0, 255).astype(np.uint8))


def _profile(rng: np.random.Generator, depth: Grid, *, flat: bool) -> Grid:
    """Return the thickness of a dried disc: a dark line at the edge, a rim, and the central pallor."""
    edge = 0.16 * np.exp(-((depth / 0.09) ** 2))
    if flat:
        return np.asarray(0.93 + edge + 0.05 * depth, np.float32)
    pallor = float(np.clip(rng.normal(0.52, 0.13), 0.1, 0.85))
    width = float(np.clip(rng.normal(0.40, 0.06), 0.25, 0.55))
    centre = 1 / (1 + np.exp(-(depth - (1 - width)) / 0.075))
    if rng.random() < 0.02:  # a target cell
        centre = centre * (1 - 1.1 * np.exp(-(((1 - depth) / 0.16) ** 2)))
    return np.asarray(1.0 + edge - pallor * centre, np.float32)


def _cutout(density: NDArray[np.float32], alpha: Grid, canvas: Canvas, *, mpp: float, stain: Stain, kind: str) -> Cutout:
    rgb = stain.background * np.exp(-density)
    layers = _shrunk(np.dstack([rgb, alpha * 255]).astype(np.float32), canvas.um_px, mpp)
    cover = np.clip(layers[..., 3] / 255, 0, 1)
    rows, columns = np.nonzero(cover > 0.4)
    diameter = float(max(np.ptp(rows), np.ptp(columns)) + 1) if len(rows) else 1.0  # these are anything but round
    picture: Picture = np.clip(np.rint(layers[..., :3]), 0, 255).astype(np.uint8)
    return Cutout(picture, np.asarray(cover, np.float32), diameter, kind)


def _platelet(rng: np.random.Generator, mpp: float, stain: Stain) -> Cutout:
    radius = float(np.clip(rng.normal(1.25, 0.3), 0.7, 2.4))
    canvas = Canvas.of(radius * 1.5 + 0.6, mpp / 2)
    distance = inside(canvas, outline(rng, 0.12), radius)
    granules = spots(rng, canvas, soften(distance - 0.35, 0.3), 1.6, (0.12, 0.32))
    density = stain.density("platelet") * np.asarray(0.75 + 0.12 * grain(rng, canvas, 0.8))[..., None]
    density = density + stain.density("azure_granule") * (0.75 * granules)[..., None]
    return _cutout(density.astype(np.float32), soften(distance, 0.45) * np.float32(0.9), canvas, mpp=mpp, stain=stain, kind="platelet")


def _grain(rng: np.random.Generator, mpp: float, stain: Stain) -> Cutout:
    canvas = Canvas.of(3.2, mpp / 2)
    near = soften(np.asarray(rng.uniform(0.7, 2.4) - np.hypot(canvas.x, canvas.y), np.float32), 0.3)
    dots = spots(rng, canvas, near, rng.uniform(0.4, 1.6), (0.14, 0.38))
    density = np.broadcast_to(stain.density("precipitate"), (*dots.shape, 3)).astype(np.float32)
    return _cutout(density, np.asarray(dots * 0.9, np.float32), canvas, mpp=mpp, stain=stain, kind="debris")


def _clot(rng: np.random.Generator, mpp: float, stain: Stain) -> Cutout:
    """A clump of dye, or a fibre or crumb of dirt."""
    length = rng.uniform(5, 12)
    canvas = Canvas.of(length * 0.8 + 2.0, mpp / 2)
    if rng.random() < 0.6:
        shape = inside(canvas, outline(rng, 0.3), length * 0.3) + 0.9 * grain(rng, canvas, 1.6) + 0.5 * grain(rng, canvas, 0.6)
        part, cover = "precipitate", 0.92
    else:
        line = np.cumsum(rng.normal(0, length / 6, (5, 2)) + rng.normal(0, length / 7, 2), 0)
        shape = rods(canvas, np.clip(line - line.mean(0), -length * 0.6, length * 0.6), rng.uniform(0.4, 0.9))
        part, cover = "dirt", 0.85
    amount = 1 + 0.25 * grain(rng, canvas, 1.0)
    density = (stain.density(part) * np.clip(amount, 0.4, 1.6)[..., None]).astype(np.float32)
    return _cutout(
        density, np.asarray(soften(np.asarray(shape, np.float32), 0.5) * cover, np.float32), canvas, mpp=mpp, stain=stain, kind="debris"
    )
