"""Which cells are shown, and that their pictures are theirs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from classifiers.base import Explainer
from classifiers.card import ModelCard
from smearscan import crops, overlays
from smearscan.overlays import Choice, Quota, choose
from smearscan.results import Box, CellPicture, Picture
from smearscan.testing.classifiers import fake_card

SIDE = 2000


def as_they_are(crops: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return crops


def make_cells(count: int = 120, seed: int = 3) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_]]:
    """Return boxes, scores, flagged and counted; a fifth of the cells is excluded."""
    rng = np.random.default_rng(seed)
    left_top = rng.integers(0, SIDE - 80, (count, 2))
    scores = rng.random(count).round(2)
    counted = rng.random(count) < 0.8
    return np.hstack([left_top, left_top + 40]).astype(np.float32), scores, (scores >= 0.6) & counted, counted


def chosen(order: NDArray[np.intp] | None = None, quota: Quota = Quota(10, 6, 5), seed: int = 0) -> Choice:  # noqa: B008 - it is frozen
    boxes, scores, flagged, counted = make_cells()
    order = np.arange(len(boxes)) if order is None else order
    found = choose(boxes[order], scores[order], flagged=flagged[order], counted=counted[order], quota=quota, seed=seed)
    return Choice(*(order[rows] for rows in (found.highest, found.sample, found.near_misses)))


def test_the_highest_scores_come_first_and_no_cell_twice() -> None:
    _, scores, flagged, _ = make_cells()
    choice = chosen()
    assert [len(rows) for rows in (choice.highest, choice.sample, choice.near_misses)] == [10, 6, 5]
    assert scores[choice.highest].tolist() == sorted(scores[flagged], reverse=True)[:10]
    assert flagged[choice.sample].all()
    assert scores[choice.sample].max() <= scores[choice.highest].min()
    assert len(set(choice.rows.tolist())) == len(choice.rows) == 21
    assert choice.rows.tolist() == sorted(choice.rows.tolist())


def test_near_misses_are_the_cells_just_under_the_threshold_and_never_excluded_ones() -> None:
    _, scores, flagged, counted = make_cells()
    near = chosen().near_misses
    assert not flagged[near].any()
    assert counted[near].all()
    nearest = np.sort(scores[~flagged & counted])[::-1][: overlays.NEAREST * 5]
    assert (scores[near] >= nearest.min()).all()


@given(st.permutations(range(120)))
def test_the_choice_depends_on_places_and_scores_not_on_order(order: list[int]) -> None:
    first, again = chosen(), chosen(np.array(order, np.intp))
    assert again.highest.tolist() == first.highest.tolist()
    assert again.sample.tolist() == first.sample.tolist()
    assert again.near_misses.tolist() == first.near_misses.tolist()


def test_one_cell_more_changes_at_most_one_of_the_sample() -> None:
    boxes, scores, flagged, counted = make_cells()
    quota = Quota(0, 8, 0)
    whole = choose(boxes, scores, flagged=flagged, counted=counted, quota=quota)
    for gone in np.flatnonzero(flagged):
        left = np.delete(np.arange(len(boxes)), gone)
        fewer = choose(boxes[left], scores[left], flagged=flagged[left], counted=counted[left], quota=quota)
        assert len(set(whole.sample.tolist()) - set(left[fewer.sample].tolist())) <= 1


def test_another_seed_draws_another_sample() -> None:
    assert chosen(seed=1).sample.tolist() != chosen(seed=2).sample.tolist()
    assert chosen(seed=1).highest.tolist() == chosen(seed=2).highest.tolist()


def test_few_cells_are_all_shown_and_none_gives_none() -> None:
    boxes, scores, flagged, counted = make_cells(8)
    choice = choose(boxes, scores, flagged=flagged, counted=counted, quota=Quota(50, 50, 50))
    assert choice.rows.tolist() == np.flatnonzero(counted).tolist()
    none = choose(boxes[:0], scores[:0], flagged=flagged[:0], counted=counted[:0], quota=Quota(50, 50, 50))
    assert none.rows.tolist() == []


@pytest.mark.parametrize("asked", [0, 1, 5, 6, 50, 1000])
def test_the_quota_is_what_was_asked_for(asked: int) -> None:
    quota = Quota.share_out(asked)
    assert quota.highest + quota.sample + quota.near_misses == asked
    assert min(quota.highest, quota.sample, quota.near_misses) >= 0


class Field:
    """A slide of which every pixel differs; outside it is white. Notes what was read."""

    def __init__(self) -> None:
        self.pixels = np.random.default_rng(1).integers(0, 250, (SIDE, SIDE, 3), dtype=np.uint8)
        self.read_boxes: list[Box] = []

    def read(self, box: Box) -> Picture:
        self.read_boxes.append(box)
        left, top, right, bottom = box
        picture = np.full((bottom - top, right - left, 3), 255, np.uint8)
        inside = self.pixels[max(top, 0) : bottom, max(left, 0) : right]
        picture[max(-top, 0) :, max(-left, 0) :][: inside.shape[0], : inside.shape[1]] = inside
        return picture


def cut(field: Field, boxes: NDArray[np.float32], rows: list[int], card: ModelCard, whole_box: bool = False) -> list[CellPicture]:
    return overlays.cut_pictures(
        field.read,
        boxes,
        rows,
        card,
        slide_size=(SIDE, SIDE),
        mpp=0.25,
        squares=crops.squares,
        cut=crops.cut,
        whole_box=whole_box,
    )


@pytest.mark.parametrize("card", [fake_card(), fake_card(crop_um=None), replace(fake_card(), crop_um=None, crop_diameters=1.5)])
@pytest.mark.parametrize("whole_box", [False, True])
def test_crops_are_those_that_were_scored_bit_for_bit(card: ModelCard, whole_box: bool) -> None:
    boxes, field = make_cells()[0] + 0.3, Field()
    rows = [7, 3, 99]
    scored = crops.cut(field.pixels, (0, 0), boxes, card, slide_size=(SIDE, SIDE), mpp=0.25, whole_box=whole_box)
    pictures = cut(field, boxes, rows, card, whole_box)
    assert [picture.row for picture in pictures] == rows
    for picture in pictures:
        np.testing.assert_array_equal(picture.crop, scored[picture.row])
    assert len(field.read_boxes) == len(rows), "one read a cell"


def test_the_crop_is_the_middle_third_of_its_surroundings() -> None:
    boxes, field = make_cells()[0], Field()
    card = fake_card(crop_um=None)  # 32 level-0 pixels, so that nothing is resampled
    for picture in cut(field, boxes, [0, 50], card):
        assert picture.context.shape == (96, 96, 3)
        np.testing.assert_array_equal(picture.context[32:64, 32:64], picture.crop)
        np.testing.assert_array_equal(picture.context, field.read(picture.context_box))


def test_surroundings_beyond_the_slide_are_white() -> None:
    field, card = Field(), fake_card(crop_um=None)
    boxes = np.array([[0, 0, 10, 10], [SIDE - 4, SIDE - 4, SIDE, SIDE]], np.float32)
    first, last = cut(field, boxes, [0, 1], card)
    assert (first.context[:40, :40] == 255).all()
    assert (first.context[44:, 44:] != 255).any()
    assert (last.context[60:, 60:] == 255).all()


def test_large_crops_have_surroundings_of_bounded_size() -> None:
    field, card = Field(), fake_card(crop_px=300, crop_um=None)
    (picture,) = cut(field, np.array([[800, 800, 840, 840]], np.float32), [0], card)
    assert picture.crop.shape == (300, 300, 3)
    assert picture.context.shape == (overlays.CONTEXT_PX, overlays.CONTEXT_PX, 3)


class Brightness(Explainer):
    """Explains a crop by its mean, so that a map can be told from another's; notes what it was asked."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, str]] = []

    def explain(self, crops: NDArray[np.uint8], class_name: str) -> NDArray[np.float32]:
        self.calls.append((len(crops), class_name))
        means = crops.mean((1, 2, 3)) / 255
        return np.broadcast_to(means[:, None, None], crops.shape[:3]).astype(np.float32)


