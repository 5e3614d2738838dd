"""Which parts of a slide are worth a closer look, judged on a coarse picture of all of it.

The slide is laid out in squares of about 20 um. A square is left out as

    glass        next to nothing lies there
    thick        red cells lie in layers without a gap: no cell can be told from the next
    no_nucleus   less nuclear stain than a small nucleus has, within 1.5 cell diameters
    blurred      no nucleus either, and what lies there has lost the contrast that the rest of the slide shows

and kept otherwise. All four lean towards keeping: a square needlessly kept costs a moment, a cell lost is lost. The
coarse picture shows gross blur only; a nucleus that is soft by a micrometre looks the same at 4 um a pixel.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from detectors import stain as stains
from detectors.boxes import centres
from detectors.stain import Stain
from smearscan.results import Area, Box, Picture

COARSEST_UM = 4.0  # a pixel may not be larger: the nucleus of a small lymphocyte, 6 um, is then still seen by one of them
WITHOUT_SCALE_PX = 25_000_000  # a slide without a scale is judged on at most so many pixels, a field of view on all it has
SQUARE_UM = 20.0
FIELD_UM = 150.0  # a picture no larger is not judged
SQUARE_PX = 64.0  # where there is no scale, of level 0
AROUND_NUCLEUS_UM = 37.5  # 1.5 of the largest cells
AROUND_NUCLEUS_PX = 400.0
NEIGHBOURHOOD = 5  # squares a side: thickness and focus are a matter of a tenth of a millimetre
REASONS = ("", "glass", "thick", "blurred", "no_nucleus")
KEPT, GLASS, THICK, BLURRED, NO_NUCLEUS = range(5)

GLASS_SHARE = 0.01  # of a square's pixels that hold matter
# Nuclear stain within 12 um of a place, as that of so many um2 of nucleus: drawn cells have 60 and more, platelets 5 to 15.
# A sum over an area, because at the coarsest a small nucleus fills no pixel and how it falls on the pixels is chance.
EVIDENCE_UM2 = 16.0
EVIDENCE_PX = 5.0  # the same, of 9, where there is no scale
WITHIN_UM = 12.0
NOISE = 0.25  # of the way from red cells to nuclei: what red cells reach by themselves
GAPS = (0.2, 0.9)  # share of matter between which cells and gaps are both seen, so that focus can be judged
THICK_SHARE = 0.9  # hardly a gap,
THICK_LAYERS = 1.6  # and so many times as dense as red cells lying side by side
BLURRED_CONTRAST = 0.3  # of the contrast that the slide's own squares have in the median
JUDGED_SQUARES = 30  # fewer squares with cells and gaps are no ground to call others thick or blurred

Table = NDArray[np.float32]


@dataclass(frozen=True)
class Gate:
    """What is worth a look on one slide, or on a part of it: a table of squares."""

    reasons: NDArray[np.uint8]  # (rows, columns), indices of REASONS
    square: float  # level-0 pixels a side
    width: int  # of the slide, level-0 pixels
    height: int
    mpp: float | None  # of level 0
    first_column: int = 0  # where the table begins, when it was cut
    first_row: int = 0

    @property
    def kept(self) -> NDArray[np.bool_]:
        kept: NDArray[np.bool_] = self.reasons == KEPT
        return kept

    def keeps(self, boxes: ArrayLike) -> NDArray[np.bool_]:
        """Say which boxes (slide pixels) have their centre in a square that is kept."""
        middle = centres(boxes)
        column = self._index(middle[:, 0], self.first_column, 1)
        row = self._index(middle[:, 1], self.first_row, 0)
        kept: NDArray[np.bool_] = self.reasons[row, column] == KEPT
        return kept

    def tile_reason(self, box: Box) -> str | None:
        """Return None where any square of a box is kept, else the commonest reason for leaving it out."""
        reasons = self.cut(box).reasons
        if (reasons == KEPT).any():
            return None
        return REASONS[int(np.bincount(reasons.ravel(), minlength=len(REASONS)).argmax())]

    def keeping(self, boxes: Iterable[Box]) -> Gate:
        """Return a gate that keeps what boxes touch as well: where the coarse picture cannot be read, it judges nothing."""
        reasons = self.reasons.copy()
        for left, top, right, bottom in boxes:
            columns = self._index(np.array([left, right - 1.0]), self.first_column, 1)
            rows = self._index(np.array([top, bottom - 1.0]), self.first_row, 0)
            reasons[rows[0] : rows[1] + 1, columns[0] : columns[1] + 1] = KEPT
        return replace(self, reasons=reasons)

    def kept_px(self, box: Box) -> float:
        """Return how many level-0 pixels of a box lie in squares that are kept."""
        part = self.cut(box)
        down = _shares(box[1], box[3], self.square, part.first_row, part.reasons.shape[0])
        across = _shares(box[0], box[2], self.square, part.first_column, part.reasons.shape[1])
        return float(down @ part.kept @ across)

    def cut(self, box: Box) -> Gate:
        """Return the part that a box touches, to be sent with a tile."""
        columns = self._index(np.array([box[0], box[2] - 1.0]), self.first_column, 1)
        rows = self._index(np.array([box[1], box[3] - 1.0]), self.first_row, 0)
        part = self.reasons[rows[0] : rows[1] + 1, columns[0] : columns[1] + 1].copy()
        return replace(self, reasons=part, first_column=self.first_column + int(columns[0]), first_row=self.first_row + int(rows[0]))

    def area(self, tiles: int = 0, tiles_by_reason: Mapping[str, int] | None = None, unreadable_fraction: float = 0.0) -> Area:
        """Say how much is kept and how much is left out for which reason; squares at the slide's edge count with what they hold."""
        unit = 1.0 if self.mpp is None else self.mpp**2 / 1e6
        sides = [
            np.diff(np.minimum(np.arange(first, first + count + 1) * self.square, end))
            for first, count, end in (
                (self.first_row, self.reasons.shape[0], self.height),
                (self.first_column, self.reasons.shape[1], self.width),
            )
        ]
        # The last square reaches to the slide's end, whatever rounding made of the coarse level's size.
        sides[0][-1] += max(0.0, self.height - (self.first_row + self.reasons.shape[0]) * self.square)
        sides[1][-1] += max(0.0, self.width - (self.first_column + self.reasons.shape[1]) * self.square)
        held = np.bincount(self.reasons.ravel(), weights=np.outer(*sides).ravel(), minlength=len(REASONS)) * unit
        return Area(
            unit="px" if self.mpp is None else "mm2",
            total=float(held.sum()),
            scanned=float(held[KEPT]),
            by_reason={reason: float(held[code]) for code, reason in enumerate(REASONS) if code != KEPT and held[code] > 0},
            tiles=tiles,
            tiles_by_reason=dict(tiles_by_reason or {}),
            unreadable_fraction=unreadable_fraction,
        )

    def _index(self, places: NDArray[np.float64], first: int, axis: int) -> NDArray[np.intp]:
        index = np.floor(places / self.square).astype(np.intp) - first
        return np.clip(index, 0, self.reasons.shape[axis] - 1)


