"""Where a card's preparation shows the network a part of the crop, its map lies on that part."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from classifiers.card import ModelCard
from classifiers.explain import build_explainer
from classifiers.explain.alignment import Alignment
from classifiers.torch_classifier import TorchClassifier

PX = 96


class Bright(nn.Module):
    """The brighter what it sees, the more it is a blast; each feature looks at 4 by 4 pixels of the red channel."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Conv2d(3, 1, 4, stride=4, bias=False)
        nn.init.zeros_(self.features.weight)
        nn.init.constant_(self.features.weight[:, 0], 1 / 16)

    def forward(self, crops: Tensor) -> Tensor:
        mean: Tensor = self.features(crops).mean((1, 2, 3))
        return torch.stack([-mean, mean], dim=1)


def explained(preparation: tuple[dict[str, Any], ...], crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    card = ModelCard(
        name="bright",
        summary="Never trained",
        classes=("other", "blast"),
        roles={"other": "other", "blast": "blast"},
        positive_class="blast",
        activation="softmax",
        network={"name": "none"},
        crop_px=PX,
        cam_layer="features",
        preparation=preparation,
    )
    return build_explainer("hirescam", TorchClassifier(card, Bright(), device="cpu")).explain(crops, "blast")


def cells(count: int = 40) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Dim blue squares on black, each elsewhere, with a red spot in each; and where the spots are, (n, 2) x and y."""
    rng = np.random.default_rng(5)
    crops, spots = np.zeros((count, PX, PX, 3), np.uint8), np.empty((count, 2))
    y, x = np.mgrid[:PX, :PX]
    for crop, spot in zip(crops, spots, strict=True):
        side = int(rng.integers(34, 46))
        left, top = rng.integers(20, 75 - side, 2)
        crop[top : top + side, left : left + side, 2] = 200
        spot[:] = left + rng.uniform(14, side - 14), top + rng.uniform(14, side - 14)
        red = 255 * np.exp(-((x - spot[0]) ** 2 + (y - spot[1]) ** 2) / 12)
        crop[..., 0] = np.where(crop[..., 2] > 0, red.round(), 0)
    return crops, spots


def centres(maps: NDArray[np.float32]) -> NDArray[np.float64]:
    mass = maps.astype(np.float64)
    y, x = np.mgrid[:PX, :PX]
    return np.stack([(mass * x).sum((1, 2)), (mass * y).sum((1, 2))], axis=1) / mass.sum((1, 2))[:, None]


@pytest.mark.parametrize(
    "preparation",
    [
        ({"step": "cell-crop", "px": 64},),
        ({"step": "cell-crop", "px": 128, "margin": 0.2},),
        ({"step": "centre-zoom", "share": 0.75},),
        ({"step": "centre-crop", "px": 80},),
        ({"step": "centre-crop", "px": 90}, {"step": "cell-crop", "px": 72}, {"step": "resize", "px": 48}),
    ],
    ids=["cell-crop", "margin", "zoom", "crop", "all"],
)
def test_the_map_of_a_spot_lies_on_the_spot(preparation: tuple[dict[str, Any], ...]) -> None:
    crops, spots = cells()
    away = centres(explained(preparation, crops)) - spots
    assert np.abs(away.mean(axis=0)).max() < 0.35, "a map that is laid as if it showed the whole crop is many pixels off"
    assert np.abs(away).max() < 2.5


def test_what_the_network_did_not_see_is_zero() -> None:
    crops = np.zeros((1, PX, PX, 3), np.uint8)
    crops[0, 30:60, 20:50] = np.linspace(100, 250, 30)[None, :, None]  # bright to its very edge
    (made,) = explained(({"step": "cell-crop", "px": 60},), crops)
    assert made[30:60, 49].min() > 0.9
    made[30:60, 20:50] = 0
    assert (made == 0).all()


def test_the_whole_crop_as_a_place_changes_nothing() -> None:
    stretched = np.random.default_rng(1).random((32, 32)).astype(np.float32)
    alignment = Alignment(1.0, 4)
    plain, placed = np.zeros((2, 48, 48), np.float32)
    alignment.lay(stretched, 8, plain)
    ratio = 48 / 32
    alignment.lay(stretched, 8, placed, np.array([[ratio, 0, (ratio - 1) / 2], [0, ratio, (ratio - 1) / 2]]))
    np.testing.assert_allclose(placed, plain, atol=1e-5)
