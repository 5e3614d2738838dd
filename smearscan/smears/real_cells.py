"""Real cells as a source for smears: cut-outs brought to the slide's scale, stain, sharpness and noise.

All cells of a folder that were stained alike get the same change of stain. What tells a cell from its neighbours (a paler nucleus,
a darker one) is left as it was; only the laboratory is changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice

import cv2
import numpy as np
from numpy.typing import NDArray

from detectors.nuclear_stain import inside
from detectors.stain import UNMIXING
from smearscan.errors import ConfigError
from smearscan.results import Picture
from smearscan.smears.cell_folders import CellFile
from smearscan.smears.cutouts import CellSource, Cutout
from smearscan.smears.real_backgrounds import Look
from smearscan.smears.soft_edges import Pasteable, read_pasteable

Triple = tuple[float, float, float]

# Density of nuclei in May-Gruenwald-Giemsa smears: the middle between the fields of three public sets.
NUCLEUS: Triple = (0.70, 1.42, 0.45)
_CYTOPLASM_LIGHT = 1.13  # glass against the palest cytoplasm, which takes about a tenth of the light
_TRIES = 60
_LEAST_DENSITY = 0.05  # of a nucleus, in any colour
_NO_COLOUR = 0.1  # of its density in green: where a nucleus has no more in a colour, the camera did not see that colour's stain
_GREEN = 1
_GAINS = 0.3, 3.5  # of density
_SAMPLE = 96  # cells from which a folder's stain is taken
_NUCLEUS_FROM = 0.5  # of the nucleus density that the densest twentieth of a cell has
_CALM_UM = 0.2  # of blur, against chromatin's grain, before a nucleus is told from what lies around it
_OPTICS_UM = 0.13  # how sharp cut-outs are themselves
_CELL_SPREAD = 0.03  # from cell to cell of one smear, beside what they differ in themselves
_OWN_SPREAD = 0.1  # what nuclei of one smear differ in themselves


@dataclass(frozen=True)
class CellPool:
    """Cut-outs that share a scale and a staining."""

    cells: tuple[CellFile, ...]
    share: float  # of the cells that a source gives
    mpp: float | None  # for cells that do not say their own
    glass: Triple
    gain: Triple  # what turns their density into the slide's
    colours: tuple[int, ...] = (0, 1, 2)  # from which of their own colours each of the slide's is made
    spread: float = _CELL_SPREAD  # of the density, from cell to cell


class RealCells(CellSource):
    """White cells of one kind from pools of cut-outs."""

    def __init__(self, pools: Sequence[CellPool], kind: str, look: Look) -> None:
        self._pools, self._kind, self._look = tuple(pools), kind, look
        shares = np.array([pool.share for pool in pools], np.float64)
        if not len(shares) or shares.sum() <= 0:
            raise ConfigError(f"No folder of --cells holds cells for the class {kind!r}, or all their shares are 0.")
        self._shares = shares / shares.sum()

    def draw(self, rng: np.random.Generator, mpp: float) -> Cutout:
        pool, cell, found = self._pick(rng)
        scale = _scale(pool.mpp, cell) / mpp
        diameter = _diameter(found, scale)
        strength = np.array(pool.gain) * np.exp(rng.normal(0, pool.spread)) * np.exp(rng.normal(0, _CELL_SPREAD / 2, 3))
        density = (np.log(np.array(pool.glass) + 1.0) - np.log(found.rgb.astype(np.float64) + 1.0))[..., pool.colours]
        light = np.array(self._look.glass) * np.exp(-np.maximum(density, -0.05) * strength)
        layers = np.dstack([light, found.mask * 255.0]).astype(np.float32)
        layers = _placed(layers, found.centre, scale, diameter, turn=float(rng.uniform(0, 360)), flip=bool(rng.random() < 0.5))
        own = np.hypot(_OPTICS_UM / mpp, 0.3)
        layers[..., :3] = _blurred(layers[..., :3], float(np.sqrt(max(self._look.blur**2 - own**2, 0.0))))
        alpha = _blurred(layers[..., 3], max(self._look.blur, 0.5)) / 255.0
        rgb = layers[..., :3] + _grain(rng, alpha.shape, self._look.noise)
        picture: Picture = np.clip(np.rint(rgb), 0, 255).astype(np.uint8)
        return Cutout(picture, np.clip(alpha, 0, 1).astype(np.float32), diameter, self._kind)

    def measure(self, rng: np.random.Generator, mpp: float) -> float:
        pool, cell, found = self._pick(rng)
        return _diameter(found, _scale(pool.mpp, cell) / mpp)

    def origin(self, rng: np.random.Generator, mpp: float) -> Mapping[str, str]:
        _, cell, _ = self._pick(rng)
        return {"folder": _folder_name(cell), "file": cell.file, "label": cell.label, "subject": cell.subject, "group": cell.group}

    def _pick(self, rng: np.random.Generator) -> tuple[CellPool, CellFile, Pasteable]:
        """Choose a cell; those that were badly cut out are passed over."""
        for _ in range(_TRIES):
            pool = self._pools[int(rng.choice(len(self._pools), p=self._shares))]
            cell = pool.cells[int(rng.integers(len(pool.cells)))]
            found = read_pasteable(cell.path)
            if found is not None:
                return pool, cell, found
        raise ConfigError(f"{_TRIES} cells in a row, the last being {cell.path}, are cut off, bitten into or tiny. Choose other --cells.")


@dataclass(frozen=True)
class OwnStain:
    """How cells that were stained alike are stained themselves."""

    glass: Triple
    nuclei: Triple  # density of the median cell's
    cells: int  # that told it


def make_pool(cells: tuple[CellFile, ...], share: float, mpp: float | None, look: Look, variation: NDArray[np.float64]) -> CellPool | None:
    """Return cells with the change of stain that brings their nuclei to the slide's; None where no cell can tell their stain.

    `variation` is the slide's own. A colour that the cells' nuclei have no density in is made from their green: some cameras see
    nothing of the stain in blue, where every smear's nuclei have some.
    """
    if mpp is None and any(cell.mpp is None for cell in cells):
        raise ConfigError(f"{cells[0].path} does not say its microns per pixel. Give them with --cells-mpp.")
    own = own_stain(cells, mpp)
    if own is None:
        return None
    colours = tuple(_GREEN if density < _NO_COLOUR * own.nuclei[_GREEN] else colour for colour, density in enumerate(own.nuclei))
    # A nucleus may let more blue through than the glass beside it: its density there is then next to none.
    target = np.array(NUCLEUS if look.nucleus is None else np.sqrt(np.array(NUCLEUS) * np.maximum(look.nucleus, _LEAST_DENSITY)))
    nuclei = np.maximum([own.nuclei[colour] for colour in colours], _LEAST_DENSITY)
    red, green, blue = np.clip(target * variation / nuclei, *_GAINS).tolist()
    # Cells brought to the slide's stain by few have lost what those few differ in.
    spread = float(np.hypot(_CELL_SPREAD, _OWN_SPREAD / np.sqrt(own.cells)))
    return CellPool(cells, share, mpp, own.glass, (red, green, blue), colours, spread)


@lru_cache(maxsize=4096)  # many slides are made of the same folders
def own_stain(cells: tuple[CellFile, ...], mpp: float | None = None) -> OwnStain | None:
    """Return how cells are stained, by a sample that is the same for the same cells; None where none of them is whole.

    `mpp` is the scale of cells that do not say their own. Nuclei are measured as a run measures those of a slide.
    """
    chosen = np.random.default_rng(len(cells)).permutation(len(cells))[: 3 * _SAMPLE].tolist()
    opened = ((cells[row], found) for row in chosen if (found := read_pasteable(cells[row].path)) is not None)
    sample = list(islice(opened, _SAMPLE))
    if not sample:
        return None
    glass = _glass(sample)
    red, green, blue = np.median([_nucleus(found, glass, _scale(mpp, cell)) for cell, found in sample], axis=0).tolist()
    return OwnStain(glass, (red, green, blue), len(sample))


def _glass(sample: Sequence[tuple[CellFile, Pasteable]]) -> Triple:
    """Return the glass that the folder says; or guess it: neutral, and somewhat brighter than the palest of the cells."""
    if said := sample[0][0].glass:
        return said
    palest = [float(np.percentile(found.rgb[found.mask].max(axis=1), 99.5)) for _, found in sample]
    level = min(float(np.percentile(palest, 95)) * _CYTOPLASM_LIGHT, 250.0)
    return (level, level, level)


def _nucleus(found: Pasteable, glass: Triple, mpp: float) -> NDArray[np.float64]:
    density = np.log(np.array(glass) + 1.0) - np.log(found.rgb.astype(np.float64) + 1.0)
    purple = cv2.GaussianBlur(density @ UNMIXING, (0, 0), _CALM_UM / mpp)
    marked = found.mask & (purple >= _NUCLEUS_FROM * np.quantile(purple[found.mask], 0.95))
    return np.asarray(np.median(density[inside(marked, mpp)], axis=0), np.float64)


def _scale(mpp: float | None, cell: CellFile) -> float:
    scale = mpp if mpp is not None else cell.mpp
    assert scale is not None  # make_pool has asked
    return scale


def _diameter(found: Pasteable, scale: float) -> float:
    return float(np.sqrt(found.area * 4 / np.pi) * scale)


def _folder_name(cell: CellFile) -> str:
    root = cell.path
    for _ in cell.file.split("/"):
        root = root.parent
    return root.name


def _placed(
    layers: NDArray[np.float32], centre: tuple[float, float], scale: float, diameter: float, *, turn: float, flip: bool
) -> NDArray[np.float32]:
    """Turn a cell about its centre and bring it to the slide's scale, its centre on the middle pixel."""
    side = 2 * int(np.ceil(diameter * 0.5 * 1.75 + 4)) + 1
    fine = max(1, int(np.floor(1 / scale))) if scale < 1 else 1  # shrunk by averaging, not by leaving out
    large = side * fine
    matrix = np.array(cv2.getRotationMatrix2D(centre, turn, scale * fine), np.float64)
    matrix[:, 2] = matrix[:, 2] + (large - 1) / 2 - np.array(centre)
    border = cv2.BORDER_REPLICATE
    turned = cv2.warpAffine(layers[..., :3], matrix, (large, large), flags=cv2.INTER_LINEAR, borderMode=border)
    mask = cv2.warpAffine(layers[..., 3], matrix, (large, large), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
    both = cv2.resize(np.dstack([turned, mask]), (side, side), interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(both[:, ::-1] if flip else both, np.float32)


def _blurred(layers: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    return np.asarray(cv2.GaussianBlur(layers, (0, 0), sigma), np.float32) if sigma > 0.15 else layers


def _grain(rng: np.random.Generator, shape: tuple[int, ...], noise: float) -> NDArray[np.float32]:
    """Return camera noise, most of it common to the colours."""
    both = rng.standard_normal((*shape, 4), np.float32)
    return np.asarray(noise * (0.45 * both[..., :3] + 0.8 * both[..., 3:]), np.float32)
