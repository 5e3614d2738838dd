"""How large is a pixel, where no file says? Red cells are about as wide everywhere.

A picture is searched for red cells of one assumed size after the other. For each it is reduced until such a cell is some
twenty pixels wide, the pale middles of cells are closed, and from the middle of every blot rays are followed to where glass
begins. What is round, of about the assumed size and mostly free of neighbours is a red cell; the size whose cells make up
most of what lies there is taken. Crowds have no round edge and so count for nothing, nor do the cells of a tissue section.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from detectors import stain as stains
from detectors.base import DetectorError
from detectors.stain import Stain

RED_CELL_UM = 7.4  # across, in a dried smear: textbooks say 7.2 to 7.5
SMALLEST_PX = 8.0  # a red cell of fewer pixels cannot be told from a platelet or from noise
LADDER = 1.35  # from one assumed size to the next
WORKING_PX = 22.0  # width of a cell of the assumed size in the reduced picture: more shows no more of its edge
CELLS_WIDE = 24.0  # as much of a picture's middle is looked at: several hundred cells tell what thousands would
LARGEST_SHARE = 1 / 3  # of the picture's shorter side
PALLOR = 0.6  # of a cell's diameter: a wider hole is glass between cells, not a cell's pale middle
APART = 0.35  # of a cell's diameter; two middles nearer than this are of one cell
LEAST_DEPTH = 0.25  # of a cell's diameter, from a middle to the nearest edge
RAYS = 48
NEAR, FAR = 0.5, 1.5  # of the assumed radius: between them the edge is looked for,
STEPS = 41  # at so many places
EDGE = 0.5  # of a cell's own greatest density, where its edge lies
LEAST_DENSITY = 120  # milli-densities of green that a red cell takes at the least; the palest stains leave it some 200
LEAST_BARE = 0.4  # share of a cell's outline that borders on glass
MOST_UNEVEN = 0.16  # spread of a cell's radii, of their mean: that of an ellipse of 1.6 to 1
FEWEST_CELLS = 2
PATCH_PX = 1000  # of a picture larger than this a few pieces are looked at,
PATCHES_ACROSS = 3  # at most so many side by side
LEAST_EXPLAINED = 0.12  # share of what lies there that must be round cells of one size
OUTSIDE = 1e6  # density beyond the picture, where no edge can be seen


@dataclass(frozen=True)
class RedCells:
    """The red cells of a picture that are round and free enough to be measured."""

    diameters_px: NDArray[np.float64]  # (n,) of a disc of the same area
    explained: float  # share that they are of everything but nuclei that is no glass

    def __len__(self) -> int:
        return len(self.diameters_px)

    @property
    def diameter_px(self) -> float:
        """The median diameter."""
        return float(np.median(self.diameters_px))


def estimate_mpp(picture: NDArray[np.uint8], stain: Stain) -> float:
    """Return microns per pixel: the median red cell is `RED_CELL_UM` wide. Raises DetectorError where there are no red cells.

    About a tenth off where a picture shows some twenty cells, half of that where it shows hundreds.
    """
    patches = _patches(picture)
    found = [each.diameters_px for patch in patches if (each := measure_red_cells(patch, stain)) is not None]
    if not found:  # a single cell is poor ground, but better than none for whoever asks for an estimate
        found = [each.diameters_px for patch in patches if (each := measure_red_cells(patch, stain, fewest=1, explained=0.0)) is not None]
    if not found:
        raise DetectorError("The picture has no scale and no red cells to take it from. Give its microns per pixel.")
    return RED_CELL_UM / float(np.median(np.concatenate(found)))


def _patches(picture: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Return a few pieces of a large picture, evenly spaced, and of a small one all of it."""
    places = []
    for length in picture.shape[:2]:
        count = min(-(-length // PATCH_PX), PATCHES_ACROSS)
        side = min(length, PATCH_PX)
        places.append([slice(start, start + side) for start in np.linspace(0, length - side, count).round().astype(int).tolist()])
    return [picture[down, across] for down in places[0] for across in places[1]]


def measure_red_cells(
    picture: NDArray[np.uint8], stain: Stain, fewest: int = FEWEST_CELLS, explained: float = LEAST_EXPLAINED
) -> RedCells | None:
    """Return the picture's red cells, None where they are fewer than that or make up less of what lies there."""
    density = stains.green_density(picture, stain.white).astype(np.float32)
    nuclei = (stains.nucleus_density(picture, stain.white) >= stain.nucleus).astype(np.float32)
    rungs = max(0, 1 + math.floor(math.log(max(LARGEST_SHARE * min(density.shape) / SMALLEST_PX, 0.5), LADDER)))
    found = [_of_size(density, nuclei, SMALLEST_PX * LADDER**rung, stain.matter) for rung in range(rungs)]
    found = [each for each in found if len(each) >= fewest]
    if not found:
        return None
    best = max(found, key=lambda each: each.explained)
    settled = _of_size(density, nuclei, best.diameter_px, stain.matter)  # once more, the size now being known
    return settled if len(settled) >= fewest and settled.explained >= explained else None


def _of_size(density: NDArray[np.float32], nuclei: NDArray[np.float32], size: float, matter: int) -> RedCells:
    """Return the red cells that are about `size` pixels wide."""
    factor = max(size / WORKING_PX, 1.0)
    px = size / factor
    density, nuclei = (_reduced(_middle(each, CELLS_WIDE * size), factor) for each in (density, nuclei))
    nucleus = cv2.dilate((nuclei >= 0.5).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    solid = _solid((density >= matter) & ~nucleus, PALLOR * px) & ~nucleus
    # A filled middle is cell, whatever its density, and a nucleus is no place where a red cell ends.
    density = np.where(nucleus, OUTSIDE, np.where(solid, np.maximum(density, matter), density)).astype(np.float32)
    radii = _radii(density, _middles(solid, px), px)
    area = int(solid.sum())
    return RedCells(2.0 * radii * factor, float((np.pi * radii**2).sum()) / area if area else 0.0)


def _middle(picture: NDArray[np.float32], side: float) -> NDArray[np.float32]:
    """Return the middle of a picture, as large as wanted or as it is."""
    height, width = picture.shape
    down, across = min(height, math.ceil(side)), min(width, math.ceil(side))
    top, left = (height - down) // 2, (width - across) // 2
    return picture[top : top + down, left : left + across]


def _reduced(picture: NDArray[np.float32], factor: float) -> NDArray[np.float32]:
    if factor == 1:
        return picture
    return np.asarray(cv2.resize(picture, None, fx=1 / factor, fy=1 / factor, interpolation=cv2.INTER_AREA), np.float32)


def _solid(matter: NDArray[np.bool_], pallor_px: float) -> NDArray[np.bool_]:
    """Close the holes that are as small as the pale middle of a red cell."""
    _, holes, stats, _ = cv2.connectedComponentsWithStats((~matter).astype(np.uint8), connectivity=4)
    pallor = stats[:, cv2.CC_STAT_AREA] <= np.pi / 4 * pallor_px**2
    pallor[0] = True  # no hole: matter
    filled: NDArray[np.bool_] = pallor[holes]
    return filled


def _middles(solid: NDArray[np.bool_], px: float) -> NDArray[np.float64]:
    """Return x and y of the places that lie deepest inside; a blot that the picture's edge cuts goes on beyond it."""
    rim = round(px)
    padded = np.pad(np.pad(solid, rim, mode="edge"), 1)
    # Not OpenCV's, which is faster and comes out different from call to call.
    depth = ndimage.distance_transform_edt(padded)[rim + 1 : -rim - 1, rim + 1 : -rim - 1].astype(np.float32)
    side = 2 * max(round(APART * px), 1) + 1
    deepest = (depth >= cv2.dilate(depth, np.ones((side, side), np.uint8))) & (depth >= LEAST_DEPTH * px)
    _, _, _, centres = cv2.connectedComponentsWithStats(deepest.astype(np.uint8), connectivity=8)
    return np.asarray(centres[1:], np.float64)


def _radii(density: NDArray[np.float32], middles: NDArray[np.float64], px: float) -> NDArray[np.float64]:
    """Follow rays from each middle to where glass begins; return the radii of what is a red cell.

    The edge lies where half of the cell's own density is left: blur moves it neither in nor out.
    """
    if not len(middles):
        return np.zeros(0)
    angle = np.arange(RAYS) * (2.0 * np.pi / RAYS)
    reach = np.linspace(NEAR, FAR, STEPS) * px / 2
    x = middles[:, 0, None, None] + reach * np.cos(angle)[:, None]
    y = middles[:, 1, None, None] + reach * np.sin(angle)[:, None]
    across, down = (each.reshape(-1, RAYS * STEPS).astype(np.float32) for each in (x, y))
    seen = cv2.remap(density, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=OUTSIDE).reshape(x.shape)
    rim = np.median(np.where(seen > OUTSIDE / 100, 0, seen).max(axis=2), axis=1)
    bare = seen < (EDGE * rim)[:, None, None]
    found = bare.any(axis=2) & ~bare[:, :, 0]
    edge = reach[bare.argmax(axis=2)] - 0.5 * (reach[1] - reach[0])
    count = np.maximum(found.sum(axis=1), 1)
    mean = (edge * found).sum(axis=1) / count
    uneven = np.sqrt((found * (edge - mean[:, None]) ** 2).sum(axis=1) / count)
    kept = (found.mean(axis=1) >= LEAST_BARE) & (uneven <= MOST_UNEVEN * mean) & (rim >= LEAST_DENSITY)
    radii: NDArray[np.float64] = np.sqrt((found * edge**2).sum(axis=1) / count)[kept]  # the disc of the same area
    return radii
