"""Two methods agree with themselves, not with chance, and Table II has the right cells in each line."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from classifiers import networks
from classifiers.base import ClassifierError
from classifiers.card import ModelCard
from classifiers.explain import agreement, build_explainer
from classifiers.explain.agreement import PUBLISHED, SIDE_PX, agree, explain_own_class, table, table_two
from classifiers.torch_classifier import TorchClassifier

PX = 48
Maps = NDArray[np.float32]


def noise(count: int, seed: int, px: int = 64) -> Maps:
    return np.random.default_rng(seed).random((count, px, px), np.float32)


def blobs(count: int, seed: int, px: int = 64) -> Maps:
    """Smooth maps with one summit each, as class activation maps are."""
    rng, maps = np.random.default_rng(seed), np.zeros((count, px, px), np.float32)
    for each in maps:
        each[tuple(rng.integers(8, px - 8, 2))] = 1
        each[:] = gaussian_filter(each, 6)
    return maps / maps.max((1, 2), keepdims=True)


@pytest.mark.parametrize("make", [noise, blobs])
@pytest.mark.parametrize("px", [64, SIDE_PX, 300])
def test_a_map_agrees_with_itself(make: object, px: int) -> None:
    maps = make(3, 1, px)  # type: ignore[operator]
    found = agree(maps, maps.copy())
    for column in (found.ssim, found.rank, found.top):
        np.testing.assert_allclose(column, 1, atol=1e-6)


def test_independent_random_maps_do_not() -> None:
    found = agree(noise(6, 1), noise(6, 2))
    assert np.abs(found.ssim).max() < 0.1
    assert np.abs(found.rank).max() < 0.1
    np.testing.assert_allclose(found.top, agreement.TOP, atol=0.05)


def test_rank_does_not_mind_how_a_map_rises_and_the_opposite_is_minus_one() -> None:
    maps = blobs(3, 5)
    assert agree(maps, maps**3).rank.min() > 0.99
    assert agree(maps, maps**3).ssim.max() < 0.98
    np.testing.assert_allclose(agree(maps, 1 - maps).rank, -1, atol=1e-3)
    assert agree(maps, 1 - maps).top.max() == 0


def test_the_top_fifth_overlaps_as_it_was_drawn() -> None:
    one, other = np.zeros((2, 1, SIDE_PX, SIDE_PX), np.float32)
    rows = SIDE_PX // 5
    one[0, :rows] = 1
    other[0, rows // 2 : rows // 2 + rows] = 1
    assert agree(one, other).top[0] == pytest.approx(0.5, abs=0.02)
    assert agree(one, 0 * one).top[0] == 0, "one map shows nothing"


def test_empty_maps_have_nothing_to_compare() -> None:
    empty = np.zeros((1, 32, 32), np.float32)
    nothing = agree(empty, empty)
    assert np.isnan([nothing.ssim[0], nothing.rank[0], nothing.top[0]]).all()
    half = agree(empty, noise(1, 3, 32))
    assert half.ssim[0] < 0.1, "one sees nothing where the other does: no agreement"
    assert np.isnan(half.rank[0])


def test_signed_maps_have_twice_the_range() -> None:
    maps, other = 2 * noise(2, 7) - 1, 2 * noise(2, 8) - 1
    np.testing.assert_allclose(agree(maps, maps).ssim, 1)
    half = agree((maps + 1) / 2, (other + 1) / 2)
    assert half.rank == pytest.approx(agree(maps, other).rank)


def test_maps_of_other_cells_or_sizes_are_refused() -> None:
    with pytest.raises(ClassifierError, match="one a cell and one size"):
        agree(noise(2, 1), noise(3, 1))
    with pytest.raises(ClassifierError, match="one a cell and one size"):
        agree(noise(2, 1, 32), noise(2, 1, 64))


def test_a_table_has_each_class_s_own_cells() -> None:
    maps, others = blobs(6, 1), blobs(6, 2)
    labels = ["all", "hem", "all", "all", "hem", "hem"]
    second = np.where(np.array([each == "all" for each in labels])[:, None, None], maps, others)
    second[1] = 0
    healthy, ill = table("a model", maps, second, labels, ["hem", "all", "smudge"])
    assert (healthy.class_name, healthy.cells, healthy.empty) == ("hem", 3, 1)
    assert (ill.model, ill.class_name, ill.cells, ill.empty) == ("a model", "all", 3, 0)
    assert ill.ssim == pytest.approx(1)
    assert ill.top == pytest.approx(1)
    assert ill.other_cell_ssim == pytest.approx(agree(maps[[0, 2, 3]], maps[[3, 0, 2]]).ssim.mean())
    assert ill.other_cell_ssim < 0.9
    assert healthy.ssim == pytest.approx(agree(maps[[1, 4, 5]], second[[1, 4, 5]]).ssim.mean())


def small_classifier(seed: int, px: int) -> TorchClassifier:
    torch.manual_seed(seed)
    card = ModelCard(
        name=f"small {seed}",
        summary="Not trained",
        classes=("hem", "all"),
        roles={"hem": "other", "all": "blast"},
        positive_class="all",
        activation="sigmoid",
        network={"name": "small-cnn", "width": 8},
        crop_px=px,
        cam_layer="features.2",
    )
    return TorchClassifier(card, networks.build_for(card).eval(), device="cpu")


def random_crops(count: int, px: int) -> NDArray[np.uint8]:
    return np.random.default_rng(9).integers(0, 256, (count, px, px, 3), dtype=np.uint8)


def test_table_two_has_a_line_for_each_model_and_class() -> None:
    labels = ["hem", "all", "all", "hem"]
    models = [(str(px), small_classifier(px, px), random_crops(4, px)) for px in (PX, 64)]
    told: list[int] = []
    rows = table_two(models, labels, show=told.append)
    assert [(row.model, row.class_name, row.cells) for row in rows] == [(str(px), name, 2) for px in (PX, 64) for name in ("hem", "all")]
    assert told == [4, 8]
    assert {name for _, name in PUBLISHED} == {"hem", "all"}
    for row in rows:
        assert -1 <= row.ssim <= 1
    _, classifier, crops = models[0]
    maps = [build_explainer(method, classifier).explain(crops[[1, 2]], "all") for method in ("gradcam", "scorecam")]
    assert rows[1].ssim == pytest.approx(agree(*maps).ssim.mean()), "of each cell its own class is explained"


def test_each_cell_s_own_class_is_explained() -> None:
    classifier, crops = small_classifier(3, PX), random_crops(3, PX)
    explainer = build_explainer("gradcam", classifier)
    maps = explain_own_class(classifier, "gradcam", crops, ["all", "hem", "all"])
    np.testing.assert_array_equal(maps[[0, 2]], explainer.explain(crops[[0, 2]], "all"))
    np.testing.assert_array_equal(maps[1], explainer.explain(crops[1:2], "hem")[0])


def test_labels_must_be_the_model_s_classes_and_one_a_crop() -> None:
    classifier, crops = small_classifier(3, PX), random_crops(2, PX)
    with pytest.raises(ClassifierError, match="has no class blast"):
        table_two([("one", classifier, crops)], ["hem", "blast"])
    with pytest.raises(ClassifierError, match="2 crops of 3 cells"):
        table_two([("one", classifier, crops)], ["hem", "all", "all"])
    with pytest.raises(ClassifierError, match="no heat map method"):
        table_two([("one", classifier, crops)], ["hem", "all"], methods=("gradcam", "guessing"))
