"""The papers' networks have the layers that the papers give."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from classifiers import networks
from classifiers.base import ClassifierError
from classifiers.networks.blocks import feature_shape


def parameters(network: nn.Module) -> int:
    return sum(each.numel() for each in network.parameters())


def convolution(inputs: int, filters: int) -> int:
    return (3 * 3 * inputs + 1) * filters


def dense(inputs: int, units: int) -> int:
    return (inputs + 1) * units


def left_over(network: nn.Module, px: int) -> tuple[int, ...]:
    return feature_shape(network.get_submodule("body"), px)


def test_papaioannou_leaves_4_x_4_of_128_px() -> None:
    network = networks.build("cnn5", outputs=2, input_px=128)
    assert left_over(network, 128) == (64, 4, 4)
    layers = [(3, 16), (16, 32), (32, 32), (32, 64), (64, 64)]
    assert parameters(network) == sum(convolution(*each) for each in layers) + dense(1024, 128) + dense(128, 2)
    assert [each.p for each in network.modules() if isinstance(each, nn.Dropout)] == [0.2]


@pytest.mark.parametrize("px", [64, 256])
def test_papaioannou_also_takes_the_papers_other_sizes(px: int) -> None:
    network = networks.build("cnn5", outputs=2, input_px=px).eval()
    assert network(torch.zeros(1, 3, px, px)).shape == (1, 2)


@pytest.mark.parametrize(
    ("options", "dropouts", "decider"),
    [
        ({"dense": [256]}, 1, dense(6400, 256) + dense(256, 1)),
        ({"dense": [256], "first_dropout": True}, 2, dense(6400, 256) + dense(256, 1)),
        ({"dense": [128], "first_dropout": True}, 2, dense(6400, 128) + dense(128, 1)),
        ({"dense": [256, 256]}, 1, dense(6400, 256) + dense(256, 256) + dense(256, 1)),
    ],
)
def test_baldi_and_cioffos_four_variants(options: dict[str, object], dropouts: int, decider: int) -> None:
    network = networks.build("baldi", outputs=1, input_px=300, **options)
    assert left_over(network, 300) == (256, 5, 5)
    assert parameters(network) == sum(convolution(*each) for each in [(3, 32), (32, 64), (64, 128), (128, 256)]) + decider
    assert [each.p for each in network.modules() if isinstance(each, nn.Dropout)] == [0.5] * dropouts


def test_li_keeps_one_place_of_250_px() -> None:
    network = networks.build("li-sequential", outputs=21)
    assert left_over(network, 250) == (64, 1, 1)
    pairs = [(3, 8), (8, 8), (8, 16), (16, 16), (16, 32), (32, 32), (32, 64), (64, 64)]
    norms = 2 * (8 + 16 + 32 + 32 + 64 + 64)
    assert parameters(network) == sum(convolution(*each) for each in pairs) + norms + dense(64, 256) + dense(256, 21)
    assert network.eval()(torch.zeros(1, 3, 250, 250)).shape == (1, 21)


def test_standard_cnn_has_the_layers_of_the_published_tool() -> None:
    network = networks.build("standard-cnn", outputs=2, input_px=224)
    assert left_over(network, 224) == (128, 26, 26)
    convolutions = sum(convolution(*each) for each in [(3, 32), (32, 64), (64, 128)])
    assert parameters(network) == convolutions + dense(128 * 26 * 26, 512) + dense(512, 256) + dense(256, 2)


@pytest.mark.parametrize(
    ("name", "options", "named"),
    [
        ("cnn5", {"input_px": 24}, "24"),
        ("cnn5", {"input_px": 0}, "0"),
        ("cnn5", {"input_px": "128"}, "'128'"),
        ("cnn5", {"input_px": 64, "dropout": 1.0}, "1.0"),
        ("cnn5", {"input_px": 64, "filters": [16, "32"]}, "'32'"),
        ("baldi", {"input_px": 300, "dense": 256}, "256"),
        ("baldi", {"input_px": 300, "first_dropout": 0.5}, "0.5"),
        ("li-sequential", {"input_px": 128}, "128"),
        ("standard-cnn", {"input_px": 16}, "16"),
    ],
)
def test_what_makes_no_sense_is_refused(name: str, options: dict[str, object], named: str) -> None:
    with pytest.raises(ClassifierError, match=named):
        networks.build(name, outputs=2, **options)


def test_no_outputs_are_refused() -> None:
    with pytest.raises(ClassifierError, match="outputs"):
        networks.build("cnn5", outputs=0, input_px=64)


@pytest.mark.parametrize("name", ["cnn5", "baldi", "li-sequential", "small-cnn"])
def test_the_seed_alone_decides_how_a_network_begins(name: str) -> None:
    options = {} if name == "small-cnn" else {"input_px": 192}
    states = []
    for seed in (5, 5, 6):
        torch.manual_seed(seed)
        states.append(networks.build(name, outputs=2, **options).state_dict())
    same, other = ([torch.equal(states[0][key], state[key]) for key in states[0]] for state in states[1:])
    assert all(same)
    assert not all(other)
