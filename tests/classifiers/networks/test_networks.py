from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from classifiers import networks
from classifiers.base import ClassifierError
from classifiers.networks.scratch import HalfInstanceNorm
from classifiers.preprocess import Preparation
from classifiers.torch_classifier import TorchClassifier
from smearscan.testing.classifiers import fake_card


@pytest.mark.parametrize("px", [48, 64, 96, 112])
def test_the_small_network_takes_crops_of_many_sizes(px: int) -> None:
    network = networks.build("small-cnn", outputs=3, width=8).eval()
    assert network(torch.zeros(2, 3, px, px)).shape == (2, 3)


def test_a_card_gets_one_output_a_class_or_one_for_a_sigmoid() -> None:
    card = replace(fake_card(), network={"name": "small-cnn", "width": 4})
    sigmoid = replace(card, activation="sigmoid", classes=("other", "blast"), roles={"other": "other", "blast": "blast"})
    for given, outputs in ((card, 3), (sigmoid, 1)):
        assert networks.build_for(given).eval()(torch.zeros(1, 3, 64, 64)).shape == (1, outputs)


def test_an_unknown_network_is_named_with_those_that_are_known() -> None:
    with pytest.raises(ClassifierError, match=r"'large-cnn'.*small-cnn"):
        networks.build("large-cnn", outputs=2)


def test_an_unknown_option_is_named() -> None:
    with pytest.raises(ClassifierError, match="'colour'"):
        networks.build("small-cnn", outputs=2, colour="blue")


def test_a_card_without_a_network_is_refused() -> None:
    with pytest.raises(ClassifierError, match="must have a name"):
        networks.build_for(replace(fake_card(), network={"width": 4}))


def test_no_steps_leave_the_crops_as_they_are() -> None:
    crops = np.zeros((2, 8, 8, 3), np.uint8)
    assert Preparation(())(crops) is crops


def test_an_unknown_step_is_named() -> None:
    with pytest.raises(ClassifierError, match=r"'sharpen'.*resize"):
        Preparation(({"step": "sharpen"},))


def test_a_step_without_a_name_is_refused() -> None:
    with pytest.raises(ClassifierError, match="None"):
        Preparation(({"px": 4},))


def test_an_unknown_option_of_a_step_is_named() -> None:
    with pytest.raises(ClassifierError, match=r"'resize'.*size"):
        Preparation(({"step": "resize", "size": 4},))


@pytest.mark.parametrize("px", [8, 16, 32])
def test_resizing_treats_each_crop_by_itself(px: int) -> None:
    crops = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)
    resize = Preparation(({"step": "resize", "px": px},))
    together = resize(crops)
    assert together.shape == (5, px, px, 3)
    np.testing.assert_array_equal(together[2:3], resize(crops[2:3]))


def test_layers_free_of_the_look_do_not_know_how_bright_a_crop_is() -> None:
    torch.manual_seed(0)
    norm = HalfInstanceNorm(6).eval()
    maps = torch.randn(4, 6, 9, 9)
    lit = 0.5 * maps + 2
    one, other = norm(maps), norm(lit)
    torch.testing.assert_close(one[:, :3], other[:, :3], atol=1e-4, rtol=1e-3)
    assert not torch.allclose(one[:, 3:], other[:, 3:], atol=0.1)
    network = networks.build("small-cnn", outputs=3, width=8, look_free=3).eval()
    assert sum(isinstance(module, HalfInstanceNorm) for module in network.modules()) == 3
    card = replace(fake_card(), network={"name": "small-cnn", "width": 8, "look_free": 3}, crop_px=48)
    crops = np.random.default_rng(0).integers(0, 256, (5, 48, 48, 3), dtype=np.uint8)
    classifier = TorchClassifier(card, network, device="cpu", precision="fp32")
    plain = torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        expected = network(plain).softmax(1).numpy()
    np.testing.assert_allclose(classifier.predict(crops).probabilities, expected, atol=1e-5)
