"""Every method on a network whose answer is known: its score is the mean of one corner, so its maps must lie there."""

from __future__ import annotations

import io
import warnings
from contextlib import redirect_stderr, redirect_stdout

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from classifiers.base import ClassifierError
from classifiers.card import ModelCard
from classifiers.explain import build_explainer, names
from classifiers.explain.attribution import Attribution
from classifiers.explain.lime import LimeExplainer
from classifiers.explain.shap import ShapExplainer
from classifiers.explain.surrogates import SurrogateExplainer
from classifiers.torch_classifier import TorchClassifier
from smearscan.testing.classifiers import FakeClassifier

PX = 64
CORNER = 32  # the side of the corner that the network looks at
SURROGATES = ("lime", "shap")

Crops = NDArray[np.uint8]


class CornerNetwork(nn.Module):
    """The logit of "other" is the mean brightness of the upper left corner, that of "blast" its opposite."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 2, 4, stride=4, bias=False), nn.ReLU(inplace=True))
        self.head = nn.Linear(2, outputs, bias=False)
        with torch.no_grad():
            self.features[0].weight.fill_(1 / 48)  # type: ignore[operator]
            self.features[0].weight[1] *= -1  # type: ignore[index,operator]
            both = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])
            self.head.weight.copy_(both if outputs == 2 else 2 * both[1:])

    def forward(self, crops: Tensor) -> Tensor:
        looked_at = torch.zeros_like(crops)
        looked_at[:, :, :CORNER, :CORNER] = crops[:, :, :CORNER, :CORNER]
        share = (CORNER / crops.shape[-1]) ** 2
        logits: Tensor = self.head(self.features(looked_at).mean((2, 3)) / share)
        return logits


def corner_classifier(activation: str = "softmax", device: str = "cpu", **changes: object) -> TorchClassifier:
    facts: dict[str, object] = {
        "name": "corner",
        "summary": "Looks at one corner",
        "classes": ("other", "blast"),
        "roles": {"other": "other", "blast": "blast"},
        "positive_class": "blast",
        "activation": activation,
        "network": {"name": "none"},
        "crop_px": PX,
        "mean": (0.5, 0.5, 0.5),
        "std": (0.5, 0.5, 0.5),
        "cam_layer": "features",
    }
    network = CornerNetwork(2 if activation == "softmax" else 1)
    return TorchClassifier(ModelCard(**{**facts, **changes}), network, device=device)  # type: ignore[arg-type]


def tiled_crops(count: int, corner: tuple[int, int], elsewhere: tuple[int, int] = (60, 200)) -> Crops:
    """Tiles of 16 px, each of one grey with a little noise: in the corner from the range `corner`, outside from `elsewhere`."""
    rng = np.random.default_rng(5)
    tiles = rng.integers(*elsewhere, (count, 4, 4))
    tiles[:, :2, :2] = rng.integers(*corner, (count, 2, 2))
    tiles += np.indices((4, 4)).sum(axis=0) % 2 * 30  # neighbours differ
    crops = tiles.repeat(16, axis=1).repeat(16, axis=2)[..., None] + rng.integers(-3, 4, (count, PX, PX, 3))
    return crops.astype(np.uint8)


BRIGHT, DARK = (190, 220), (5, 30)


def share_in_corner(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    """How much of each map's positive mass lies in the corner."""
    mass = np.maximum(maps, 0)
    return mass[:, :CORNER, :CORNER].sum((1, 2)) / mass.sum((1, 2))  # type: ignore[no-any-return]


def in_corner(attribution: Attribution) -> NDArray[np.bool_]:
    """Which superpixels lie mostly in the corner."""
    inside = np.zeros((PX, PX), bool)
    inside[:CORNER, :CORNER] = True
    return np.array([inside[attribution.labels == piece].mean() > 0.5 for piece in range(len(attribution.coefficients))])


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
@pytest.mark.parametrize("method", names())
def test_the_map_lies_in_the_corner_that_the_network_looks_at(method: str, activation: str) -> None:
    explainer = build_explainer(method, corner_classifier(activation))
    for class_name, corner in (("other", BRIGHT), ("blast", DARK)):
        maps = explainer.explain(tiled_crops(3, corner), class_name)
        assert maps.shape == (3, PX, PX)
        assert maps.dtype == np.float32
        assert (share_in_corner(maps) > 0.8).all(), (class_name, share_in_corner(maps))


