"""Which cells are shown, with what around them, and where the model looked.

    choose ─▶ cut_pictures ─▶ add_heat_maps ─▶ reports
    (scores)  (the slide)     (the classifier)

A flagged cell is shown so that a person can judge it; a cell just under the threshold so that one sees what was not flagged.
Which ones depends on the cells' places and scores alone, never on tiles, batches or the order in which they were found.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from classifiers.base import Explainer
from classifiers.card import ModelCard
from classifiers.explain.inside import share_inside
from detectors import boxes
from smearscan.percentages import percent
from smearscan.results import CONTEXT_SIDES, Box, CellPicture, Picture

CONTEXT_PX = 480  # no picture of them is larger; where crops are, the surroundings are shown smaller than at the crop's scale
SAMPLED = 6  # of the overlays asked for, one in so many goes to the rest of the flagged cells, and one to near misses
NEAREST = 4  # near misses are drawn from so many times as many cells, by chance, so that no single doublet fills the sample
DIGITS = 6  # of a score, as in cells.csv: what differs by less is the same
SHARE_DIGITS = 3  # of a heat map's share, as in cells.csv, so that a reader of the file finds the same median
FEWEST_MAPS = 5  # a median of fewer says something of those cells, and nothing of the model
LOOKS_INSIDE = 0.5  # median share of the flagged cells' heat maps inside the cell; below it, most of what moved the scores lies outside


@dataclass(frozen=True)
class Quota:
    """How many cells of each kind are shown of one slide."""

    highest: int  # flagged cells, the highest scores first
    sample: int  # of the other flagged cells, drawn at random
    near_misses: int  # of those cells that are nearest to the threshold from below, drawn at random

    @classmethod
    def share_out(cls, overlays: int) -> Quota:
        """Share out the number of overlays that a user asks for; most go to the highest scores."""
        sampled = overlays // SAMPLED
        return cls(overlays - 2 * sampled, sampled, sampled)


@dataclass(frozen=True)
class Choice:
    """The rows, in Cells, that are shown."""

    highest: NDArray[np.intp]  # best score first
    sample: NDArray[np.intp]
    near_misses: NDArray[np.intp]

    @property
    def rows(self) -> NDArray[np.intp]:
        """All of them, in the cells' order."""
        return np.sort(np.concatenate([self.highest, self.sample, self.near_misses]))


def choose(
    cell_boxes: ArrayLike,
    scores: NDArray[np.float64],
    *,
    flagged: NDArray[np.bool_],
    counted: NDArray[np.bool_],
    quota: Quota,
    seed: int = 0,
) -> Choice:
    """Choose the cells to show; `scores` are the blast probabilities that were compared with the threshold.

    `counted` is False where a cell was excluded: those are never near misses. Equal scores are put in order of place, and
    the samples are drawn by `seed` and place.
    """
    places = np.floor(boxes.centres(cell_boxes)).astype(np.int64)
    rounded = np.round(np.asarray(scores, np.float64), DIGITS)
    ranked = np.lexsort((places[:, 0], places[:, 1], -rounded))
    best = ranked[flagged[ranked]]
    near = ranked[(~flagged & counted)[ranked]][: NEAREST * quota.near_misses]
    return Choice(
        highest=best[: quota.highest],
        sample=_sample(best[quota.highest :], places, quota.sample, seed),
        near_misses=_sample(near, places, quota.near_misses, seed),
    )


def _sample(rows: NDArray[np.intp], places: NDArray[np.int64], count: int, seed: int) -> NDArray[np.intp]:
    """Draw rows by a number that each place has of its own, so that one cell more elsewhere changes at most one of them."""
    drawn = sorted(rows.tolist(), key=lambda row: (_lot(seed, *places[row].tolist()), row))
    return np.asarray(drawn[:count], np.intp)


def _lot(seed: int, x: int, y: int) -> bytes:
    return blake2b(f"{seed} {x} {y}".encode(), digest_size=8).digest()


