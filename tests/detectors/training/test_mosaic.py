"""Canvases to train on: boxes stay on their cells whatever is done to the pixels, and follow from their key alone."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from detectors.boxes import diameters
from detectors.training import read_labels
from detectors.training.labels import LabelledPicture
from detectors.training.looks import hue_shifted, restained, weathered
from detectors.training.mosaic import CellSizes, Mosaic, zoomed

SMALL, LARGE = CellSizes(14, 75, 320, 1.0), CellSizes(60, 300, 480, 1.0)


@pytest.fixture(scope="module")
def pictures(drawn_fields: Path) -> list[LabelledPicture]:
    return read_labels(drawn_fields)


def darkness(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return how much darker than the canvas' median each pixel is in green, which nuclei take most."""
    green = picture[..., 1].astype(np.float64)
    return np.asarray(np.median(green) - green, np.float64)


@pytest.mark.parametrize("sizes", [SMALL, LARGE])
def test_boxes_lie_on_cells_and_of_the_size_that_was_drawn(pictures: list[LabelledPicture], sizes: CellSizes) -> None:
    mosaic = Mosaic(pictures)
    inside, outside, across = [], [], []
    for number in range(40):
        canvas = mosaic.canvas(sizes, (0, number))
        assert canvas.picture.shape == (sizes.canvas_px, sizes.canvas_px, 3)
        assert canvas.picture.dtype == np.uint8
        assert (canvas.boxes >= 0).all() and (canvas.boxes <= sizes.canvas_px).all()
        dark, marked = darkness(canvas.picture), np.zeros(canvas.picture.shape[:2], bool)
        for left, top, right, bottom in canvas.boxes.round().astype(int):
            marked[top:bottom, left:right] = True
        inside.append(dark[marked].mean() if marked.any() else np.nan)
        outside.append(dark[~marked].mean() if not marked.all() else np.nan)
        across += diameters(canvas.boxes).tolist()
    seen = np.isfinite(inside) & np.isfinite(outside)
    assert seen.sum() > 20
    assert np.mean(np.array(inside)[seen] > np.array(outside)[seen] + 20) > 0.9, "what is in the boxes is darker than what is not"
    assert sizes.smallest * 0.5 < np.percentile(across, 10) and np.percentile(across, 95) < sizes.largest * 1.5


def test_a_canvas_follows_from_its_key_alone(pictures: list[LabelledPicture]) -> None:
    one, other = Mosaic(pictures), Mosaic(pictures[::-1])
    first = one.canvas(SMALL, (7, 1, 2))
    one.canvas(SMALL, (7, 1, 3))
    again = one.canvas(SMALL, (7, 1, 2))
    assert np.array_equal(first.picture, again.picture) and np.array_equal(first.boxes, again.boxes)
    assert not np.array_equal(first.picture, one.canvas(SMALL, (7, 1, 4)).picture)
    assert other.canvas(SMALL, (7, 1, 2)).picture.shape == first.picture.shape


def test_turning_keeps_boxes_on_their_cells() -> None:
    from detectors.training.mosaic import _turned

    patch = np.full((30, 50, 3), 255, np.uint8)
    patch[5:15, 30:45] = 0
    box = np.array([[30.0, 5.0, 45.0, 15.0]])
    seen = set()
    for turn in range(8):
        turned, boxes = _turned(patch, box, turn)
        left, top, right, bottom = boxes[0].astype(int)
        assert (turned[top:bottom, left:right] == 0).all()
        assert (turned == 0).sum() == (patch == 0).sum()
        seen.add((turned.shape, *boxes[0].tolist()))
    assert len(seen) == 8


def test_zooming_takes_the_part_that_was_asked_for(pictures: list[LabelledPicture]) -> None:
    from detectors.training.labels import PictureStore

    pyramid = PictureStore().pyramid(pictures[0])
    window = (20, 40, 100, 120)
    expected = cv2.resize(pyramid[0][40:120, 20:100], (16, 16), interpolation=cv2.INTER_AREA)
    found = zoomed(pyramid, window, 0.2)
    assert found.shape == (16, 16, 3)
    assert np.abs(found.astype(int) - expected.astype(int)).mean() < 4
    assert zoomed(pyramid, window, 2.0).shape == (160, 160, 3)


def test_stain_changes_but_grey_stays_grey_and_white_light() -> None:
    rng = np.random.default_rng(0)
    grey = np.repeat(np.linspace(20, 250, 64, dtype=np.uint8)[None, :, None], 3, axis=2)
    for _ in range(5):
        assert np.ptp(hue_shifted(grey, rng).astype(int), axis=2).max() <= 1
    purple = np.full((8, 8, 3), (120, 70, 150), np.uint8)
    shades = {tuple(restained(purple, rng)[0, 0].tolist()) for _ in range(20)}
    assert len(shades) == 20
    assert restained(np.full((8, 8, 3), 255, np.uint8), rng).min() > 180


def test_weather_keeps_shape_and_depends_on_the_stream_alone() -> None:
    picture = np.random.default_rng(1).integers(0, 256, (96, 96, 3), np.uint8)
    for seed in range(20):
        first, second = (weathered(picture, np.random.default_rng(seed)) for _ in range(2))
        assert first.shape == picture.shape and first.dtype == np.uint8
        assert np.array_equal(first, second)