@pytest.mark.parametrize("method", SURROGATES)
def test_superpixels_of_the_corner_come_first(method: str) -> None:
    explainer = build_explainer(method, corner_classifier())
    assert isinstance(explainer, SurrogateExplainer)
    for attribution in explainer.attribute(tiled_crops(3, BRIGHT), "other"):
        inside = in_corner(attribution)
        assert 2 <= inside.sum() < len(inside) / 2
        assert inside[attribution.ranking[: inside.sum()]].all()
        assert attribution.fit > 0.95
        assert np.abs(attribution.coefficients[~inside]).max() < attribution.coefficients[inside].max() / 4


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
@pytest.mark.parametrize("method", names(signed=True))
def test_each_class_of_two_has_its_own_map(method: str, activation: str) -> None:
    """What speaks for one speaks against the other, whichever of them the classifier calls, and on one output as on two."""
    explainer = build_explainer(method, corner_classifier(activation))
    for corner, called in ((BRIGHT, "other"), (DARK, "blast")):
        crops = tiled_crops(2, corner)
        options = {"baselines": ("mean",)} if method == "gradient-shap" else {}  # against black, a dark corner is bright
        explainer = build_explainer(method, corner_classifier(activation), **options)
        of_other, of_blast = (explainer.explain(crops, name) for name in ("other", "blast"))
        np.testing.assert_allclose(of_other, -of_blast, atol=2e-5)
        signs = {"other": of_other, "blast": of_blast}
        for name, maps in signs.items():
            total = maps[:, :CORNER, :CORNER].sum((1, 2))
            assert ((total > 0) == (name == called)).all(), (name, called)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_the_score_that_is_explained_is_that_of_the_class(activation: str) -> None:
    classifier, crops = corner_classifier(activation), tiled_crops(2, BRIGHT)
    probabilities = classifier.predict(crops).probabilities
    assert probabilities[0, 0] > 0.7
    for column, name in enumerate(classifier.card.classes):
        attributions = LimeExplainer(classifier).attribute(crops, name)
        np.testing.assert_allclose([each.score for each in attributions], probabilities[:, column], atol=1e-6)
        np.testing.assert_allclose([each.hidden_score for each in attributions], 0.5, atol=0.01)  # grey is neither bright nor dark


def test_shapley_values_add_up_to_what_hiding_everything_takes_away() -> None:
    for attribution in ShapExplainer(corner_classifier()).attribute(tiled_crops(3, BRIGHT), "other"):
        assert attribution.coefficients.sum() == pytest.approx(attribution.score - attribution.hidden_score, abs=1e-3)


def test_log_odds_are_what_the_corner_adds_up_to() -> None:
    """The network is linear in log-odds, so there the model of it fits almost perfectly, other than in probability."""
    crops = tiled_crops(2, (250, 251))
    as_odds, as_probability = (
        ShapExplainer(corner_classifier(), scale=scale).attribute(crops, "other") for scale in ("log-odds", "probability")
    )  # type: ignore[arg-type]
    for odds, probability in zip(as_odds, as_probability, strict=True):
        assert odds.score == pytest.approx(np.log(probability.score / (1 - probability.score)), rel=1e-4)
        assert odds.fit > 0.99999 > probability.fit


def test_gradient_shap_adds_up_to_the_logit() -> None:
    classifier = corner_classifier("sigmoid")
    crops = tiled_crops(1, BRIGHT)
    explainer = build_explainer("gradient-shap", classifier, baselines=("black",))
    with torch.no_grad():
        whole, black = (float(classifier.network(classifier.prepare(each))[0, 0]) for each in (crops, np.zeros_like(crops)))
    values = explainer._attribute(crops[0], lambda inputs: explainer._network(inputs)[:, 0])  # type: ignore[attr-defined]
    assert values.sum() == pytest.approx(whole - black, rel=1e-4)


