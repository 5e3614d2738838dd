"""Superpixels kept, hidden and shown, by classifiers whose answers can be worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from classifiers.base import Classifier, ClassifierError, Compute, Predictions
from classifiers.card import ModelCard, Role
from classifiers.explain.rankings import RANDOM, Ranking, rank_by_map, rank_superpixels
from classifiers.explain.removal import GRID, measure_removal
from classifiers.explain.steadiness import compare_perturbations
from classifiers.explain.sufficiency import EVERY_CLASS, SHARE, Needed, Sufficiency, called_names, measure_sufficiency

PX = 32
GREY = 128
Crops = NDArray[np.uint8]


def make_card(classes: Sequence[str] = ("other", "blast"), roles: Sequence[Role] = ("other", "blast"), **changes: object) -> ModelCard:
    return ModelCard(
        name="by hand",
        summary="Can be worked out",
        classes=tuple(classes),
        roles=dict(zip(classes, roles, strict=True)),
        positive_class="blast",
        activation="softmax",
        network={"name": "none"},
        crop_px=PX,
        **changes,  # type: ignore[arg-type]
    )


class ShareSeen(Classifier):
    """P(blast) is the share of the pixels that are not hidden: superpixels count by their size alone."""

    def __init__(self, batch_size: int = 64) -> None:
        self.card, self.compute = make_card(), Compute("cpu", "fp32", batch_size)
        self.calls = 0

    def predict(self, crops: Crops) -> Predictions:
        self.calls += 1
        blast = (crops != GREY).any(3).mean((1, 2)).astype(np.float32)
        return Predictions(np.stack([1 - blast, blast], axis=1), self.card.classes)


class OneSpot(ShareSeen):
    """Sure of blast as long as the pixel in the upper left corner can be seen, and of other else."""

    def predict(self, crops: Crops) -> Predictions:
        blast = (crops[:, 0, 0] != GREY).any(1).astype(np.float32)
        return Predictions(np.stack([1 - blast, blast], axis=1), self.card.classes)


def stripes(pieces: int) -> NDArray[np.int32]:
    """Superpixels as rows of a crop; the last one is the largest."""
    return np.broadcast_to(np.minimum(np.arange(PX) // 2, pieces - 1)[:, None], (PX, PX)).astype(np.int32).copy()


def bright(count: int) -> Crops:
    return np.full((count, PX, PX, 3), 220, np.uint8)


def test_the_first_superpixels_are_kept() -> None:
    ranking = Ranking(stripes(4), np.array([2, 0, 3, 1]))
    assert ranking.keep_first([0, 1, 3, 4]).astype(int).tolist() == [[0, 0, 0, 0], [0, 0, 1, 0], [1, 0, 1, 1], [1, 1, 1, 1]]


def test_a_map_ranks_superpixels_by_its_mean_in_each() -> None:
    values = np.zeros((PX, PX), np.float32)
    values[2:4], values[6:] = 0.9, 0.5  # the last superpixel is large: its sum is the greatest, its mean is not
    assert rank_by_map(stripes(4), values).order.tolist() == [1, 3, 0, 2]
    assert rank_by_map(stripes(3), np.zeros((PX, PX), np.float32)).order.tolist() == [0, 1, 2]


def noisy(count: int, seed: int = 3) -> Crops:
    """Crops with structure, so that quick shift finds many superpixels."""
    small = np.random.default_rng(seed).integers(0, 100, (count, 8, 8, 3), dtype=np.uint8)
    return np.kron(small, np.ones((1, PX // 8, PX // 8, 1), np.uint8))


def test_order_by_chance_is_each_crop_s_own_and_the_same_again() -> None:
    crops = noisy(3)
    first, again = (rank_superpixels(RANDOM, ShareSeen(), crops, ["blast"] * 3) for _ in range(2))
    backwards = rank_superpixels(RANDOM, ShareSeen(), crops[::-1], ["blast"] * 3)[::-1]
    for one, other, third in zip(first, again, backwards, strict=True):
        assert one.order.tolist() == other.order.tolist() == third.order.tolist()
        assert sorted(one.order.tolist()) == list(range(one.labels.max() + 1))
    other_seed = rank_superpixels(RANDOM, ShareSeen(), crops, ["blast"] * 3, seed=1)
    assert [each.order.tolist() for each in other_seed] != [each.order.tolist() for each in first]


@pytest.mark.parametrize("method", ["lime", "shap"])
def test_what_the_classifier_needs_comes_first_for_one_class_and_last_for_the_other(method: str) -> None:
    crops = noisy(4)
    names = ["blast", "other", "blast", "other"]
    for name, ranking in zip(names, rank_superpixels(method, OneSpot(), crops, names, perturbations=200), strict=True):
        assert ranking.pieces > 5
        assert ranking.order[0 if name == "blast" else -1] == ranking.labels[0, 0]


def test_an_order_by_chance_is_not_what_the_classifier_needs() -> None:
    rankings = rank_superpixels(RANDOM, OneSpot(), noisy(12), ["blast"] * 12)
    assert np.mean([ranking.order[0] == ranking.labels[0, 0] for ranking in rankings]) < 0.5


# Sufficiency


def by_size(pieces: Sequence[int]) -> list[Ranking]:
    return [Ranking(stripes(each), np.arange(each)) for each in pieces]


def test_cells_are_called_again_with_their_first_superpixels() -> None:
    """Stripes of 2 of 32 rows: 8 of them are half of the crop, from where ShareSeen calls it a blast."""
    found = measure_sufficiency("by hand", ShareSeen(), bright(2), ["blast", "blast"], by_size([16, 16]), counts=(1, 7, 8, 16))
    assert found.whole.tolist() == [1, 1]
    assert found.kept.tolist() == [[0, 0], [0, 0], [1, 1], [1, 1]]
    assert [found.line("blast", count).accuracy for count in (None, 1, 7, 8, 16)] == [1, 0, 0, 1, 1]
    assert found.needed("blast") == Needed("blast", 8, 8)


def test_a_crop_with_fewer_superpixels_is_left_out() -> None:
    found = measure_sufficiency(
        "by hand", ShareSeen(), bright(3), ["blast", "other", "blast"], by_size([4, 12, 16]), counts=(4, 12, 16, 20)
    )
    assert [found.line(EVERY_CLASS, count).cells for count in (None, 4, 12, 16, 20)] == [3, 3, 2, 1, 0]
    assert [found.line("blast", count).cells for count in (4, 12, 16, 20)] == [2, 1, 1, 0]
    nobody = found.line(EVERY_CLASS, 20)
    assert np.isnan([nobody.precision, nobody.accuracy]).all()
    assert not nobody.sufficient
    assert found.needed("blast") == Needed("blast", 4, 4), "what no cell has is not asked"


def test_the_most_important_come_first_and_the_rest_is_hidden_in_the_colour_asked_for() -> None:
    crops, ranking = bright(1), Ranking(stripes(16), np.array([*range(1, 16), 0]))
    for count, called in ((15, "other"), (16, "blast")):
        found = measure_sufficiency("by hand", OneSpot(), crops, ["blast"], [ranking], counts=(count,))
        assert found.classes[found.kept[0, 0]] == called
    unseen = measure_sufficiency("by hand", OneSpot(), crops, ["blast"], [ranking], counts=(1,), hiding="black")
    assert unseen.classes[unseen.kept[0, 0]] == "blast", "black is not what this classifier takes for hidden"


def table(truths: Sequence[int], whole: Sequence[int], kept: Sequence[Sequence[int]], counts: Sequence[int] = (1, 5, 15)) -> Sufficiency:
    columns = (np.asarray(each, np.intp) for each in (truths, whole, kept))
    truth, first, rows = columns
    return Sufficiency("by hand", ("lymphocyte", "plasma", "artefact"), truth, first, tuple(counts), rows, 0.0)


def test_precision_is_of_what_is_called_and_its_mean_counts_a_class_never_called_as_nothing() -> None:
    truths = [0, 0, 0, 1, 1, 1, 2, 2]
    whole = [0, 0, 1, 1, 1, 1, 2, 0]
    found = table(truths, whole, [[2] * 8, whole, [0, 0, 1, 1, 2, 2, 2, 2]])
    assert found.line("lymphocyte", None).precision == pytest.approx(2 / 3)
    assert found.line("plasma", None).precision == pytest.approx(3 / 4)
    assert found.line("artefact", None).precision == 1
    assert found.line(EVERY_CLASS, None).precision == pytest.approx((2 / 3 + 3 / 4 + 1) / 3)
    assert found.line(EVERY_CLASS, None).accuracy == 6 / 8
    nothing_but_artefacts = found.line(EVERY_CLASS, 1)
    assert nothing_but_artefacts.precision == pytest.approx((0 + 0 + 2 / 8) / 3)
    assert not nothing_but_artefacts.sufficient
    assert np.isnan(found.line("plasma", 1).precision)
    assert (found.line("plasma", 1).called, found.line("plasma", 1).sufficient) == (0, False)


def test_right_twice_of_two_calls_is_sufficient_and_seen_to_be_little() -> None:
    """The thesis's plasma cells: 100 % precision at 15 superpixels, with 0.6 % of the cells called so."""
    truths = [1] * 300 + [0] * 100
    kept = [1] * 2 + [2] * 298 + [0] * 100
    line = table(truths, truths, [kept], counts=(15,)).line("plasma", 15)
    assert (line.precision, line.sufficient, line.called, line.cells) == (1, True, 2, 300)
    assert line.accuracy == pytest.approx(0.0067, abs=1e-4)


