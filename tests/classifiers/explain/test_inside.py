"""How much of a map lies in a cell: known shares, and a network that is blind to the background."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from classifiers.card import ModelCard
from classifiers.explain import build_explainer
from classifiers.explain.cams import METHODS
from classifiers.explain.inside import ellipses, share_inside
from classifiers.torch_classifier import TorchClassifier

PX = 64
CELL = (14.0, 10.0, 50.0, 54.0)  # its box in the crop


def test_an_even_map_has_the_share_that_the_cell_takes_up() -> None:
    even = np.ones((2, PX, PX))
    masks = np.zeros((2, PX, PX), np.bool_)
    masks[0, :16], masks[1, :, :48] = True, True
    np.testing.assert_allclose(share_inside(even, masks), [0.25, 0.75])
    left, top, right, bottom = CELL
    (share,) = share_inside(even[:1], [CELL])
    assert share == pytest.approx(np.pi / 4 * (right - left) * (bottom - top) / PX**2, rel=0.01), "a box stands for the ellipse in it"


def test_all_or_nothing() -> None:
    maps = np.zeros((3, PX, PX))
    maps[0, 30:34, 30:34] = 0.5  # in the cell
    maps[1, :4, :4] = 0.5  # in the corner of the crop
    maps[2, 10:13, 14:17] = 0.5  # in the corner of the box, which is no cell any more
    np.testing.assert_array_equal(share_inside(maps, [CELL] * 3), [1, 0, 0])


def test_what_speaks_against_the_class_is_left_out() -> None:
    signed = np.zeros((1, PX, PX))
    signed[0, 30, 30], signed[0, 0, 0], signed[0, 0, 1] = 3, 1, -100
    assert share_inside(signed, [CELL]).tolist() == [0.75]


def test_a_map_without_mass_has_no_share() -> None:
    assert np.isnan(share_inside(np.zeros((1, PX, PX)), [CELL])).all()
    assert np.isnan(share_inside(-np.ones((1, PX, PX)), [CELL])).all()
    assert share_inside(np.zeros((0, PX, PX)), np.zeros((0, 4))).shape == (0,)


def test_a_cell_may_reach_beyond_its_crop_or_lie_beside_it() -> None:
    even = np.ones((1, PX, PX))
    assert share_inside(even, [(-200, -200, 264, 264)]).tolist() == [1]
    assert share_inside(even, [(-40, -40, -4, -4)]).tolist() == [0]
    assert not ellipses([(20, 20, 20, 20)], (PX, PX)).any()


def test_masks_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match="as many boxes or masks of their size"):
        share_inside(np.ones((2, PX, PX)), np.ones((1, 4)))
    with pytest.raises(ValueError, match="as many boxes or masks of their size"):
        share_inside(np.ones((2, PX, PX)), np.ones((2, 8, 8), np.bool_))


class BlindToBackground(nn.Module):
    """Scores how dark the middle of the crop is; whatever lies beside it is not looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 2, 4, stride=4, bias=False), nn.ReLU())
        self.head = nn.Linear(2, 2, bias=False)
        with torch.no_grad():
            self.features[0].weight.fill_(1 / 48)  # type: ignore[operator]
            self.features[0].weight[1] *= -1  # type: ignore[index,operator]
            self.head.weight.copy_(torch.tensor([[40.0, 0.0], [0.0, 40.0]]))

    def forward(self, crops: Tensor) -> Tensor:
        seen = crops * torch.from_numpy(ellipses([(18, 14, 46, 50)], (PX, PX)))  # two pixels of the coarse map less than the cell
        logits: Tensor = self.head(self.features(seen).mean((2, 3)))
        return logits


@pytest.mark.parametrize("method", METHODS)
def test_a_network_that_is_blind_to_the_background_has_its_maps_in_the_cell(method: str) -> None:
    card = ModelCard(
        name="blind",
        summary="Looks at the middle",
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
    classifier = TorchClassifier(card, BlindToBackground(), device="cpu")
    crops = np.random.default_rng(4).integers(0, 60, (4, PX, PX, 3), dtype=np.uint8)
    shares = share_inside(build_explainer(method, classifier).explain(crops, "blast"), [CELL] * 4)
    assert (shares > 0.9).all(), shares
    even = share_inside(np.ones((1, PX, PX)), [CELL])[0]
    assert even < 0.35, "a map without preference has far less in the cell"