@pytest.mark.parametrize("method", names(signed=True))
def test_crops_are_prepared_as_the_classifier_does(method: str) -> None:
    """Where the card doubles the crop's size, the network's corner is half as wide on the crop; the map has the crop's size."""
    doubled = corner_classifier(preparation=({"step": "resize", "px": 2 * PX},))
    crops = tiled_crops(2, BRIGHT)
    crops[:, : CORNER // 2, : CORNER // 2] = 250
    maps = build_explainer(method, doubled).explain(crops, "other")
    assert maps.shape == (2, PX, PX)
    mass = np.maximum(maps, 0)
    # A sixteenth of the crop; superpixels reach a little beyond it.
    least = 0.8 if method == "gradient-shap" else 0.6
    assert (mass[:, : CORNER // 2, : CORNER // 2].sum((1, 2)) / mass.sum((1, 2)) > least).all()
    assert (maps.reshape(2, -1).argmax(1) // PX < CORNER // 2).all()


@pytest.mark.parametrize(
    ("step", "kept"), [({"step": "centre-crop", "px": 48}, slice(8, 56)), ({"step": "centre-zoom", "share": 0.5}, slice(16, 48))]
)
def test_what_the_network_does_not_see_has_no_part(step: dict[str, object], kept: slice) -> None:
    """The corner of what is seen begins inside the crop: that is where gradient SHAP's values lie."""
    maps = build_explainer("gradient-shap", corner_classifier(preparation=(step,))).explain(tiled_crops(2, BRIGHT, BRIGHT), "other")
    seen = np.zeros((PX, PX), bool)
    side = {48: CORNER, 32: CORNER // 2}[kept.stop - kept.start]
    seen[kept.start : kept.start + side, kept.start : kept.start + side] = True
    assert (np.abs(maps[:, ~seen]).sum(1) < 0.05 * np.abs(maps[:, seen]).sum(1)).all()
    assert (np.abs(maps[:, seen]) > 0.05).mean() > 0.95


@pytest.mark.parametrize("method", names())
def test_an_index_error_of_the_network_is_not_swallowed(method: str) -> None:
    """The `with` block of pytorch-grad-cam does so, and gives no map."""

    class Stumbling(CornerNetwork):
        def forward(self, crops: Tensor) -> Tensor:
            if float(crops.detach().std()) > 0.05:  # not on the crop of one colour that explainers are tried on
                raise IndexError("a fault of the network")
            return super().forward(crops)

    explainer = build_explainer(method, TorchClassifier(corner_classifier().card, Stumbling(2), device="cpu"))
    with pytest.raises(IndexError, match="a fault of the network"):
        explainer.explain(tiled_crops(1, BRIGHT), "other")


@pytest.mark.parametrize("method", names(signed=True))
def test_gradients_switched_off_by_the_caller_change_nothing(method: str) -> None:
    crops = tiled_crops(1, BRIGHT)
    expected = build_explainer(method, corner_classifier()).explain(crops, "other")
    with torch.inference_mode():
        found = build_explainer(method, corner_classifier()).explain(crops, "other")
    np.testing.assert_array_equal(found, expected)
    assert np.abs(expected).max() == pytest.approx(1)


@pytest.mark.parametrize("method", names(signed=True))
def test_nothing_is_printed_and_no_warning_given(method: str) -> None:
    stream = io.StringIO()
    with redirect_stderr(stream), redirect_stdout(stream), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        build_explainer(method, corner_classifier()).explain(tiled_crops(1, BRIGHT), "other")
    assert stream.getvalue() == ""
    assert caught == []


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("lime", {"layer": "features"}, "lime looks at no layer; 'features' is for gradcam\\+\\+, "),
        ("lime", {"perturbation": 9}, "lime cannot be built with .*It knows perturbations, hiding, "),
        ("lime", {"perturbations": 7}, "7 perturbations are too few"),
        ("lime", {"kernel_width": 0}, "kernel_width 0 must be above 0"),
        ("lime", {"hiding": "white"}, "cannot be 'white'. Known: grey, mean, black"),
        ("lime", {"superpixels": {"method": "felzenszwalb"}}, "no superpixels by 'felzenszwalb'"),
        ("lime", {"superpixels": {"kernel": 4}}, "Superpixels cannot be made with {'kernel': 4}"),
        ("shap", {"scale": "logit"}, "cannot be explained as 'logit'. Known: probability, log-odds"),
        ("shap", {"kernel_width": 1}, "shap cannot be built with {'kernel_width': 1}"),
        ("gradient-shap", {"samples": 0}, "one or more samples"),
        ("gradient-shap", {"baselines": ("white",)}, "cannot be 'white'"),
        ("gradcam", {"perturbations": 128}, "gradcam cannot be built with .*It knows layer"),
        ("gradcam", {"layer": "body"}, "no layer 'body', whether asked for or named by the card"),
        ("grad-cam", {}, "no heat map method named 'grad-cam'. Known: gradcam\\+\\+, .*lime, shap, gradient-shap"),
    ],
)
def test_what_cannot_be_done_is_refused_when_built(name: str, options: dict[str, object], message: str) -> None:
    with pytest.raises(ClassifierError, match=message):
        build_explainer(name, corner_classifier(), **options)  # type: ignore[arg-type]


def test_a_classifier_without_a_network_has_no_gradients() -> None:
    with pytest.raises(ClassifierError, match="'fake' has no network to look into, which gradient-shap needs"):
        build_explainer("gradient-shap", FakeClassifier())


@pytest.mark.parametrize("method", names(signed=True))
def test_a_class_that_is_not_the_cards_is_refused(method: str) -> None:
    with pytest.raises(ClassifierError, match=r"no class 'hem' to explain\. Its classes are other, blast"):
        build_explainer(method, corner_classifier()).explain(tiled_crops(1, BRIGHT), "hem")
