"""Nucleus colour: how much nuclear stain a pixel holds, on the scale of its own slide.

Pictures are turned into optical density against the slide's own white and unmixed with one fixed row. Romanowsky
stains of different laboratories agree in one thing: nuclei take green light far more than blue light, while red cells
take both about alike. The row adds up to zero, so grey (shade, uneven light, dirt on the lens) leaves nothing.

All per-pixel arithmetic is in whole milli-densities (density times 1000): sums of whole numbers come out the same
whatever the order, so that a pixel has the same value in every piece of a slide that holds it.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from detectors.boxes import as_boxes

UNMIXING = (0.4, 1.0, -1.4)  # red, green, blue; see the module's text
MOST_RED_CELL = 650  # nucleus density; in 1,200 fields of three laboratories red cells have -130 to 560
WHITE_PERCENTILE = 97  # the brightest few percent hold highlights on red cells and hot pixels
PALEST_RED_CELL, DARKEST_RED_CELL = 120, 255  # green densities; a darker one is cut, a paler one cannot be told from shade
MOST_MATTER = 300  # green density that is no glass on any slide


@dataclass(frozen=True)
class Stain:
    """What one slide's colours look like; learned once a slide, never per tile."""

    white: tuple[int, int, int]  # RGB of bare glass
    red_cell: int  # nucleus density of red cells, which is not quite nothing
    nucleus: int  # nucleus density from which a pixel counts as nucleus
    matter: int  # green density from which a pixel is no longer glass

    @property
    def cytoplasm(self) -> int:
        """Nucleus density from which a pixel beside a nucleus counts to the same cell: half way down to red cells."""
        return (self.red_cell + self.nucleus) // 2


def density_tables(white: tuple[int, int, int]) -> NDArray[np.float64]:
    """Return (3, 256): optical density of every value of every channel; one is added so that black has a density too."""
    values = np.arange(256, dtype=np.float64)
    return np.stack([np.log((channel + 1.0) / (values + 1.0)) for channel in white])


def nucleus_density(picture: NDArray[np.uint8], white: tuple[int, int, int]) -> NDArray[np.int16]:
    """Return how much nuclear stain each pixel holds, in milli-densities; about 0 on glass, up to 300 on red cells."""
    tables = np.rint(1000.0 * np.array(UNMIXING)[:, None] * density_tables(white)).astype(np.int16)
    total: NDArray[np.int16] = tables[0][picture[..., 0]]
    for channel in (1, 2):
        total += tables[channel][picture[..., channel]]
    return total


def green_density(picture: NDArray[np.uint8], white: tuple[int, int, int]) -> NDArray[np.int16]:
    """Return how much green light each pixel takes, in milli-densities: all cells do, glass does not."""
    table = np.rint(1000.0 * density_tables(white)[1]).astype(np.int16)
    taken: NDArray[np.int16] = table[picture[..., 1]]
    return taken


def learn(picture: NDArray[np.uint8]) -> Stain:
    """Learn a slide's stain from a picture of it in which a red cell is at least a pixel or two wide."""
    white = _white(picture)
    green = green_density(picture, white)
    matter = _matter_threshold(green)
    purple = nucleus_density(picture, white)[green >= matter]
    # Nuclei share the upper end with platelets; below the middle it is red cells, even in a crowded leukaemic field.
    red_cell = int(np.percentile(purple, 40)) if purple.size else 0
    if red_cell > MOST_RED_CELL:
        red_cell = 0  # these are nuclei: there are no red cells to tell them from
    nucleus = 220 + round(1.8 * max(red_cell, 0))
    found = purple[purple >= nucleus]
    if found.size:
        # The upper end of what was found: on a coarse picture most nuclear pixels are diluted by what lies beside the nucleus.
        nucleus = max(nucleus, red_cell + round(0.36 * (float(np.percentile(found, 85)) - red_cell)))
    return Stain(white, red_cell, nucleus, matter)


def _white(picture: NDArray[np.uint8]) -> tuple[int, int, int]:
    """Return the colour of bare glass; pure white is where a scanner saw nothing, unless there is hardly anything else."""
    seen = picture[(picture != 255).any(axis=2)]
    if len(seen) * 100 < picture.shape[0] * picture.shape[1]:
        return (255, 255, 255)
    red, green, blue = (int(np.percentile(seen[:, channel], WHITE_PERCENTILE)) for channel in range(3))
    return (red, green, blue)


def _matter_threshold(green: NDArray[np.int16]) -> int:
    """Separate cells from glass by Otsu's rule; nuclei are cut to twice the height of red cells, or they would pull it up.

    The height is the slide's own: beside pale red cells even a few nuclei, cut to a height that suits dark ones, weigh so
    much that the rule puts the red cells with the glass. It is first looked up with all cut to what the palest ones reach.
    """
    first = green[green >= _otsu(green, 2 * PALEST_RED_CELL)]
    height = float(np.median(first)) if first.size else 0.0  # most of what is no glass is red cells
    most = round(2 * min(max(height, PALEST_RED_CELL), DARKEST_RED_CELL))
    return min(_otsu(green, most), MOST_MATTER)


def _otsu(green: NDArray[np.int16], most: int) -> int:
    """Return the density that parts what is cut to `most` best in two; less than half of the palest red cell is glass."""
    cut = np.clip(green, 0, most) // 2
    threshold, _ = cv2.threshold(cut.astype(np.uint8), 0, 255, cv2.THRESH_OTSU)
    return max(2 * int(threshold), PALEST_RED_CELL // 2)


def nucleus_share(picture: NDArray[np.uint8], boxes: NDArray[np.float32], stain: Stain) -> NDArray[np.float64]:
    """Return which share of each box's pixels has nucleus colour; boxes are cut to the picture, an empty one has 0."""
    marked = (nucleus_density(picture, stain.white) >= stain.nucleus).astype(np.uint8)
    totals = cv2.integral(marked)  # int32: whole numbers, the same in whatever picture a box lies
    height, width = marked.shape
    edges = np.rint(as_boxes(boxes)).astype(np.int64)
    left, right = (np.clip(edges[:, side], 0, width) for side in (0, 2))
    top, bottom = (np.clip(edges[:, side], 0, height) for side in (1, 3))
    inside = totals[bottom, right] - totals[top, right] - totals[bottom, left] + totals[top, left]
    whole = (right - left) * (bottom - top)
    share: NDArray[np.float64] = np.divide(inside, whole, out=np.zeros(len(edges)), where=whole > 0)
    return share
