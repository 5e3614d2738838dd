"""Canvases to train on: patches of labelled pictures, brought to a drawn cell size and laid side by side until the canvas is full.

Fields of public sets were taken through an oil objective, each with one or two large white cells. A slide at the scale that a
run uses shows the same cells as small discs, dozens in one look. So each canvas draws how wide its cells are, shrinks or enlarges
every patch to that, and holds as many of them as then fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, exp, log

import cv2
import numpy as np
from numpy.typing import NDArray

from detectors.boxes import Boxes, areas, clip
from detectors.training.labels import LabelledPicture, Picture, PictureStore, usual_diameters
from detectors.training.looks import restained, weathered

SMALLEST_CELL_PX, LARGEST_CELL_PX = 15.0, 300.0
LEAST_SEEN = 0.3  # of a cell's box; less of it at the edge of a patch is not asked for
LEAST_SIDE_PX = 4.0
WITHOUT_CELLS = 0.3  # share of patches cut from beside the white cells
ONE_STAIN = 0.5  # share of canvases whose patches come from one source, as on a slide
EMPTY = 0.05  # share of patches that stay bare, as beyond the slide's edge
JITTER = 0.18  # of the logarithm of a patch's zoom: cells of one slide are not alike
WHITE = 255


@dataclass(frozen=True)
class CellSizes:
    """How wide the cells of a batch's canvases are, in pixels of the canvas, and how large those are."""

    smallest: float
    largest: float
    canvas_px: int
    share: float  # of the batches
    batch: float = 1.0  # canvases, as a share of the settings' batch


@dataclass(frozen=True)
class Canvas:
    """One picture to train on."""

    picture: Picture
    boxes: Boxes


class Mosaic:
    """Draws canvases from labelled pictures; the same `key` gives the same canvas, whatever was drawn before."""

    def __init__(self, pictures: Sequence[LabelledPicture], store: PictureStore | None = None) -> None:
        self._store = store or PictureStore()
        self._usual = usual_diameters(pictures)
        self._by_source: dict[str, list[LabelledPicture]] = {}
        for picture in pictures:
            self._by_source.setdefault(picture.source, []).append(picture)
        self._sources = sorted(self._by_source)

    def canvas(self, sizes: CellSizes, key: Sequence[int]) -> Canvas:
        """Return a canvas; `key` is the seed and what counts canvases."""
        rng = np.random.default_rng(list(key))
        # A cell that is seen whole needs room: larger ones than two thirds of the canvas would always be cut.
        largest = min(sizes.largest, sizes.canvas_px / 1.1)
        diameter = exp(rng.uniform(log(sizes.smallest), log(largest)))
        source = self._source(rng) if rng.random() < ONE_STAIN else None
        picture = np.full((sizes.canvas_px, sizes.canvas_px, 3), WHITE, np.uint8)
        boxes: list[Boxes] = []
        # Rows of patches, begun a little outside, so that the canvas cuts them anywhere.
        top = -int(rng.integers(0, max(2, round(diameter))))
        while top < sizes.canvas_px:
            left = -int(rng.integers(0, max(2, round(diameter))))
            row: list[tuple[Picture, Boxes]] = []
            while left + sum(patch.shape[1] for patch, _ in row) < sizes.canvas_px:
                row.append(self._patch(rng, source, diameter, sizes.canvas_px))
            height = _row_height(row)
            for patch, inside in row:
                even, kept = _of_height(patch, inside, height, rng)
                boxes.append(_lay(picture, even, kept, left, top))
                left += patch.shape[1]
            top += height
        found = np.concatenate(boxes)
        return Canvas(weathered(picture, rng), found[(found[:, 2:] - found[:, :2] >= LEAST_SIDE_PX).all(axis=1)])

    def _source(self, rng: np.random.Generator) -> str:
        return self._sources[int(rng.integers(len(self._sources)))]

    def _patch(self, rng: np.random.Generator, source: str | None, diameter: float, most_px: int) -> tuple[Picture, Boxes]:
        """Return a patch and its cells, turned, mirrored, stained anew, at the size that makes cells `diameter` wide."""
        source = source or self._source(rng)
        labelled = self._by_source[source][int(rng.integers(len(self._by_source[source])))]
        zoom = diameter / self._usual[source] * exp(rng.normal(0.0, JITTER))
        window = _window(labelled, rng, ceil(1.5 * most_px / zoom))
        patch = zoomed(self._store.pyramid(labelled), window, zoom)
        if rng.random() < EMPTY:
            return np.full_like(patch, WHITE), np.zeros((0, 4))
        left, top, right, bottom = window
        scale = np.array([patch.shape[1] / (right - left), patch.shape[0] / (bottom - top)] * 2)
        boxes = (labelled.cells - np.array([left, top, left, top])) * scale
        patch, boxes = _turned(patch, _seen(boxes, patch.shape[1], patch.shape[0]), int(rng.integers(8)))
        return restained(patch, rng), boxes


