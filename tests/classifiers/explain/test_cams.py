"""Maps of a network whose answer is known: it looks at one corner, so the map must lie there, for either class."""

from __future__ import annotations

import io
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from classifiers import networks
from classifiers.base import Classifier, ClassifierError
from classifiers.card import ModelCard
from classifiers.explain import build_explainer, names
from classifiers.explain.cams import ROWS, CamExplainer
from classifiers.torch_classifier import TorchClassifier
from smearscan.testing.classifiers import FakeClassifier

PX = 48
CORNER = 20  # the side of the corner that the network looks at
CLASS_METHODS = tuple(name for name in names(signed=False) if name != "eigencam")  # which shows no class
GRADIENT_METHODS = tuple(name for name in CLASS_METHODS if name != "scorecam")  # whose softmax gives no mask a weight of 0

Crops = NDArray[np.uint8]


class CornerNetwork(nn.Module):
    """Its first class is the more likely the brighter the upper left corner, its second the darker; the rest is not looked at."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 2, 4, stride=4, bias=False), nn.ReLU(inplace=True))
        self.head = nn.Linear(2, outputs, bias=False)
        with torch.no_grad():
            self.features[0].weight.fill_(1 / 48)  # type: ignore[operator]
            self.features[0].weight[1] *= -1  # type: ignore[index,operator]
            self.head.weight.copy_(torch.tensor([[40.0, 0.0], [0.0, 40.0]] if outputs == 2 else [[-40.0, 40.0]]))

    def forward(self, crops: Tensor) -> Tensor:
        seen = torch.zeros_like(crops)
        seen[:, :, :CORNER, :CORNER] = crops[:, :, :CORNER, :CORNER]
        logits: Tensor = self.head(self.features(seen).mean((2, 3)))
        return logits


def make_card(**changes: object) -> ModelCard:
    card = ModelCard(
        name="corner",
        summary="Looks at one corner",
        classes=("other", "blast"),
        roles={"other": "other", "blast": "blast"},
        positive_class="blast",
        activation="softmax",
        network={"name": "none"},
        crop_px=PX,
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        cam_layer="features",
    )
    return replace(card, **changes)  # type: ignore[arg-type]


def corner_classifier(activation: str = "softmax", **changes: object) -> TorchClassifier:
    network = CornerNetwork(2 if activation == "softmax" else 1)
    return TorchClassifier(make_card(activation=activation, **changes), network, device="cpu")


def small_classifier(**changes: object) -> TorchClassifier:
    torch.manual_seed(7)
    card = make_card(network={"name": "small-cnn", "width": 8}, cam_layer="features.2", **changes)
    return TorchClassifier(card, networks.build_for(card).eval(), device="cpu")


def half_bright_crops(count: int = 3) -> Crops:
    """Upper half bright, lower half dark within the corner, and the same again all over the crop."""
    rows = np.where(np.arange(PX) % CORNER < CORNER // 2, 230, 25)
    crops = np.broadcast_to(rows[None, :, None, None], (count, PX, PX, 3)).astype(np.int64)
    return (crops + np.random.default_rng(3).integers(-20, 21, crops.shape)).astype(np.uint8)


def random_crops(count: int) -> Crops:
    return np.random.default_rng(9).integers(0, 256, (count, PX, PX, 3), dtype=np.uint8)


def share(maps: NDArray[np.float32], rows: slice, columns: slice) -> NDArray[np.float32]:
    """How much of each map's mass lies there."""
    return maps[:, rows, columns].sum((1, 2)) / maps.sum((1, 2))  # type: ignore[no-any-return]


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
@pytest.mark.parametrize("method", names(signed=False))
def test_the_map_lies_in_the_corner_that_the_network_looks_at(method: str, activation: str) -> None:
    explainer = build_explainer(method, corner_classifier(activation))
    for class_name in ("other", "blast"):
        maps = explainer.explain(half_bright_crops(), class_name)
        assert maps.shape == (3, PX, PX)
        assert (share(maps, slice(CORNER), slice(CORNER)) > 0.8).all(), class_name
        assert (maps[:, CORNER + 4 :, CORNER + 4 :] == 0).all(), class_name


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
@pytest.mark.parametrize("method", CLASS_METHODS)
def test_each_class_has_its_own_half_of_the_corner(method: str, activation: str) -> None:
    explainer = build_explainer(method, corner_classifier(activation))
    bright, dark = slice(0, CORNER // 2), slice(CORNER // 2, CORNER)
    assert (share(explainer.explain(half_bright_crops(), "other"), bright, slice(None)) > 0.75).all()
    assert (share(explainer.explain(half_bright_crops(), "blast"), dark, slice(None)) > 0.75).all()


def test_the_scores_of_the_corner_network_are_those_of_its_corner() -> None:
    """So that the maps above are known to explain what they are said to."""
    for activation in ("softmax", "sigmoid"):
        crops = half_bright_crops(2)
        crops[0, :CORNER, :CORNER], crops[1, :CORNER, :CORNER] = 250, 5
        blast = corner_classifier(activation).predict(crops).probabilities[:, 1]
        assert blast[0] < 0.5 < blast[1], activation


@pytest.mark.parametrize("method", names(signed=False))
def test_a_map_does_not_depend_on_the_batch(method: str) -> None:
    explainer = build_explainer(method, small_classifier())
    crops = random_crops(4 if method == "scorecam" else ROWS + 2)
    together = explainer.explain(crops, "blast")
    for row in (0, 2, len(crops) - 1):
        np.testing.assert_array_equal(explainer.explain(crops[row : row + 1], "blast")[0], together[row])
    np.testing.assert_array_equal(explainer.explain(crops[::-1], "blast")[::-1], together)
    assert len(np.unique(together.reshape(len(together), -1), axis=0)) > len(crops) // 2


@pytest.mark.parametrize("method", names(signed=False))
def test_maps_reach_one_and_stay_within_zero_and_one(method: str) -> None:
    maps = build_explainer(method, small_classifier()).explain(random_crops(4), "blast")
    assert maps.dtype == np.float32
    assert maps.min() >= 0
    np.testing.assert_allclose(maps.max((1, 2)), 1, atol=1e-6)


@pytest.mark.parametrize("method", GRADIENT_METHODS)
def test_a_map_is_zero_where_nothing_speaks_for_the_class(method: str) -> None:
    crops = half_bright_crops()
    crops[:, :CORNER, :CORNER] = 250  # nothing dark in the corner
    explainer = build_explainer(method, corner_classifier())
    assert (explainer.explain(crops, "blast") == 0).all()
    assert (explainer.explain(crops, "other").max((1, 2)) == 1).all()


def test_no_crops_give_no_maps() -> None:
    assert build_explainer("gradcam++", small_classifier()).explain(random_crops(0), "blast").shape == (0, PX, PX)


def test_maps_are_made_under_inference_mode_too() -> None:
    crops = random_crops(2)
    expected = build_explainer("gradcam++", small_classifier()).explain(crops, "blast")
    with torch.inference_mode():
        found = build_explainer("gradcam++", small_classifier()).explain(crops, "blast")
    np.testing.assert_array_equal(found, expected)


def test_the_network_explained_is_the_one_that_scores() -> None:
    """It is not folded, so its logits agree to rounding."""
    classifier = small_classifier(temperature=1.0)
    crops = random_crops(6)
    with torch.no_grad():
        probabilities = classifier.network(classifier.prepare(crops)).softmax(1).numpy()
    np.testing.assert_allclose(probabilities, classifier.predict(crops).probabilities, atol=1e-5)


def test_explaining_leaves_the_classifier_as_it_was() -> None:
    classifier, crops = small_classifier(), random_crops(3)
    before = classifier.predict(crops).probabilities
    build_explainer("gradcam", classifier).explain(crops, "blast")
    np.testing.assert_array_equal(classifier.predict(crops).probabilities, before)
    assert not any(module._forward_hooks for module in classifier.network.modules())
    assert all(weight.grad is None for weight in classifier.network.parameters())


@pytest.mark.parametrize("layer", ["features.0", "features.1"])
def test_a_layer_written_over_by_the_next_is_read_before(layer: str) -> None:
    """An in-place ReLU follows features.0: were its work seen there, the convolution's negative side would be missing."""
    explainer = build_explainer("hirescam", corner_classifier("sigmoid", cam_layer=layer))
    assert isinstance(explainer, CamExplainer)
    kept: list[Tensor] = []
    cam_of = explainer._module.register_forward_hook(lambda _module, _inputs, output: kept.append(output.clone()))
    crops = half_bright_crops(1)
    explainer.explain(crops, "blast")
    cam_of.remove()
    has_negative = bool((kept[0] < 0).any())
    assert has_negative == (layer == "features.0")


def test_crops_are_prepared_as_the_classifier_does() -> None:
    """Where the card doubles the crop's size, the network's corner is half as wide on the crop; the map has the crop's size."""
    doubled = corner_classifier(preparation=({"step": "resize", "px": 2 * PX},))
    maps = build_explainer("gradcam++", doubled).explain(half_bright_crops(), "other")
    assert maps.shape == (3, PX, PX)
    assert (share(maps, slice(CORNER // 2), slice(CORNER // 2)) > 0.8).all()
    np.testing.assert_allclose(maps.max((1, 2)), 1, atol=1e-6)


def test_without_a_named_layer_the_last_convolution_is_taken() -> None:
    explainer = build_explainer("gradcam", corner_classifier(cam_layer=None))
    assert isinstance(explainer, CamExplainer)
    assert explainer.layer == "features.0"


@pytest.mark.parametrize("method", names(signed=False))
def test_nothing_is_printed(method: str) -> None:
    stream = io.StringIO()
    with redirect_stderr(stream), redirect_stdout(stream):
        build_explainer(method, small_classifier()).explain(random_crops(2), "blast")
    assert stream.getvalue() == ""


class Unused(CornerNetwork):
    """Has a layer that nothing uses, and one whose maps nothing depends on."""

    def __init__(self) -> None:
        super().__init__(2)
        self.spare = nn.Conv2d(3, 3, 1)
        self.ignored = nn.Conv2d(3, 3, 1)

    def forward(self, crops: Tensor) -> Tensor:
        self.ignored(crops)
        return super().forward(crops)


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("gradcam+++", corner_classifier, "no heat map method named 'gradcam\\+\\+\\+'. Known: gradcam\\+\\+, gradcam, "),
        ("gradcam", FakeClassifier, "'fake' has no network to look into"),
        ("gradcam", lambda: corner_classifier(cam_layer="features.7"), "no layer 'features.7'.*features, head"),
        ("gradcam", lambda: corner_classifier(cam_layer="head"), "'head' gives \\(1, 2\\)"),
        ("gradcam", lambda: TorchClassifier(make_card(cam_layer="spare"), Unused(), device="cpu"), "uses the layer 'spare' 0 times"),
        (
            "gradcam",
            lambda: TorchClassifier(make_card(cam_layer="ignored"), Unused(), device="cpu"),
            "do not depend on the layer 'ignored'",
        ),
    ],
)
def test_what_cannot_be_explained_is_refused_when_built(name: str, make: Callable[[], Classifier], message: str) -> None:
    with pytest.raises(ClassifierError, match=message):
        build_explainer(name, make())


def test_a_class_that_is_not_the_cards_is_refused() -> None:
    with pytest.raises(ClassifierError, match=r"no class 'hem' to explain\. Its classes are other, blast"):
        build_explainer("gradcam", corner_classifier()).explain(random_crops(1), "hem")
