"""Real fields of red cells made alike: even light, one glass, one strength of stain, and a map of what must not be used.

A field is kept as optical density against its own glass, so that it can be shown under any lamp. Everything that is not
blood is found by what blood never is: paint that lets through the colours which cells take (arrows, scale bars and their
lettering), straight grey shadows (a pointer in the eyepiece). White cells are found by nucleus colour, because the truth
of a composed slide must hold every white cell on it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from detectors import stain as stains
from smearscan.errors import ConfigError
from smearscan.results import Picture

Density = NDArray[np.float32]  # (h, w, 3): optical density of R, G, B against the field's glass
Mask = NDArray[np.bool_]

ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff")
MATTER = 0.12  # green density from which a pixel is no longer glass
_LATTICE = 16  # places along the longer side where the glass is looked for
_PAINT = 0.22  # density by which paint turns a cell's colours round
_GREY = 0.22  # density in every colour from which a shadow is grey; red cells stay below in red light
_NEEDLE_UM = 9.0  # a straight shadow at least so long is no cell's edge
_NUCLEUS_UM2 = 7.0  # more than a large platelet's granules
_CELL_UM2 = 25.0  # no platelet is so large
_DIRT_UM2 = 0.8


@dataclass(frozen=True)
class FieldPicture:
    """One field: its density, what of it can be used, and the numbers by which fields are told apart."""

    path: Path
    density: Density
    unusable: Mask
    glass: tuple[float, float, float]  # RGB in the field's middle
    red_cell: tuple[float, float, float]  # median density of what is not glass
    nucleus: tuple[float, float, float] | None  # density of white cells' nuclei, where there are any


def list_fields(folder: Path, exclude: tuple[str, ...] = ()) -> list[Path]:
    """Return the pictures of a folder, 2.jpg before 10.jpg; `exclude` names files to be left out."""
    try:
        found = sorted((path for path in folder.iterdir() if path.suffix.lower() in ENDINGS), key=_counted_name)
    except OSError as error:
        raise ConfigError(f"{folder} cannot be read: {error.strerror or error}.") from error
    if unknown := sorted(set(exclude) - {path.name for path in found}):
        raise ConfigError(f"{unknown[0]!r} is to be left out, but {folder} holds no such picture.")
    kept = [path for path in found if path.name not in exclude]
    if not kept:
        raise ConfigError(f"{folder} holds no pictures ({', '.join(ENDINGS)}). Name a folder of red-cell fields.")
    return kept


def _counted_name(path: Path) -> tuple[tuple[str, int], ...]:
    return tuple((text, int(number or 0)) for text, number in re.findall(r"(\D*)(\d*)", path.name))


def read_picture(path: Path) -> Picture:
    """Return a picture as RGB."""
    try:
        data = np.fromfile(path, np.uint8)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror or error}.") from error
    picture = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    if picture is None:
        raise ConfigError(f"{path} is no picture, or a broken one. Take it out of the folder.")
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)


def read_field(path: Path, mpp: float) -> FieldPicture:
    """Read a field of `mpp` microns per pixel."""
    picture = read_picture(path)
    density, glass = _against_glass(picture)
    flat: Picture = np.clip(np.rint(np.exp(-density) * 235.0), 0, 255).astype(np.uint8)
    nuclei, nucleus = _white_cells(flat, density, mpp)
    paint = _paint(density, mpp)
    unusable = nuclei | paint | _needles(density, mpp) | _dirt(density, mpp)
    calm = cv2.blur(density, (3, 3))
    matter = (calm[..., 1] > MATTER) & ~unusable
    red = np.median(density[matter], axis=0) if matter.sum() > 200 else np.full(3, 0.01)
    return FieldPicture(path, density, unusable, _triple(glass), _triple(red), nucleus)


@lru_cache(maxsize=4096)  # every slide that is composed of a folder looks at all of its fields
def field_look(path: Path) -> NDArray[np.float64]:
    """Return numbers that are alike for fields of one smear, in steps that an eye would notice; from a small copy."""
    picture = read_picture(path)
    small = np.asarray(cv2.resize(picture, (160, round(160 * picture.shape[0] / picture.shape[1])), interpolation=cv2.INTER_AREA), np.uint8)
    density, glass = _against_glass(small)
    matter = density[..., 1] > MATTER
    red = np.median(density[matter], axis=0) if matter.sum() > 50 else np.full(3, 0.01)
    return np.array([*(np.log(np.maximum(glass, 1)) / 0.12), *(np.log(np.maximum(red, 0.01)) / 0.2), matter.mean() / 0.08])


def flatten(picture: Picture, glass: float) -> Picture:
    """Return a picture under even, neutral light: its glass has that level."""
    return np.clip(np.rint(np.exp(-_against_glass(picture)[0]) * glass), 0, 255).astype(np.uint8)


def _triple(values: NDArray[np.floating]) -> tuple[float, float, float]:
    red, green, blue = values.tolist()
    return (red, green, blue)


def _against_glass(picture: Picture) -> tuple[Density, NDArray[np.float64]]:
    """Return the density against a smooth surface through the glass, and the glass in the middle.

    The surface is a parabola in each colour's logarithm: lamps and lenses are smooth, and a few covered patches do not bend it.
    """
    height, width = picture.shape[:2]
    side = max(8, max(height, width) // _LATTICE)
    rows = [(x + side / 2, y + side / 2) for y in range(0, height - side + 1, side) for x in range(0, width - side + 1, side)]
    bright = np.array([np.percentile(picture[y : y + side, x : x + side].reshape(-1, 3), 92, axis=0)
                       for y in range(0, height - side + 1, side) for x in range(0, width - side + 1, side)])  # fmt: skip
    places = np.array(rows)
    terms = _terms(places[:, 0] / width - 0.5, places[:, 1] / height - 0.5)
    level = np.log(bright + 1.0)
    keep = level.sum(1) >= np.median(level.sum(1))
    for _ in range(8):
        weights = np.linalg.lstsq(terms[keep], level[keep], rcond=None)[0]
        residual = (level - terms @ weights).sum(1)
        keep = (residual > -0.06) & (residual < 0.12)
        if keep.sum() < 12:  # too crowded for a surface: even light
            keep = level.sum(1) >= np.percentile(level.sum(1), 80)
            weights = np.zeros((6, 3))
            weights[0] = level[keep].mean(0)
            break
    x, y = np.arange(width) / width - 0.5, np.arange(height) / height - 0.5
    surface = sum(weights[k] * basis[..., None] for k, basis in enumerate(_grids(x, y)))
    density = np.asarray(surface - np.log(picture.astype(np.float64) + 1.0), np.float32)
    return density - _veil(density), np.exp(weights[0]) - 1.0


def _veil(density: Density) -> Density:
    """Return what lies on the glass between the cells (plasma, a smear of dye, the rest of uneven light), smoothed."""
    glass = (cv2.blur(density[..., 1], (5, 5)) < MATTER * 0.8).astype(np.float32)
    width = density.shape[1] / _LATTICE
    share = cv2.GaussianBlur(glass, (0, 0), width)
    spread = cv2.GaussianBlur(density * glass[..., None], (0, 0), width)
    return np.asarray(spread / np.maximum(share, 0.02)[..., None], np.float32)


def _terms(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], 1)


def _grids(x: NDArray[np.float64], y: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    across, down = np.meshgrid(x, y)
    return [np.ones_like(across), across, down, across * across, across * down, down * down]


def _paint(density: Density, mpp: float) -> Mask:
    """Mark what was drawn into the picture, with the box around it: lettering is thin and JPEG smears its colours."""
    red, green, blue = (density[..., channel] for channel in range(3))
    drawn_green = (red - green > _PAINT) & (blue - green > _PAINT)
    drawn_yellow = blue - green > 0.6
    drawn_red = (green - red > 0.9) & (np.abs(green - blue) < 0.25) & (blue - red > 0.8)
    marks = (drawn_green | drawn_yellow | drawn_red).astype(np.uint8)
    strokes = [cv2.morphologyEx(marks, cv2.MORPH_OPEN, np.ones(shape, np.uint8)) for shape in ((2, 1), (1, 2))]
    marks = np.maximum(*strokes)  # single pixels are noise
    reach = max(3, round(1.2 / mpp))
    near = cv2.dilate(marks, np.ones((2 * reach + 1, 4 * reach + 1), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(near)
    found = np.zeros(marks.shape, bool)
    for index in range(1, count):
        if marks[labels == index].sum() < 12:
            continue
        left, top, width, height = (int(value) for value in stats[index, :4])
        found[top : top + height, left : left + width] = True
    return found


def _needles(density: Density, mpp: float) -> Mask:
    """Mark long straight grey shadows, out to the picture's edge in the direction they point."""
    calm = cv2.GaussianBlur(density, (0, 0), max(1.0, 0.4 / mpp))
    grey = (calm.min(axis=2) > _GREY).astype(np.uint8)
    grey = cv2.morphologyEx(grey, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(grey)
    found = np.zeros(grey.shape, np.uint8)
    for index in range(1, count):
        if max(stats[index, 2], stats[index, 3]) * mpp < _NEEDLE_UM:
            continue
        points = np.argwhere(labels == index)[:, ::-1].astype(np.float32)
        middle = points.mean(0)
        spread, axes = np.linalg.eigh(np.cov((points - middle).T))
        length, breadth = 4 * np.sqrt(np.maximum(spread[::-1], 0.1))
        if length * mpp < _NEEDLE_UM or length < 4 * breadth:
            continue
        along = axes[:, 1] * (length / 2 + 5.0 / mpp)
        ends = [tuple(int(value) for value in np.rint(middle + sign * along)) for sign in (-1, 1)]
        cv2.line(found, ends[0], ends[1], 1, round(breadth + 5.0 / mpp))
    return found > 0


def _white_cells(flat: Picture, density: Density, mpp: float) -> tuple[Mask, tuple[float, float, float] | None]:
    """Mark white cells with room around them; return the median density of their nuclei."""
    stain = stains.learn(flat)
    purple = stains.nucleus_density(np.asarray(cv2.blur(flat, (3, 3)), np.uint8), stain.white)
    nuclei = _at_least(_opened(purple >= stain.nucleus, 3), _NUCLEUS_UM2, mpp)
    # A pale or blurred white cell has no pixel of nucleus colour, but no red cell is purple all over.
    pale = _at_least(_opened(purple >= stain.cytoplasm, 2 * round(1.2 / mpp) + 1), _CELL_UM2, mpp)
    whole = _at_least(nuclei, _CELL_UM2, mpp)
    colour = _triple(np.median(density[whole], axis=0)) if whole.any() else None
    return _widened(nuclei | pale, 5.0 / mpp), colour


def _opened(mask: Mask, side: int) -> Mask:
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    return cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_OPEN, kernel) > 0


def _at_least(mask: Mask, um2: float, mpp: float) -> Mask:
    """Return the parts of a mask that are so large."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    large = stats[:, cv2.CC_STAT_AREA] * mpp * mpp >= um2
    large[0] = False
    return np.asarray(large[labels], bool)


def _widened(mask: Mask, reach_px: float) -> Mask:
    side = 2 * max(1, round(reach_px)) + 1
    return cv2.dilate(mask.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))) > 0


def _dirt(density: Density, mpp: float) -> Mask:
    """Mark dark crumbs of dye and dust, which could be taken for a cell's part."""
    darkest = cv2.blur(density, (3, 3)).min(axis=2)
    ordinary = float(np.percentile(darkest, 90))
    return _widened(_at_least(darkest > max(0.5, 1.8 * ordinary), _DIRT_UM2, mpp), 1.5 / mpp)