def _window(labelled: LabelledPicture, rng: np.random.Generator, most_px: int) -> tuple[int, int, int, int]:
    """Return the part of a picture to take: all, at most `most_px` of it, or a part beside its white cells."""
    width, height = labelled.width, labelled.height
    if rng.random() < WITHOUT_CELLS and len(labelled.cells):
        left, top = np.floor(labelled.cells[:, :2].min(axis=0)).astype(int)
        right, bottom = np.ceil(labelled.cells[:, 2:].max(axis=0)).astype(int)
        beside = [(0, 0, int(left), height), (int(right), 0, width, height), (0, 0, width, int(top)), (0, int(bottom), width, height)]
        roomy = [part for part in beside if min(part[2] - part[0], part[3] - part[1]) >= 0.25 * min(width, height)]
        if roomy:
            return roomy[int(rng.integers(len(roomy)))]
    across, down = min(width, most_px), min(height, most_px)
    if len(labelled.cells) and rng.random() < 0.8:  # keep one cell in it, anywhere
        left, top, right, bottom = labelled.cells[int(rng.integers(len(labelled.cells)))]
        x, y = (_start(rng, a, b, span, whole) for a, b, span, whole in ((left, right, across, width), (top, bottom, down, height)))
    else:
        x, y = int(rng.integers(width - across + 1)), int(rng.integers(height - down + 1))
    return x, y, x + across, y + down


def _start(rng: np.random.Generator, low: float, high: float, span: int, whole: int) -> int:
    """Return where a span may begin so that it lies inside the picture and, if it is long enough, holds low..high."""
    first, last = max(0, ceil(high) - span), min(whole - span, int(low))
    if first > last:  # the cell is wider than the span: somewhere on it
        first, last = sorted((min(max(0, int(low)), whole - span), min(max(0, ceil(high) - span), whole - span)))
    return int(rng.integers(first, last + 1))


def zoomed(pyramid: Sequence[Picture], window: tuple[int, int, int, int], zoom: float) -> Picture:
    """Return a part of a picture `zoom` times as large, from the nearest of its halves that is larger."""
    level = min(len(pyramid) - 1, max(0, int(-np.log2(zoom)))) if zoom < 1 else 0
    full, picture = pyramid[0], pyramid[level]
    across, down = picture.shape[1] / full.shape[1], picture.shape[0] / full.shape[0]
    left, top, right, bottom = window
    y, x = int(top * down), int(left * across)
    part = picture[y : max(y + 1, round(bottom * down)), x : max(x + 1, round(right * across))]
    size = (max(2, round((right - left) * zoom)), max(2, round((bottom - top) * zoom)))
    shrinks = size[0] < part.shape[1]
    return np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR), np.uint8)


def _turned(patch: Picture, boxes: Boxes, turn: int) -> tuple[Picture, Boxes]:
    """Return patch and boxes after `turn` of the eight ways to lay a square."""
    for _ in range(turn % 4):  # a quarter turn to the left: x, y -> y, width - x
        width = patch.shape[1]
        patch = np.rot90(patch)
        boxes = np.column_stack([boxes[:, 1], width - boxes[:, 2], boxes[:, 3], width - boxes[:, 0]])
    if turn >= 4:
        width = patch.shape[1]
        patch = patch[:, ::-1]
        boxes = np.column_stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]])
    return np.ascontiguousarray(patch), boxes


def _row_height(row: Sequence[tuple[Picture, Boxes]]) -> int:
    """Return the height that a row's patches can all have: the least of those with cells, which must not be mirrored."""
    with_cells = [patch.shape[0] for patch, boxes in row if len(boxes)]
    return int(min(with_cells) if with_cells else max(patch.shape[0] for patch, _ in row))


def _of_height(patch: Picture, boxes: Boxes, height: int, rng: np.random.Generator) -> tuple[Picture, Boxes]:
    """Cut a patch to a row's height anywhere, or mirror one without cells at its lower edge until it is as high."""
    more = height - patch.shape[0]
    if more > 0:
        return np.asarray(np.pad(patch, ((0, more), (0, 0), (0, 0)), mode="symmetric"), np.uint8), boxes
    top = int(rng.integers(-more + 1))
    return patch[top : top + height], _seen(boxes - np.array([0, top, 0, top]), patch.shape[1], height)


def _seen(boxes: Boxes, width: int, height: int) -> Boxes:
    """Return the boxes cut to a picture, without those of which hardly anything is left."""
    cut = clip(boxes, width, height)
    kept: NDArray[np.bool_] = areas(cut) >= LEAST_SEEN * np.maximum(areas(boxes), 1e-9)
    return cut[kept & (areas(cut) > 0)]


def _lay(canvas: Picture, patch: Picture, boxes: Boxes, left: int, top: int) -> Boxes:
    """Paint a patch where the canvas has room, and return its cells on the canvas."""
    side = len(canvas)
    x, y = max(0, left), max(0, top)
    right, bottom = min(side, left + patch.shape[1]), min(side, top + patch.shape[0])
    if right <= x or bottom <= y:
        return np.zeros((0, 4))
    canvas[y:bottom, x:right] = patch[y - top : bottom - top, x - left : right - left]
    return _seen(boxes + np.array([left, top, left, top]), side, side)
