"""Boxes become crops at the classifier's resolution.

A crop is a square of whole level-0 pixels around the centre of a box, brought to the card's size. Where
it lies and how it is resampled depend on the box, the card and the slide's scale alone, never on the
picture it is cut from: the same cell cut from two overlapping tiles is the same, bit for bit.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from classifiers.card import ModelCard, StainReference
from detectors.stain import density_tables
from smearscan.errors import MissingResolution
from smearscan.results import Picture, Staining

WHITE = 255
MOST_CHANGE = 3.0  # of a density; what asks for more is no nucleus, or no blood smear


def sides(boxes: ArrayLike, card: ModelCard, mpp: float | None = None) -> NDArray[np.int64]:
    """Return the side of each box's crop in level-0 pixels."""
    corners = np.asarray(boxes, np.float64).reshape(-1, 4)
    if card.crop_diameters is not None:
        diameters = np.maximum(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1])
        return np.maximum(1, _round(diameters * card.crop_diameters))
    return np.full(len(corners), _fixed_side(card, mpp), np.int64)


def margin(card: ModelCard, mpp: float | None = None, largest_diameter: float | None = None) -> int:
    """Return how many level-0 pixels a crop reaches beyond the centre of its box.

    Only a card that measures in diameters asks for `largest_diameter`, in level-0 pixels.
    """
    if card.crop_diameters is None:
        side = _fixed_side(card, mpp)
    elif largest_diameter is None:
        raise ValueError(f"How far a crop of {card.name!r} reaches depends on the cells: give largest_diameter.")
    else:
        side = math.ceil(largest_diameter * card.crop_diameters)
    return side // 2 + 1


def squares(boxes: ArrayLike, card: ModelCard, mpp: float | None = None, whole_box: bool = False) -> NDArray[np.int64]:
    """Return the crops' squares, (n, 4) in level-0 pixels; with `whole_box` the boxes themselves, as window mode wants it."""
    corners = np.asarray(boxes, np.float64).reshape(-1, 4)
    if whole_box:
        return _round(corners)
    side = sides(corners, card, mpp)
    left = _round((corners[:, 0] + corners[:, 2] - side) / 2)
    top = _round((corners[:, 1] + corners[:, 3] - side) / 2)
    return np.stack([left, top, left + side, top + side], axis=1)


def cut(
    picture: Picture,
    left_top: tuple[int, int],
    boxes: ArrayLike,
    card: ModelCard,
    *,
    slide_size: tuple[int, int],
    mpp: float | None = None,
    whole_box: bool = False,
) -> NDArray[np.uint8]:
    """Return (n, crop_px, crop_px, 3) crops of `boxes`, which are in slide pixels like `left_top`, the picture's corner.

    Beyond the slide, whose width and height are `slide_size`, crops are white. A crop that reaches
    beyond the picture but not beyond the slide is a fault of the caller: read with `margin`.
    """
    places = squares(boxes, card, mpp, whole_box)
    crops = np.empty((len(places), card.crop_px, card.crop_px, 3), np.uint8)
    _check_covered(picture, left_top, places, slide_size)
    for place, crop in zip((places - np.tile(left_top, 2)).tolist(), crops, strict=True):
        _resize(_square(picture, *place), crop)
    return crops


def in_known_stain(crops: NDArray[np.uint8], card: ModelCard, staining: Staining | None) -> NDArray[np.uint8]:
    """Return crops of a slide of this staining in the one that the card knows; as they are where it knows none, or nothing is known."""
    if card.stain is None or staining is None or not len(crops):
        return crops
    table = colour_table(staining, card.stain)
    return np.stack([np.asarray(cv2.LUT(crop, table), np.uint8) for crop in crops])


def colour_table(staining: Staining, reference: StainReference) -> NDArray[np.uint8]:
    """Return (1, 256, 3), for cv2.LUT: what each value of each colour becomes, so that glass and a typical nucleus are the reference's."""
    gains = np.clip(np.array(reference.nucleus) / np.maximum(staining.nucleus, 1e-3), 1 / MOST_CHANGE, MOST_CHANGE)
    densities = density_tables(staining.glass)
    light = (np.array(reference.glass)[:, None] + 1.0) * np.exp(-gains[:, None] * densities) - 1.0
    return np.ascontiguousarray(np.clip(np.rint(light), 0, 255).astype(np.uint8).T[None])


def _fixed_side(card: ModelCard, mpp: float | None) -> int:
    if card.crop_um is None:
        return card.crop_px
    if mpp is None:
        raise MissingResolution(
            f"The classifier {card.name!r} looks at {card.crop_um:g} um around a cell, "
            "and nothing says how large a pixel is. Give it with --mpp."
        )
    return max(1, int(_round(np.float64(card.crop_um / mpp))))


def _round(values: NDArray[np.float64] | np.float64) -> NDArray[np.int64]:
    """Round halves up: numpy rounds them to the even number, which would move a crop by where it lies."""
    return np.floor(np.asarray(values) + 0.5).astype(np.int64)


def _square(picture: Picture, left: int, top: int, right: int, bottom: int) -> Picture:
    height, width = picture.shape[:2]
    if left >= 0 and top >= 0 and right <= width and bottom <= height:
        return picture[top:bottom, left:right]
    square = np.full((bottom - top, right - left, 3), WHITE, np.uint8)
    inside = picture[max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    square[max(-top, 0) :, max(-left, 0) :][: inside.shape[0], : inside.shape[1]] = inside
    return square


def _resize(square: Picture, crop: Picture) -> None:
    """Fill `crop`: by area where it is smaller, so that fine chromatin does not alias, cubic where larger."""
    side = crop.shape[0]
    if square.shape[:2] == (side, side):
        crop[:] = square
        return
    method = cv2.INTER_AREA if side <= min(square.shape[:2]) else cv2.INTER_CUBIC
    cv2.resize(square, (side, side), dst=crop, interpolation=method)


def _check_covered(picture: Picture, left_top: tuple[int, int], places: NDArray[np.int64], slide_size: tuple[int, int]) -> None:
    left, top = left_top
    on_slide = np.clip(places, 0, np.tile(slide_size, 2))
    covered = (left, top, left + picture.shape[1], top + picture.shape[0])
    outside = (on_slide[:, :2] < covered[:2]).any(axis=1) | (on_slide[:, 2:] > covered[2:]).any(axis=1)
    empty = (on_slide[:, :2] >= on_slide[:, 2:]).any(axis=1)
    if (outside & ~empty).any():
        first = places[outside & ~empty][0].tolist()
        raise ValueError(f"The crop {first} reaches beyond the picture {covered}, and the slide goes on there: read with a wider margin.")