def context_box(square: Sequence[int]) -> Box:
    """Return the surroundings of a crop's square, in level-0 pixels; where they reach beyond the slide they are white."""
    left, top, right, bottom = (int(each) for each in square)
    across, down = ((CONTEXT_SIDES - 1) * side // 2 for side in (right - left, bottom - top))
    return (left - across, top - down, right + across, bottom + down)


class Squares(Protocol):
    """`smearscan.crops.squares`: where the crops of boxes lie."""

    def __call__(self, boxes: ArrayLike, card: ModelCard, mpp: float | None, whole_box: bool) -> NDArray[np.int64]: ...


class Cut(Protocol):
    """`smearscan.crops.cut`: crops of a picture, the size of the card's."""

    def __call__(
        self,
        picture: Picture,
        left_top: tuple[int, int],
        boxes: ArrayLike,
        card: ModelCard,
        *,
        slide_size: tuple[int, int],
        whole_box: bool,
    ) -> NDArray[np.uint8]: ...


def cut_pictures(
    read: Callable[[Box], Picture],
    cell_boxes: ArrayLike,
    rows: Sequence[int],
    card: ModelCard,
    *,
    slide_size: tuple[int, int],
    mpp: float | None,
    squares: Squares,
    cut: Cut,
    whole_box: bool = False,
) -> list[CellPicture]:
    """Read the cells of `rows` once more, as they were cut for the classifier and with their surroundings, each in one read.

    `read` gives level-0 pixels, white where there are none; `squares` and `cut` are those of `smearscan.crops`, so that a
    crop is the one that was cut for scoring, bit for bit; `whole_box` is True in window mode.
    """
    corners = np.asarray(cell_boxes).reshape(-1, 4)[list(rows)]
    wide = replace(card, crop_px=min(CONTEXT_SIDES * card.crop_px, max(CONTEXT_PX, card.crop_px)))
    pictures = []
    for row, corner, square in zip(rows, corners, squares(corners, card, mpp, whole_box), strict=True):
        around = context_box(square.tolist())
        seen = read(around)
        crop, context = (
            cut(seen, around[:2], np.array([place]), size, slide_size=slide_size, whole_box=True)[0]
            for place, size in ((square, card), (around, wide))
        )
        place = None if whole_box else box_in_crop(corner, square, card.crop_px)
        pictures.append(CellPicture(int(row), crop, context, around, cell_box=place))
    return pictures


def box_in_crop(cell_box: ArrayLike, square: ArrayLike, crop_px: int) -> tuple[float, float, float, float]:
    """Return where a cell lies in its crop, in the crop's pixels; a cell larger than its crop reaches beyond it."""
    corner, place = np.asarray(cell_box, np.float64), np.asarray(square, np.float64)
    left, top, right, bottom = ((corner - np.tile(place[:2], 2)) * crop_px / (place[2] - place[0])).tolist()
    return left, top, right, bottom


def add_heat_maps(
    pictures: Sequence[CellPicture], explainer: Explainer, class_name: str, as_scored: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]
) -> tuple[CellPicture, ...]:
    """Return the pictures with the map of what spoke for `class_name` in each, and how much of it lies in the cell.

    `as_scored` gives crops the colours that the model saw; a person is shown those of the slide.
    """
    if not pictures:
        return ()
    maps = explainer.explain(as_scored(np.stack([picture.crop for picture in pictures])), class_name)
    return tuple(
        replace(picture, heat_map=heat_map, cam_in_cell=_cam_in_cell(heat_map, picture))
        for picture, heat_map in zip(pictures, maps, strict=True)
    )


def _cam_in_cell(heat_map: NDArray[np.float32], picture: CellPicture) -> float | None:
    if picture.cell_box is None:
        return None
    share = float(share_inside(heat_map[None], np.array([picture.cell_box]))[0])
    return None if np.isnan(share) else round(share, SHARE_DIGITS)


def doubt(pictures: Sequence[CellPicture], flagged: NDArray[np.bool_]) -> str:
    """Return a sentence where the heat maps of the flagged cells lie mostly outside the cells; "" where they do not, or are few.

    The cells that are shown stand for all that are flagged. What a map without any preference would have inside is said as
    well: where cells are small in their crops, a blurred map misses them easily.
    """
    seen = [each for each in pictures if flagged[each.row] and each.cam_in_cell is not None]
    if len(seen) < FEWEST_MAPS:
        return ""
    middle = float(np.median([each.cam_in_cell for each in seen]))
    if middle >= LOOKS_INSIDE:
        return ""
    area = float(np.median([share_inside(np.ones((1, *each.crop.shape[:2])), np.array([each.cell_box]))[0] for each in seen]))
    return (
        f"The heat maps of {len(seen)} flagged cells lie mostly outside the cell (median {percent(middle)} % inside, "
        f"where the cell takes up {percent(area)} % of the crop): the model may be looking at the background."
    )