def test_two_thirds_of_the_precision_on_whole_crops_is_the_line() -> None:
    """Whole crops reach 3/4, so 1/2 is just enough."""
    truths, whole = [1, 1, 1, 0], [1, 1, 1, 1]
    found = table(truths, whole, [[1, 0, 0, 1], [1, 0, 0, 0], [2, 2, 2, 1]])
    assert found.line("plasma", None).precision * SHARE == pytest.approx(1 / 2)
    assert [found.line("plasma", count).sufficient for count in (1, 5, 15)] == [True, True, False]
    assert found.needed("plasma") == Needed("plasma", 1, None), "it is reached, and lost again"


def test_every_class_there_is_has_its_lines() -> None:
    found = table([0, 0, 2], [0, 0, 2], [[0, 0, 2]] * 3)
    assert [(line.class_name, line.kept) for line in found.lines()] == [
        (name, kept) for name in (EVERY_CLASS, "lymphocyte", "artefact") for kept in (None, 1, 5, 15)
    ]


def test_cells_are_called_as_a_run_calls_them() -> None:
    card = make_card(("blast", "myelo", "other", "smudge"), ("blast", "blast", "other", "excluded"), threshold=0.7)
    rows = np.array([[0.3, 0.35, 0.3, 0.05], [0.3, 0.45, 0.2, 0.05], [0.2, 0.2, 0.25, 0.35], [0.0, 0.1, 0.9, 0.0]])
    assert [card.classes[column] for column in card.called(rows)] == ["other", "myelo", "smudge", "other"]
    assert card.called(rows[:0]).tolist() == []
    assert called_names(ShareSeen(), np.concatenate([bright(1), np.full((1, PX, PX, 3), GREY, np.uint8)])) == ["blast", "other"]


