"""Superpixels cover the crop without gaps, are the same every time, and hiding shows what it says."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from classifiers.base import ClassifierError
from classifiers.explain.perturbations import score_hidden
from classifiers.explain.superpixels import HIDINGS, METHODS, Hiding, colour, hide, segment
from smearscan.testing.classifiers import FakeClassifier, fake_card

PX = 64


def round_cell(px: int = PX) -> NDArray[np.uint8]:
    """A dark disc on a light, slightly uneven ground."""
    y, x = np.indices((px, px)) / px
    disc = (x - 0.5) ** 2 + (y - 0.5) ** 2 < 0.09
    noise = np.random.default_rng(2).integers(-6, 7, (px, px, 3))
    return np.clip(np.where(disc[..., None], (110, 60, 140), (225, 205, 215)) + noise, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("px", [48, 64, 300])
@pytest.mark.parametrize("method", METHODS)
def test_superpixels_are_numbered_without_gaps_and_the_same_each_time(method: str, px: int) -> None:
    crop = round_cell(px)
    labels = segment(crop, method)  # type: ignore[arg-type]
    assert labels.shape == (px, px)
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(np.unique(labels), np.arange(labels.max() + 1))
    assert 8 <= labels.max() + 1 <= 120
    np.testing.assert_array_equal(segment(crop, method), labels)  # type: ignore[arg-type]


@pytest.mark.parametrize("method", METHODS)
def test_superpixels_follow_the_edge_of_the_cell(method: str) -> None:
    crop = round_cell()
    labels = segment(crop, method)  # type: ignore[arg-type]
    dark = crop[..., 1] < 130
    inside = np.array([dark[labels == piece].mean() for piece in range(labels.max() + 1)])
    sizes = np.bincount(labels.ravel())
    mixed = sizes[(inside > 0.1) & (inside < 0.9)].sum()
    assert mixed < 0.15 * PX * PX


def test_the_kernel_is_that_of_a_picture_of_250_px() -> None:
    """So a crop falls into about as many pieces at any size; a kernel of 4 px at 64 px would leave a handful."""
    counts = [int(segment(round_cell(px)).max()) + 1 for px in (64, 125, 250)]
    assert min(counts) > max(counts) / 2.5
    unscaled = int(segment(round_cell(), kernel_size=4 * 250 / PX).max()) + 1
    assert unscaled < min(counts) / 2


def test_a_crop_may_be_cut_up_at_another_size() -> None:
    crop = round_cell()
    enlarged = segment(crop, side_px=250)
    assert enlarged.shape == (PX, PX)
    np.testing.assert_array_equal(np.unique(enlarged), np.arange(enlarged.max() + 1))
    assert not np.array_equal(enlarged, segment(crop))


@pytest.mark.parametrize("method", METHODS)
def test_a_crop_of_one_colour_is_no_error(method: str) -> None:
    for value in (0, 128, 255):
        labels = segment(np.full((32, 32, 3), value, np.uint8), method)  # type: ignore[arg-type]
        np.testing.assert_array_equal(np.unique(labels), np.arange(labels.max() + 1))


def test_one_superpixel_can_be_kept_or_hidden() -> None:
    crop, labels = round_cell(), np.zeros((PX, PX), np.int32)
    both = hide(crop, labels, np.array([[True], [False]]))
    np.testing.assert_array_equal(both[0], crop)
    assert (both[1] == 128).all()


@pytest.mark.parametrize("hiding", HIDINGS)
def test_hidden_places_show_the_colour_and_the_others_the_crop(hiding: Hiding) -> None:
    crop = round_cell()
    labels = segment(crop)
    keep = np.random.default_rng(0).random((5, labels.max() + 1)) < 0.5
    many = hide(crop, labels, keep, hiding)
    assert many.dtype == np.uint8
    expected = {"grey": (128, 128, 128), "black": (0, 0, 0), "mean": np.rint(crop.mean((0, 1)))}[hiding]
    np.testing.assert_array_equal(colour(crop, hiding), expected)
    for row, shown in zip(keep, many, strict=True):
        visible = row[labels]
        np.testing.assert_array_equal(shown[visible], crop[visible])
        assert (shown[~visible] == colour(crop, hiding)).all()
        np.testing.assert_array_equal(hide(crop, labels, row, hiding), shown)


@pytest.mark.parametrize(
    "wrong", [{"method": "watershed"}, {"kernel_size": 0}, {"ratio": 1.5}, {"max_dist": -1}, {"side_px": 4}, {"count": 0}]
)
def test_wrong_options_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ClassifierError, match="uperpixels"):
        segment(round_cell(), **wrong)  # type: ignore[arg-type]


def test_a_choice_that_is_not_of_these_superpixels_is_refused() -> None:
    labels = np.arange(4, dtype=np.int32).reshape(2, 2)
    with pytest.raises(ClassifierError, match="4 superpixels, and it is said of 3"):
        hide(np.zeros((2, 2, 3), np.uint8), labels, np.ones((2, 3), bool))


class TestScores:
    """Variations of many cells stand in one line, whatever batch the classifier likes."""

    def given(self) -> tuple[NDArray[np.uint8], list[NDArray[np.int32]], list[NDArray[np.bool_]]]:
        rng = np.random.default_rng(4)
        crops = rng.integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
        labels = [segment(crop, "slic", count=count) for crop, count in zip(crops, (9, 16, 25), strict=True)]
        keeps = [rng.random((rows, pieces.max() + 1)) < 0.5 for rows, pieces in zip((7, 0, 30), labels, strict=True)]
        return crops, labels, keeps

    @pytest.mark.parametrize("batch", [1, 8, 16, 100])
    def test_scores_are_those_of_each_variation_alone(self, batch: int) -> None:
        crops, labels, keeps = self.given()
        classifier = FakeClassifier(fake_card(), batch)
        scores = score_hidden(classifier, crops, labels, keeps, hiding="black")
        assert [each.shape for each in scores] == [(7, 3), (0, 3), (30, 3)]
        for crop, pieces, keep, found in zip(crops, labels, keeps, scores, strict=True):
            for row, one in zip(keep, found, strict=True):
                np.testing.assert_array_equal(
                    classifier.predict(hide(crop, pieces, row, "black")[None]).probabilities[0], one.astype(np.float32)
                )

    def test_all_batches_but_the_last_are_full(self) -> None:
        crops, labels, keeps = self.given()
        classifier = FakeClassifier(fake_card(), 8)
        score_hidden(classifier, crops, labels, keeps)
        assert classifier.batch_sizes == [8, 8, 8, 8, 5]

    def test_progress_says_how_many_crops_are_done(self) -> None:
        crops, labels, keeps = self.given()
        told: list[int] = []
        score_hidden(FakeClassifier(fake_card(), 8), crops, labels, keeps, show=told.append)
        assert told == [2, 3]

    def test_no_crops_have_no_scores(self) -> None:
        assert score_hidden(FakeClassifier(fake_card(), 8), np.zeros((0, 32, 32, 3), np.uint8), [], []) == []

    def test_what_does_not_belong_together_is_refused(self) -> None:
        crops, labels, keeps = self.given()
        with pytest.raises(ClassifierError, match="3 crops need as many superpixels and variations, not 3 and 2"):
            score_hidden(FakeClassifier(fake_card()), crops, labels, keeps[:2])
