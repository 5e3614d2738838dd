"""Draws single white cells as a May-Gruenwald-Giemsa stain shows them, one recipe a kind.

What tells the kinds apart is what tells them apart in life: the nucleus' shape, how its chromatin is condensed,
its share of the cell, the cytoplasm's colour and its granules. Sizes overlap, as they do in life.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from smearscan.errors import ConfigError
from smearscan.smears import nuclei
from smearscan.smears.cutouts import CellSource, Cutout
from smearscan.smears.stain import Density, Stain
from smearscan.smears.textures import Canvas, Grid, grain, inside, outline, rods, soften, spots

_EDGE_UM = 0.30
_FOCUS_UM = 0.16  # the objective's point spread


@dataclass(frozen=True)
class Size:
    """Diameters in micrometres of a flattened cell in a smear."""

    mean: float
    spread: float
    least: float
    most: float

    def pick(self, rng: np.random.Generator) -> float:
        return float(np.clip(rng.normal(self.mean, self.spread), self.least, self.most))


SIZES: dict[str, Size] = {
    "segmented_neutrophil": Size(13.2, 1.0, 11.0, 16.0),
    "lymphocyte": Size(10.2, 1.5, 8.0, 15.0),
    "monocyte": Size(16.0, 1.5, 13.0, 20.0),
    "eosinophil": Size(13.8, 1.0, 11.5, 16.5),
    "basophil": Size(12.0, 1.0, 10.0, 14.5),
    "blast": Size(13.2, 2.0, 9.5, 18.5),
    "smudge": Size(14.5, 2.0, 11.0, 20.0),
}
CELL_KINDS: tuple[str, ...] = tuple(SIZES)


@dataclass
class _Drawing:
    """A cell in the making: the canvas, the random stream, and the optical density so far."""

    canvas: Canvas
    rng: np.random.Generator
    stain: Stain
    radius_um: float
    body: Grid  # signed distance to the cell's outline
    density: Grid  # (h, w, 3)

    def dye(self, part: Density, amount: Grid | float) -> None:
        """Add `amount` layers of a dyed part."""
        layers = np.asarray(amount, np.float32)
        self.density += (layers[..., None] if layers.ndim else layers) * part

    def cover(self, mask: Grid, part: Density, amount: Grid | float) -> None:
        """Put a part in the place of what is under `mask`."""
        layers = np.asarray(amount, np.float32)
        fresh = (layers[..., None] if layers.ndim else layers) * part
        self.density += mask[..., None] * (fresh - self.density)


def draw_cell(kind: str, rng: np.random.Generator, mpp: float, stain: Stain) -> Cutout:
    """Draw one cell of `kind` (see CELL_KINDS); the first thing taken from `rng` is its diameter."""
    if kind not in SIZES:
        raise ConfigError(f"There is no recipe for {kind!r}; the kinds are {', '.join(CELL_KINDS)}.")
    diameter_um = SIZES[kind].pick(rng)
    um_px = mpp / 2 if mpp >= 0.16 else mpp  # drawn finer and shrunk, so that edges are smooth
    canvas = Canvas.of(diameter_um * 0.5 * (1.7 if kind == "smudge" else 1.34) + 1.0, um_px)
    roughness = {"monocyte": 0.055, "smudge": 0.13, "blast": 0.035}.get(kind, 0.028)
    radii = outline(rng, roughness * rng.uniform(0.6, 1.4))
    body = inside(canvas, radii, diameter_um / 2)
    drawing = _Drawing(canvas, rng, stain, diameter_um / 2, body, np.zeros((*canvas.x.shape, 3), np.float32))
    alpha = _RECIPES[kind](drawing)
    return _finish(drawing, alpha, mpp, diameter_um, kind)


def _finish(drawing: _Drawing, alpha: Grid, mpp: float, diameter_um: float, kind: str) -> Cutout:
    um_px = drawing.canvas.um_px
    rgb = drawing.stain.background * np.exp(-np.maximum(drawing.density, 0))
    layers = cv2.GaussianBlur(np.dstack([rgb, alpha * 255]).astype(np.float32), (0, 0), _FOCUS_UM / um_px)
    side = round(drawing.canvas.side * um_px / mpp)
    side += 1 - side % 2  # an odd side has its centre on a pixel
    if um_px != mpp:
        layers = cv2.resize(layers, (side, side), interpolation=cv2.INTER_AREA)
    picture = np.clip(np.rint(layers[..., :3]), 0, 255).astype(np.uint8)
    return Cutout(picture, np.clip(layers[..., 3] / 255, 0, 1).astype(np.float32), diameter_um / mpp, kind)


def _cytoplasm(drawing: _Drawing, part: str, amount: float, mottle: float, grain_um: float = 1.2) -> None:
    canvas, rng = drawing.canvas, drawing.rng
    texture = grain(rng, canvas, grain_um) * 0.6 + grain(rng, canvas, grain_um * 3) * 0.6
    rim = np.exp(-np.maximum(drawing.body, 0) / 0.5)
    drawing.dye(drawing.stain.density(part), np.maximum(amount * (1 + mottle * texture + 0.18 * rim), 0.05))


def _nucleus(drawing: _Drawing, distance: Grid, part: str, pattern: Grid, *, amount: float = 1.0, edge_um: float = 0.28) -> Grid:
    """Lay a nucleus over the cytoplasm; the chromatin gathers a little at its membrane."""
    distance = np.minimum(distance, drawing.body - 0.15)
    mask = soften(distance, edge_um)
    membrane = np.exp(-(((distance - 0.25) / 0.3) ** 2))
    drawing.cover(mask, drawing.stain.density(part), amount * np.clip(pattern + 0.14 * membrane, 0.3, 1.7))
    return mask


def _clumps(drawing: _Drawing, size_um: float, contrast: float) -> Grid:
    """Condensed chromatin: dark clumps with paler channels between them."""
    rough = grain(drawing.rng, drawing.canvas, size_um) + 0.4 * grain(drawing.rng, drawing.canvas, size_um * 0.45)
    return np.asarray(1 + contrast * np.tanh(1.3 * rough), np.float32)


def _segmented_neutrophil(drawing: _Drawing) -> Grid:
    rng, canvas = drawing.rng, drawing.canvas
    _cytoplasm(drawing, "neutral_cytoplasm", rng.uniform(0.8, 1.25), 0.10)
    fine = spots(rng, canvas, soften(drawing.body - 0.3, 0.2), 1.6, (0.10, 0.20))
    drawing.dye(drawing.stain.density("neutral_granule"), 0.42 * fine)
    shape = nuclei.lobed(rng, canvas, drawing.radius_um, lobes=int(rng.choice([2, 3, 4, 5], p=[0.13, 0.42, 0.36, 0.09])))
    _nucleus(drawing, shape, "chromatin", _clumps(drawing, 1.0, 0.24), amount=rng.uniform(0.95, 1.12))
    return soften(drawing.body, _EDGE_UM)


def _eosinophil(drawing: _Drawing) -> Grid:
    rng, canvas = drawing.rng, drawing.canvas
    _cytoplasm(drawing, "eosin_cytoplasm", rng.uniform(0.8, 1.1), 0.08)
    shape = nuclei.lobed(rng, canvas, drawing.radius_um, lobes=int(rng.choice([2, 3], p=[0.82, 0.18])), share=0.40)
    granules = spots(rng, canvas, soften(drawing.body - 0.35, 0.2), 1.35, (0.30, 0.46))
    drawing.cover(0.85 * granules, drawing.stain.density("eosin_granule"), rng.uniform(0.85, 1.1) + 0.15 * grain(rng, canvas, 0.7))
    mask = _nucleus(drawing, shape, "chromatin", _clumps(drawing, 1.1, 0.22), amount=rng.uniform(0.82, 1.0))
    over = spots(rng, canvas, mask, 0.12, (0.28, 0.42))
    drawing.cover(0.45 * over, drawing.stain.density("eosin_granule"), 1.0)
    return soften(drawing.body, _EDGE_UM)


def _basophil(drawing: _Drawing) -> Grid:
    rng, canvas = drawing.rng, drawing.canvas
    _cytoplasm(drawing, "grey_cytoplasm", rng.uniform(0.7, 1.0), 0.12)
    shape = nuclei.lobed(rng, canvas, drawing.radius_um, lobes=int(rng.integers(2, 4)), share=0.5)
    _nucleus(drawing, shape, "fine_chromatin", _clumps(drawing, 1.4, 0.16), amount=0.95, edge_um=0.6)
    granules = spots(rng, canvas, soften(drawing.body - 0.35, 0.2), rng.uniform(0.45, 0.75), (0.3, 0.6))
    drawing.cover(0.9 * granules, drawing.stain.density("basophil_granule"), 1.0)
    return soften(drawing.body, _EDGE_UM)


def _lymphocyte(drawing: _Drawing) -> Grid:
    rng, canvas = drawing.rng, drawing.canvas
    _cytoplasm(drawing, "sky_cytoplasm", rng.uniform(0.75, 1.3), 0.10)
    large = np.clip((drawing.radius_um - 5.2) / 1.6, 0, 1)  # large lymphocytes have more cytoplasm
    share = rng.uniform(0.80, 0.93) - 0.14 * large
    shape = nuclei.rounded(rng, canvas, drawing.radius_um * share, drawing.radius_um, dent=rng.uniform(0, 0.3))
    _nucleus(drawing, shape, "chromatin", _clumps(drawing, 1.9, 0.21), amount=rng.uniform(0.86, 1.1))
    if large > 0.3 and rng.random() < 0.5:
        few = spots(rng, canvas, soften(drawing.body - 0.4, 0.2), 0.10, (0.18, 0.3))
        drawing.dye(drawing.stain.density("azure_granule"), 0.7 * few * (1 - soften(shape, 0.3)))
    return soften(drawing.body, _EDGE_UM)


def _monocyte(drawing: _Drawing) -> Grid:
    rng, canvas = drawing.rng, drawing.canvas
    _cytoplasm(drawing, "grey_cytoplasm", rng.uniform(0.85, 1.25), 0.14, 0.9)
    dust = spots(rng, canvas, soften(drawing.body - 0.3, 0.2), 1.2, (0.09, 0.17))
    drawing.dye(drawing.stain.density("azure_granule"), 0.28 * dust)
    holes = spots(rng, canvas, soften(drawing.body - 0.9, 0.2), rng.choice([0.0, 0.01, 0.035]), (0.3, 0.75))
    drawing.density *= 1 - 0.75 * holes[..., None]
    shape = nuclei.folded(rng, canvas, drawing.radius_um)
    lace = 1 + 0.15 * np.tanh(1.5 * grain(rng, canvas, 0.9)) + 0.10 * grain(rng, canvas, 2.6)
    _nucleus(drawing, shape, "chromatin", np.asarray(lace, np.float32), amount=rng.uniform(0.66, 0.82), edge_um=0.4)
    return soften(drawing.body, 0.45)


def _blast(drawing: _Drawing) -> Grid:
    rng, canvas = drawing.rng, drawing.canvas
    _cytoplasm(drawing, "deep_cytoplasm", rng.uniform(0.75, 1.2), 0.12)
    share = rng.uniform(0.83, 0.94)  # of the radius: the nucleus takes 70-88 % of the cell
    shape = nuclei.rounded(
        rng, canvas, drawing.radius_um * share, drawing.radius_um, dent=float(rng.choice([0.0, 0.15, 0.4], p=[0.45, 0.35, 0.2]))
    )
    hof = np.exp(-((np.minimum(shape, 0) / 0.9) ** 2))
    drawing.density *= (1 - 0.25 * hof)[..., None]  # a paler zone around the nucleus
    fine = 1 + 0.085 * grain(rng, canvas, 0.55) + 0.05 * grain(rng, canvas, 1.6)
    mask = _nucleus(drawing, shape, "fine_chromatin", np.asarray(fine, np.float32), amount=rng.uniform(0.9, 1.12))
    _nucleoli(drawing, shape, mask)
    if rng.random() < 0.07:
        _auer_rod(drawing, shape)
    return soften(drawing.body, _EDGE_UM)


def _nucleoli(drawing: _Drawing, shape: Grid, mask: Grid) -> None:
    rng, canvas = drawing.rng, drawing.canvas
    rows, columns = np.nonzero(shape > 1.1)
    for _ in range(int(rng.choice([1, 2, 3, 4], p=[0.32, 0.38, 0.22, 0.08])) if len(rows) else 0):
        pick = int(rng.integers(len(rows)))
        radius = rng.uniform(0.5, 1.15)
        x, y = canvas.x[rows[pick], columns[pick]], canvas.y[rows[pick], columns[pick]]
        gap = np.sqrt(((canvas.x - x) * rng.uniform(0.8, 1.2)) ** 2 + (canvas.y - y) ** 2)
        drawing.cover(0.75 * mask * soften(radius - gap, 0.45), drawing.stain.density("nucleolus"), rng.uniform(0.9, 1.15))
        ring = np.exp(-(((gap - radius - 0.12) / 0.22) ** 2))
        drawing.density *= (1 + 0.12 * ring * mask)[..., None]  # chromatin condensed around it


def _auer_rod(drawing: _Drawing, shape: Grid) -> None:
    rng, canvas = drawing.rng, drawing.canvas
    rows, columns = np.nonzero((shape < -0.1) & (drawing.body > 0.5))
    if not len(rows):
        return
    pick = int(rng.integers(len(rows)))
    place = np.array([canvas.x[rows[pick], columns[pick]], canvas.y[rows[pick], columns[pick]]], np.float64)
    across = np.array([-place[1], place[0]]) / max(float(np.hypot(*place)), 1e-6)
    line = np.array([place - across * 1.2, place + across * 1.2])
    drawing.dye(drawing.stain.density("azure_granule"), 0.8 * soften(rods(canvas, line, 0.16), 0.2))


def _smudge(drawing: _Drawing) -> Grid:
    """A burst nucleus: no cytoplasm, chromatin pulled into a smear with a ragged, fading edge."""
    rng, canvas = drawing.rng, drawing.canvas
    distance = drawing.body - 0.5 + 1.1 * grain(rng, canvas, 3.6) + 0.22 * grain(rng, canvas, 1.0)
    streaks = 1 + 0.13 * grain(rng, canvas, 0.8) + 0.26 * grain(rng, canvas, 3.0)
    core = 0.35 * np.exp(-((np.maximum(drawing.radius_um - drawing.body, 0) / (0.8 * drawing.radius_um)) ** 2))
    drawing.dye(drawing.stain.density("smudge"), np.clip(rng.uniform(0.75, 1.05) * (streaks + core), 0.3, 1.9))
    holes = soften(grain(rng, canvas, 1.8) - 1.7, 0.5)
    distance = np.minimum(distance, 1.6 * drawing.radius_um - np.hypot(canvas.x, canvas.y))  # ends within the canvas
    return np.asarray(soften(distance, 2.4) * (1 - 0.5 * holes) * rng.uniform(0.82, 0.95), np.float32)


_RECIPES: dict[str, Callable[[_Drawing], Grid]] = {
    "segmented_neutrophil": _segmented_neutrophil,
    "lymphocyte": _lymphocyte,
    "monocyte": _monocyte,
    "eosinophil": _eosinophil,
    "basophil": _basophil,
    "blast": _blast,
    "smudge": _smudge,
}


@dataclass(frozen=True)
class DrawnCells(CellSource):
    """The drawn cells of one kind in one staining."""

    kind: str
    stain: Stain

    def draw(self, rng: np.random.Generator, mpp: float) -> Cutout:
        return draw_cell(self.kind, rng, mpp, self.stain)

    def measure(self, rng: np.random.Generator, mpp: float) -> float:
        return SIZES[self.kind].pick(rng) / mpp