def _shares(begin: int, end: int, square: float, first: int, count: int) -> NDArray[np.float64]:
    """Return how much of a stretch lies in each of some squares; the last one takes what lies beyond it."""
    edges = np.clip((first + np.arange(count + 1)) * square, begin, end)
    edges[0], edges[-1] = begin, end
    return np.diff(edges)


def coarsest_downsample(width: int, height: int, mpp: float | None) -> float:
    """Return how many level-0 pixels a pixel of the coarse picture may span at most; a field is small enough to be seen whole."""
    if mpp is not None and not is_field(width, height, mpp):
        return max(1.0, COARSEST_UM / mpp)
    return max(1.0, math.sqrt(width * height / WITHOUT_SCALE_PX))


def is_field(width: int, height: int, mpp: float | None) -> bool:
    """Tell a single field of a microscope's camera, of whose few squares none need be typical; somebody chose it to be read."""
    return mpp is not None and max(width, height) * mpp <= FIELD_UM


def open_gate(width: int, height: int, mpp: float | None = None) -> Gate:
    """Return a gate that keeps everything."""
    return Gate(np.zeros((1, 1), np.uint8), float(max(width, height)), width, height, mpp)


def judge(coarse: Picture, coarse_mpp: float | None, downsample: float, size: tuple[int, int] | None = None) -> Gate:
    """Judge a slide on a picture of all of it, in which a pixel is `downsample` level-0 pixels wide.

    `size` is the slide's width and height, where it is known better than by the picture's.
    """
    mpp = None if coarse_mpp is None else coarse_mpp / downsample
    block = max(1, int(SQUARE_PX / downsample if coarse_mpp is None else SQUARE_UM / coarse_mpp))
    around = AROUND_NUCLEUS_PX / downsample if coarse_mpp is None else AROUND_NUCLEUS_UM / coarse_mpp
    stain = stains.learn(coarse)
    seen = _near_nuclei(coarse, stain, coarse_mpp, block, int(np.ceil(around / block)))
    width, height = size or (round(coarse.shape[1] * downsample), round(coarse.shape[0] * downsample))
    return Gate(_reasons(coarse, stain, block, seen), block * downsample, width, height, mpp)


