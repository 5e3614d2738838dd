"""Activations are what the layer gives, and a grid shows the channels it says, each on its own scale."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from classifiers import networks
from classifiers.base import ClassifierError
from classifiers.card import ModelCard
from classifiers.explain import build_explainer, layer_names
from classifiers.explain.activations import ROWS, activations, choose, grid
from classifiers.explain.layers import candidate_layers
from classifiers.torch_classifier import TorchClassifier
from smearscan.testing.classifiers import FakeClassifier

PX = 64


def small_classifier() -> TorchClassifier:
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
        cam_layer="features.2",
    )
    return TorchClassifier(card, networks.build_for(card).eval(), device="cpu")


def random_crops(count: int) -> NDArray[np.uint8]:
    return np.random.default_rng(9).integers(0, 256, (count, PX, PX, 3), dtype=np.uint8)


@pytest.mark.parametrize("layer", ["stem.0", "stem.0.1", "features.2", "features"])
def test_activations_are_what_the_layer_gives(layer: str) -> None:
    classifier, crops = small_classifier(), random_crops(ROWS + 3)
    found = activations(classifier, crops, layer)
    kept: list[Tensor] = []
    hook = classifier.network.get_submodule(layer).register_forward_hook(lambda _module, _inputs, output: kept.append(output.clone()))
    with torch.no_grad():
        classifier.network(classifier.prepare(crops))
    hook.remove()
    np.testing.assert_allclose(found, kept[0].numpy(), atol=1e-5)
    assert (found < 0).any() == (layer == "stem.0.1")  # before the ReLU that writes over it
    np.testing.assert_array_equal(activations(classifier, crops[2:3], layer)[0], found[2])
    assert activations(classifier, crops[:0], layer).shape == (0, *found.shape[1:])


def test_layers_that_are_not_there_or_have_no_places_are_refused() -> None:
    with pytest.raises(ClassifierError, match=r"no layer 'body'.*stem, features, pool, head"):
        activations(small_classifier(), random_crops(1), "body")
    with pytest.raises(ClassifierError, match=r"'head' gives \(1, 2\), not maps"):
        activations(small_classifier(), random_crops(1), "head")
    with pytest.raises(ClassifierError, match="'fake' has no network to look into, which a picture of activations needs"):
        activations(FakeClassifier(), random_crops(1), "features")


def channels() -> NDArray[np.float32]:
    """Six channels of 2 x 3, the fourth the most active, then the second, then the others in order."""
    maps = np.arange(6, dtype=np.float32).reshape(1, 2, 3).repeat(6, axis=0)
    maps *= np.array([1, -5, 1, 9, 1, 0], np.float32)[:, None, None]
    return maps


def test_the_most_active_channels_or_the_first_are_chosen() -> None:
    assert choose(channels(), 3).tolist() == [3, 1, 0]
    assert choose(channels(), 9).tolist() == [3, 1, 0, 2, 4, 5]
    assert choose(channels(), 2, "first").tolist() == [0, 1]
    with pytest.raises(ClassifierError, match=r"cannot be chosen by 'last'\. Known: active, first"):
        choose(channels(), 2, "last")  # type: ignore[arg-type]
    with pytest.raises(ClassifierError, match="0 channels"):
        choose(channels(), 0)


def test_a_grid_shows_each_channel_on_its_own_scale() -> None:
    arranged = grid(channels(), 3, columns=2, gap=1)
    assert arranged.shape == (2 * 2 + 1, 2 * 3 + 1)
    rising = np.arange(6, dtype=np.float32).reshape(2, 3) / 5
    np.testing.assert_allclose(arranged[:2, :3], rising)
    np.testing.assert_allclose(arranged[:2, 4:], 1 - rising, atol=1e-6)
    np.testing.assert_allclose(arranged[3:, :3], rising)
    assert np.isnan(arranged[2]).all()
    assert np.isnan(arranged[:, 3]).all()
    assert np.isnan(arranged[3:, 4:]).all()
    assert grid(channels(), 5).shape == (2 * 2 + 1, 3 * 3 + 2)
    assert (grid(channels()[5:], 1) == 0).all()


def test_the_last_layer_of_each_stage_is_a_candidate() -> None:
    assert layer_names(small_classifier()) == ("stem.0", "features.0", "features.2", "features")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("resnet18", ("relu", "layer1", "layer2", "layer3", "layer4")),
        ("vgg11", ("features.1", "features.4", "features.9", "features.14", "features.19", "features")),
    ],
)
def test_candidates_of_known_networks(name: str, expected: tuple[str, ...]) -> None:
    network = getattr(pytest.importorskip("torchvision").models, name)(weights=None).eval()
    with torch.no_grad():
        assert candidate_layers(network, torch.zeros(1, 3, 64, 64)) == expected
    assert not any(module._forward_hooks for module in network.modules())


def test_a_layer_used_twice_and_a_single_place_are_no_candidates() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv2d(3, 3, 3, padding=1)
            self.second = nn.Conv2d(3, 3, 3, padding=1)
            self.last = nn.Conv2d(3, 3, 16)

        def forward(self, crops: Tensor) -> Tensor:
            once: Tensor = self.last(self.second(self.second(self.first(crops))))
            return once.flatten(1)

    assert candidate_layers(Twice(), torch.zeros(1, 3, 16, 16)) == ("first",)


def test_class_activation_maps_of_each_candidate_stand_side_by_side() -> None:
    classifier, crops = small_classifier(), random_crops(2)
    maps = [build_explainer("gradcam++", classifier, layer=layer).explain(crops, "blast") for layer in layer_names(classifier)]
    for one, other in pairwise(maps):
        assert not np.array_equal(one, other)
    np.testing.assert_array_equal(maps[2], build_explainer("gradcam++", classifier).explain(crops, "blast"))