def test_every_picture_gets_its_own_heat_map_in_one_call() -> None:
    explainer = Brightness()
    pictures = cut(Field(), make_cells()[0], [5, 1, 80], fake_card())
    mapped = overlays.add_heat_maps(pictures, explainer, "blast", as_they_are)
    assert explainer.calls == [(3, "blast")]
    for before, after in zip(pictures, mapped, strict=True):
        assert after.heat_map is not None
        assert (after.row, after.context_box) == (before.row, before.context_box)
        np.testing.assert_allclose(after.heat_map, before.crop.mean() / 255, rtol=1e-5)


def test_without_pictures_nothing_is_explained() -> None:
    explainer = Brightness()
    assert overlays.add_heat_maps([], explainer, "blast", as_they_are) == ()
    assert explainer.calls == []


@pytest.mark.parametrize("card", [fake_card(), fake_card(crop_um=None), replace(fake_card(), crop_um=None, crop_diameters=1.5)])
def test_a_cell_s_box_in_its_crop_is_where_the_cell_is(card: ModelCard) -> None:
    boxes, field = np.array([[500, 700, 540, 750], [3, 3, 33, 33]], np.float32), Field()
    field.pixels[:] = 200
    for left, top, right, bottom in boxes.astype(int).tolist():
        field.pixels[top:bottom, left:right] = 10
    for picture in cut(field, boxes, [0, 1], card):
        assert picture.cell_box is not None
        left, top, right, bottom = np.clip(np.rint(picture.cell_box).astype(int), 0, card.crop_px).tolist()
        dark = picture.crop.mean(2) < 60
        assert dark[top + 1 : bottom - 1, left + 1 : right - 1].all()
        dark[max(top - 1, 0) : bottom + 1, max(left - 1, 0) : right + 1] = False
        assert not dark.any()


