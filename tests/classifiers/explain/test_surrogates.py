"""LIME and SHAP: what captum gives for the same variations, the same twice, and the same whatever stands beside a crop."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from captum._utils.models.linear_model import SkLearnLinearRegression, SkLearnRidge
from captum.attr import KernelShap, Lime, LimeBase
from captum.attr._core.lime import get_exp_kernel_similarity_function
from numpy.typing import NDArray
from torch import Tensor

from classifiers import networks
from classifiers.base import Classifier, Explainer
from classifiers.card import ModelCard
from classifiers.explain import build_explainer, names
from classifiers.explain.lime import LimeExplainer
from classifiers.explain.shap import ShapExplainer
from classifiers.explain.superpixels import hide, segment
from classifiers.explain.surrogates import SurrogateExplainer
from classifiers.torch_classifier import TorchClassifier
from smearscan.testing.classifiers import FakeClassifier, fake_card

PX = 32
SURROGATES = ("lime", "shap")


def small_classifier(batch_size: int | str = "auto") -> TorchClassifier:
    torch.manual_seed(7)
    card = ModelCard(
        name="small",
        summary="Was never trained",
        classes=("other", "blast"),
        roles={"other": "other", "blast": "blast"},
        positive_class="blast",
        activation="softmax",
        network={"name": "small-cnn", "width": 8},
        crop_px=PX,
        mean=(0.5, 0.5, 0.5),
        std=(0.1, 0.1, 0.1),
        cam_layer="features.2",
    )
    return TorchClassifier(card, networks.build_for(card).eval(), device="cpu", batch_size=batch_size)


def random_crops(count: int) -> NDArray[np.uint8]:
    """Blocks of random colours, so that there are superpixels."""
    rng = np.random.default_rng(9)
    blocks = rng.integers(20, 236, (count, 4, 4, 3)).repeat(8, axis=1).repeat(8, axis=2)
    return (blocks + rng.integers(-8, 9, blocks.shape)).astype(np.uint8)


def build_quick(method: str, classifier: Classifier, **options: object) -> Explainer:
    """Return an explainer that does as little as can be, for what does not depend on how much it does."""
    least = {"samples": 1} if method == "gradient-shap" else {"perturbations": 20}
    return build_explainer(method, classifier, **{**least, **options})  # type: ignore[arg-type]


@pytest.mark.parametrize("method", names(signed=True))
def test_a_map_does_not_depend_on_the_batch(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("classifiers.explain.surrogates.CELLS", 3)
    explainer = build_quick(method, small_classifier())
    crops = random_crops(5)
    together = explainer.explain(crops, "blast")
    for row in (0, 2, len(crops) - 1):
        np.testing.assert_array_equal(explainer.explain(crops[row : row + 1], "blast")[0], together[row])
    np.testing.assert_array_equal(explainer.explain(crops[::-1], "blast")[::-1], together)
    assert len(np.unique(together.reshape(len(together), -1), axis=0)) == len(crops)
    other_batches = build_quick(method, small_classifier(batch_size=32))
    np.testing.assert_array_equal(other_batches.explain(crops, "blast"), together)


@pytest.mark.parametrize("method", names(signed=True))
def test_the_same_twice_and_otherwise_with_another_seed(method: str) -> None:
    crops = random_crops(2)
    first, again, otherwise = (build_quick(method, small_classifier(), seed=seed).explain(crops, "blast") for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, otherwise)


@pytest.mark.parametrize("method", names(signed=True))
def test_chance_elsewhere_is_left_alone(method: str) -> None:
    explainer, crops = build_quick(method, small_classifier()), random_crops(1)
    np.random.seed(3)
    torch.manual_seed(3)
    expected = (np.random.random(), float(torch.rand(1)))
    np.random.seed(3)
    torch.manual_seed(3)
    explainer.explain(crops, "blast")
    assert (np.random.random(), float(torch.rand(1))) == expected


@pytest.mark.parametrize("method", names(signed=True))
def test_maps_are_signed_and_reach_one(method: str) -> None:
    explainer = build_quick(method, small_classifier())
    assert explainer.signed
    maps = explainer.explain(random_crops(4), "blast")
    assert maps.dtype == np.float32
    np.testing.assert_allclose(np.abs(maps).max((1, 2)), 1, atol=1e-6)
    assert (maps.min((1, 2)) < 0).any()
    assert explainer.explain(random_crops(0), "blast").shape == (0, PX, PX)


@pytest.mark.parametrize("method", names())
def test_progress_counts_up_to_all_crops(method: str) -> None:
    told: list[int] = []
    crops = random_crops(3)
    explainer = build_explainer(method, small_classifier())
    shown = explainer.explain(crops, "blast", told.append)
    assert told == sorted(set(told))
    assert told[-1] == 3
    np.testing.assert_array_equal(explainer.explain(crops, "blast"), shown)


def test_unsigned_methods_say_so() -> None:
    assert not Explainer.signed
    assert set(names()) == set(names(signed=False)) | set(names(signed=True))
    assert not set(names(signed=False)) & set(names(signed=True))
    for method in names():
        assert build_explainer(method, small_classifier()).signed == (method in names(signed=True))


def captum_coefficients(explainer: SurrogateExplainer, crop: NDArray[np.uint8], base: type[LimeBase]) -> NDArray[np.float64]:
    """What captum's own class makes of one crop and the same variations, each scored by itself."""
    classifier = small_classifier()
    labels = segment(crop)
    keep = explainer._vary(crop, int(labels.max()) + 1)

    def score(chosen: Tensor) -> float:
        return float(classifier.predict(hide(crop, labels, chosen[0].numpy().astype(bool))[None]).probabilities[0, 1])

    def draw(_original: Tensor, **_: object) -> Iterator[Tensor]:
        for row in keep:
            yield torch.from_numpy(row[None].astype(np.int64))

    like = get_exp_kernel_similarity_function("cosine", 0.25)
    shap = KernelShap(score)
    captum = LimeBase(
        score,
        SkLearnRidge(alpha=1.0) if base is Lime else SkLearnLinearRegression(),
        # Between the vectors of ones and zeros, as the `lime` package does; captum's default compares pixels.
        (lambda original, _, chosen, **__: like(original, chosen, None)) if base is Lime else shap.kernel_shap_similarity_kernel,
        draw,
        True,
        lambda chosen, _original, **__: chosen,
        None,
    )
    everything = torch.ones(1, keep.shape[1])
    found = captum.attribute(everything, n_samples=len(keep), num_interp_features=keep.shape[1])
    return found.numpy().ravel().astype(np.float64)