def test_all_cells_are_scored_in_full_batches() -> None:
    classifier = ShareSeen(batch_size=64)
    measure_sufficiency("by hand", classifier, bright(40), ["blast"] * 40, by_size([16] * 40), counts=(1, 2, 4, 8))
    assert classifier.calls == -(-40 * 4 // 64) + 1, "and once for the whole crops"


def test_what_does_not_fit_is_refused() -> None:
    rankings = by_size([16, 16])
    with pytest.raises(ClassifierError, match="has no class plasma"):
        measure_sufficiency("by hand", ShareSeen(), bright(2), ["blast", "plasma"], rankings)
    with pytest.raises(ClassifierError, match="need as many classes and rankings"):
        measure_sufficiency("by hand", ShareSeen(), bright(2), ["blast"], rankings)
    with pytest.raises(ClassifierError, match="counts from 1 on"):
        measure_sufficiency("by hand", ShareSeen(), bright(2), ["blast"] * 2, rankings, counts=(0, 1))
    with pytest.raises(ClassifierError, match="need as many classes and rankings"):
        measure_removal("by hand", ShareSeen(), bright(2), ["blast"], rankings)


# Deletion and insertion


@pytest.mark.parametrize("pieces", [2, 5, 16])
def test_where_every_pixel_counts_alike_both_areas_are_a_half(pieces: int) -> None:
    for order in (np.arange(pieces), np.arange(pieces)[::-1]):
        (curves,) = measure_removal("by hand", ShareSeen(), bright(1), ["blast"], [Ranking(stripes(pieces), order)]).cells
        np.testing.assert_allclose(curves.insertion, curves.changed, atol=1e-6)
        np.testing.assert_allclose(curves.deletion, 1 - curves.changed, atol=1e-6)
        assert curves.deletion_area == pytest.approx(0.5)
        assert curves.insertion_area == pytest.approx(0.5)


def test_where_one_superpixel_decides_the_areas_are_its_size() -> None:
    """It takes up 1/16. First in the order: the score is gone, or there, after it. Last: only at the end."""
    first, last = np.arange(16), np.arange(16)[::-1]
    (good,) = measure_removal("good", OneSpot(), bright(1), ["blast"], [Ranking(stripes(16), first)]).cells
    assert good.deletion_area == pytest.approx(1 / 32)
    assert good.insertion_area == pytest.approx(1 - 1 / 32)
    (bad,) = measure_removal("bad", OneSpot(), bright(1), ["blast"], [Ranking(stripes(16), last)]).cells
    assert bad.deletion_area == pytest.approx(1 - 1 / 32)
    assert bad.insertion_area == pytest.approx(1 / 32)


def test_the_area_is_over_pixels_not_over_superpixels() -> None:
    """Three superpixels, the last with 28 of 32 rows: showing it first brings nearly everything at once."""
    (curves,) = measure_removal("by hand", ShareSeen(), bright(1), ["blast"], [Ranking(stripes(3), np.array([2, 0, 1]))]).cells
    np.testing.assert_allclose(curves.changed, [0, 28 / 32, 30 / 32, 1])


def test_the_explained_class_is_followed_and_cells_are_averaged() -> None:
    rankings = by_size([16, 4])
    removal = measure_removal("by hand", ShareSeen(), bright(2), ["other", "other"], rankings)
    deletion, insertion = removal.mean_curves()
    np.testing.assert_allclose(deletion, GRID, atol=1e-6)
    np.testing.assert_allclose(insertion, 1 - GRID, atol=1e-6)
    assert removal.insertion_area == pytest.approx(0.5)


def test_a_good_order_beats_chance_on_both_areas() -> None:
    crops = noisy(6)
    names = ["blast"] * 6
    areas = {}
    for method in ("lime", RANDOM):
        removal = measure_removal(method, OneSpot(), crops, names, rank_superpixels(method, OneSpot(), crops, names))
        areas[method] = (removal.deletion_area, removal.insertion_area)
    assert areas["lime"][0] < 0.1 < areas[RANDOM][0]
    assert areas["lime"][1] > 0.9 > areas[RANDOM][1]


def test_more_perturbations_make_the_order_steadier() -> None:
    few, many = compare_perturbations(ShareSeen(), noisy(4), ["blast"] * 4, perturbations=(16, 800), counts=(1, 5))
    assert (few.perturbations, many.perturbations) == (16, 800)
    assert many.same_again > few.same_again
    assert many.same_again > 0.8
    assert few.sufficiency.method == "lime, 16"
    assert len(many.removal.cells) == 4
    assert many.seconds_per_cell > few.seconds_per_cell > 0
