"""A map lies where the network looked, not where stretching it would put it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor, nn

from classifiers import networks
from classifiers.card import ModelCard
from classifiers.explain import build_explainer
from classifiers.explain.alignment import Alignment, find_alignment
from classifiers.torch_classifier import TorchClassifier

PX = 64


class Strided(nn.Module):
    """Three convolutions of stride 2, padded by half their width as is usual; the brighter the crop, the more it is a blast."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(*(nn.Conv2d(3 if first else 1, 1, 3, stride=2, padding=1) for first in (True, False, False)))
        for convolution in self.features:
            nn.init.constant_(convolution.weight, 1 / 9)  # type: ignore[arg-type]
            nn.init.zeros_(convolution.bias)  # type: ignore[arg-type]

    def forward(self, crops: Tensor) -> Tensor:
        mean: Tensor = self.features(crops).mean((1, 2, 3))
        return torch.stack([-mean, mean], dim=1)


def strided_classifier(**changes: object) -> TorchClassifier:
    card = ModelCard(
        name="strided",
        summary="Never trained",
        classes=("other", "blast"),
        roles={"other": "other", "blast": "blast"},
        positive_class="blast",
        activation="softmax",
        network={"name": "none"},
        crop_px=PX,
        cam_layer="features",
        **changes,  # type: ignore[arg-type]
    )
    return TorchClassifier(card, Strided(), device="cpu")


@pytest.mark.parametrize("preparation", [(), ({"step": "resize", "px": 3 * PX // 2},)])
def test_the_map_of_a_dot_lies_on_the_dot(preparation: tuple[object, ...]) -> None:
    rng = np.random.default_rng(2)
    places = rng.uniform(14, PX - 14, (200, 2))
    y, x = np.mgrid[:PX, :PX]
    dots = np.exp(-((x - places[:, :1, None]) ** 2 + (y - places[:, 1:, None]) ** 2) / 18)
    crops = np.repeat((255 * dots)[..., None].round().astype(np.uint8), 3, axis=3)
    maps = build_explainer("hirescam", strided_classifier(preparation=preparation)).explain(crops, "blast").astype(np.float64)
    mass = maps.sum((1, 2))
    found = np.stack([(maps * x).sum((1, 2)) / mass, (maps * y).sum((1, 2)) / mass], axis=1)
    assert (np.abs((found - places).mean(axis=0)) < 0.3).all(), "stretching is 3.5 px off"


def resnet18() -> nn.Module:
    return torchvision.models.resnet18(weights=None)  # type: ignore[no-any-return]


def densenet121() -> nn.Module:
    return torchvision.models.densenet121(weights=None)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("make", "layer", "side", "start", "step"),
    [
        (Strided, "features", 64, 0, 8),
        (lambda: networks.build("small-cnn", outputs=2), "features.2", 64, 0, 8),
        (resnet18, "layer3", 112, 0, 16),
        pytest.param(densenet121, "features", 224, 14, 32, marks=pytest.mark.slow),
        (lambda: nn.Sequential(nn.Conv2d(3, 4, 4, stride=4)), "0", 32, 1.5, 4),
        (lambda: nn.Sequential(nn.Conv2d(3, 4, 5), nn.MaxPool2d(2), nn.Conv2d(4, 4, 3)), "2", 36, 4.5, 2),
    ],
)
def test_where_features_look_is_what_strides_and_paddings_say(
    make: Callable[[], nn.Module], layer: str, side: int, start: float, step: float
) -> None:
    network = make().eval().requires_grad_(False)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert find_alignment(network, layer, side)[0] == Alignment(start, step)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items()), "the network is left as it was"


def test_a_layer_of_which_nothing_can_be_told_is_stretched() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 2, stride=2), nn.AdaptiveAvgPool2d(4)).requires_grad_(False)
    assert find_alignment(network, "1", 32) == (Alignment.stretched(32, 4), 4)
    assert Alignment.stretched(32, 4) == Alignment(3.5, 8)


def test_stretching_leaves_a_map_as_it_is() -> None:
    stretched, out = np.random.default_rng(1).random((32, 32)).astype(np.float32), np.zeros((32, 32), np.float32)
    Alignment.stretched(32, 4).lay(stretched, 4, out)
    np.testing.assert_allclose(out, stretched, atol=1e-6)