@pytest.mark.parametrize(("factory", "base"), [(LimeExplainer, Lime), (ShapExplainer, KernelShap)])
def test_batched_coefficients_are_those_of_captum_on_its_own(factory: type[SurrogateExplainer], base: type[LimeBase]) -> None:
    explainer = factory(small_classifier(), perturbations=40)
    crops = random_crops(2)
    for crop, attribution in zip(crops, explainer.attribute(crops, "blast"), strict=True):
        expected = captum_coefficients(explainer, crop, base)
        largest = np.abs(expected).max()
        assert largest > 1e-4
        np.testing.assert_allclose(attribution.coefficients, expected, atol=2e-3 * largest)


@pytest.mark.parametrize("method", SURROGATES)
def test_a_classifier_without_a_network_is_explained_too(method: str) -> None:
    """The fake one calls a crop the more a blast the redder it is: red tiles speak for it, green ones against it."""
    crop = np.full((PX, PX, 3), 128, np.uint8)
    crop[:16, :16], crop[16:, 16:] = (250, 60, 60), (60, 250, 60)
    explainer = build_explainer(method, FakeClassifier(fake_card(crop_px=PX)))
    (found,) = explainer.explain(crop[None], "blast")
    assert found[4:12, 4:12].min() > 0.1
    assert found[20:28, 20:28].max() < -0.1
    assert np.abs(found[4:12, 20:28]).max() < 0.1


@pytest.mark.parametrize("method", SURROGATES)
@pytest.mark.parametrize("value", [128, 250])
def test_where_hiding_changes_nothing_the_map_is_zero(method: str, value: int) -> None:
    """Grey on grey, and a classifier that looks at no green: rounding must not be blown up into a picture."""
    crops = np.full((1, PX, PX, 3), 128, np.uint8)
    crops[..., 1] = value
    explainer = build_explainer(method, small_classifier() if value == 128 else Blind(fake_card(crop_px=PX)))
    assert isinstance(explainer, SurrogateExplainer)
    (attribution,) = explainer.attribute(crops, "blast")
    assert (attribution.coefficients == 0).all()
    assert attribution.fit == 1
    assert (attribution.map == 0).all()


class Blind(FakeClassifier):
    """Says the same of every crop."""

    def predict(self, crops: NDArray[np.uint8]):  # type: ignore[no-untyped-def]
        return super().predict(np.zeros_like(crops))


@pytest.mark.parametrize("method", SURROGATES)
def test_a_crop_of_one_superpixel_is_explained_by_it(method: str) -> None:
    crop = np.zeros((1, PX, PX, 3), np.uint8)
    crop[..., 0] = 250
    explainer = build_explainer(method, FakeClassifier(fake_card(crop_px=PX)), superpixels={"kernel_size": 250})
    assert isinstance(explainer, SurrogateExplainer)
    (attribution,) = explainer.attribute(crop, "blast")
    assert len(attribution.coefficients) == 1
    assert (attribution.map == 1).all()
    if method == "shap":
        assert attribution.coefficients[0] == pytest.approx(attribution.score - attribution.hidden_score, abs=1e-6)


@pytest.mark.parametrize("perturbations", [8, 33, 128])
@pytest.mark.parametrize("method", SURROGATES)
def test_as_many_variations_are_scored_as_were_asked_for(method: str, perturbations: int) -> None:
    classifier = FakeClassifier(fake_card(crop_px=PX))
    build_explainer(method, classifier, perturbations=perturbations).explain(random_crops(3), "blast")
    assert sum(classifier.batch_sizes) == 3 * perturbations


def test_more_perturbations_give_steadier_coefficients() -> None:
    crops = random_crops(2)

    def unlikeness(perturbations: int) -> float:
        first, second = (
            build_explainer("lime", small_classifier(), perturbations=perturbations, seed=seed).explain(crops, "blast") for seed in (0, 1)
        )
        return float(np.abs(first - second).mean())

    assert unlikeness(500) < 0.7 * unlikeness(50)


@pytest.mark.parametrize("hiding", ["grey", "mean", "black"])
def test_what_hidden_places_show_is_what_the_classifier_sees(hiding: str) -> None:
    crops = random_crops(1)
    explainer = build_explainer("lime", small_classifier(), hiding=hiding)
    assert isinstance(explainer, SurrogateExplainer)
    (attribution,) = explainer.attribute(crops, "blast")
    nothing = hide(crops[0], attribution.labels, np.zeros(len(attribution.coefficients), bool), hiding)  # type: ignore[arg-type]
    expected = small_classifier().predict(nothing[None]).probabilities[0, 1]
    assert attribution.hidden_score == pytest.approx(expected, abs=1e-7)