def test_a_window_has_no_cell_s_box_and_its_map_no_share() -> None:
    pictures = cut(Field(), make_cells()[0], [5, 1], fake_card(), whole_box=True)
    assert {picture.cell_box for picture in pictures} == {None}
    mapped = overlays.add_heat_maps(pictures, Brightness(), "blast", as_they_are)
    assert {picture.cam_in_cell for picture in mapped} == {None}


class Nowhere(Explainer):
    """Finds nothing that speaks for a class."""

    def explain(self, crops: NDArray[np.uint8], class_name: str) -> NDArray[np.float32]:
        return np.zeros(crops.shape[:3], np.float32)


def test_an_empty_map_has_no_share() -> None:
    (mapped,) = overlays.add_heat_maps(cut(Field(), make_cells()[0], [5], fake_card()), Nowhere(), "blast", as_they_are)
    assert mapped.cam_in_cell is None
    assert overlays.doubt([mapped], np.ones(120, bool)) == ""


def seen_inside(shares: list[float | None]) -> tuple[CellPicture, ...]:
    pixels = np.zeros((20, 20, 3), np.uint8)
    return tuple(
        CellPicture(row, pixels, pixels, (0, 0, 20, 20), cell_box=(5, 5, 15, 15), cam_in_cell=share) for row, share in enumerate(shares)
    )


def test_doubt_rests_on_the_median_of_the_flagged_cells() -> None:
    pictures = seen_inside([0.1, 0.9, 0.31, None, 0.2, 0.26, 0.9, 0.9])
    flagged = np.array([True, False, True, True, True, True, True, False])
    assert overlays.doubt(pictures, flagged) == (
        "The heat maps of 5 flagged cells lie mostly outside the cell (median 26 % inside, where the cell takes up 20 % of the crop): "
        "the model may be looking at the background."
    )
    assert overlays.doubt(pictures, ~flagged) == "", "cells that are not flagged are not asked"
    assert overlays.doubt((), flagged) == ""


def test_half_inside_is_no_doubt_and_few_cells_are_none() -> None:
    flagged = np.ones(5, bool)
    assert overlays.doubt(seen_inside([0.499] * 5), flagged)
    assert overlays.doubt(seen_inside([overlays.LOOKS_INSIDE] * 5), flagged) == ""
    assert overlays.doubt(seen_inside([0.1] * (overlays.FEWEST_MAPS - 1)), flagged) == "", "a median of four says little of a model"