def _near_nuclei(coarse: Picture, stain: Stain, coarse_mpp: float | None, block: int, around: int) -> NDArray[np.bool_]:
    """Mark the squares that hold nuclear stain enough for a small nucleus, and those `around` them."""
    full = stain.nucleus - stain.red_cell
    purple = stains.nucleus_density(coarse, stain.white)
    # Whole numbers, cut at three times the threshold so that a speck of dye does not weigh like a cell.
    beyond = np.clip(purple - (stain.red_cell + round(NOISE * full)), 0, 3 * full).astype(np.float32)
    side = 3 if coarse_mpp is None else max(3, round(WITHIN_UM / coarse_mpp) | 1)
    least = EVIDENCE_PX if coarse_mpp is None else EVIDENCE_UM2 / coarse_mpp**2
    enough = np.asarray(cv2.boxFilter(beyond, cv2.CV_64F, (side, side), normalize=False, borderType=cv2.BORDER_CONSTANT)) >= least * full
    held = (_means(enough, block) > 0).astype(np.uint8)
    near: NDArray[np.bool_] = cv2.dilate(held, np.ones((2 * around + 1, 2 * around + 1), np.uint8)) > 0
    return near


def _reasons(coarse: Picture, stain: Stain, block: int, near_nuclei: NDArray[np.bool_]) -> NDArray[np.uint8]:
    green = stains.green_density(coarse, stain.white)
    matter = green >= stain.matter
    red_cells = matter & (stains.nucleus_density(coarse, stain.white) < stain.cytoplasm)
    share = _means(matter, block)
    reasons = np.where(share < GLASS_SHARE, GLASS, NO_NUCLEUS).astype(np.uint8)
    around = _local(share)
    gaps = (around > GAPS[0]) & (around < GAPS[1])
    judged = int(gaps.sum()) >= JUDGED_SQUARES
    density = _density(green, red_cells, block)
    layer = float(np.median(density[gaps])) if judged else 0.0  # of red cells that lie side by side
    if layer > 0:
        reasons[_blurred(green, block, gaps, layer)] = BLURRED
    # At this resolution the focus of a single nucleus cannot be judged, so whatever looks like one is looked at.
    reasons[near_nuclei] = KEPT
    if layer > 0:
        reasons[(density >= THICK_LAYERS * layer) & (around >= THICK_SHARE)] = THICK
    return reasons


def _density(green: NDArray[np.int16], red_cells: NDArray[np.bool_], block: int) -> Table:
    """Return the mean green density of what red cells lie around each square; nuclei are left out."""
    held = _local(_means(red_cells, block))
    return np.divide(_local(_means(green * red_cells, block)), held, out=np.zeros_like(held), where=held > 0)


def _blurred(green: NDArray[np.int16], block: int, gaps: NDArray[np.bool_], layer: float) -> NDArray[np.bool_]:
    """Compare steps from pixel to pixel with those of the slide's other squares that hold as many cells and gaps.

    How much lies there is taken from the mean density, which blur leaves as it is, while it fills the gaps.
    """
    steps = np.zeros(green.shape, np.int16)
    steps[:, 1:] += np.abs(np.diff(green, axis=1))
    steps[1:] += np.abs(np.diff(green, axis=0))
    held = _means(green, block) / layer
    cover = _local(held)
    seen = (cover > GAPS[0]) & (cover < GAPS[1]) & (held > GAPS[0] / 2)
    contrast = _local(_means(steps, block)) / np.maximum(cover * (1 - cover), 0.05)
    blurred: NDArray[np.bool_] = seen & (contrast < BLURRED_CONTRAST * float(np.median(contrast[gaps])))
    return blurred


def _means(values: NDArray[np.bool_] | NDArray[np.int16], block: int) -> Table:
    """Return the mean over each square; the last ones are filled up with their last pixels."""
    height, width = values.shape
    filled = np.pad(values, ((0, -height % block), (0, -width % block)), mode="edge")
    rows, columns = filled.shape[0] // block, filled.shape[1] // block
    sums = filled.reshape(rows, block, columns, block).sum(axis=(1, 3), dtype=np.int64)
    return np.asarray(sums / (block * block), np.float32)


def _local(table: Table) -> Table:
    return np.asarray(cv2.blur(table, (NEIGHBOURHOOD, NEIGHBOURHOOD), borderType=cv2.BORDER_REFLECT), np.float32)
