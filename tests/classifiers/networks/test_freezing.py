from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from classifiers import networks
from classifiers.base import ClassifierError
from classifiers.networks import freezing

PICTURES = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(1))
HEAD = {"pool": "average", "dense": [8], "dropout_in": 0.5, "dropout": 0.5}


def state(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def changed_by_a_step(network: nn.Module) -> set[str]:
    """Return what one step of training changes, by block: "block5" or "head"."""
    before = state(network)
    freezing.train_mode(network)
    trained = [each for each in network.parameters() if each.requires_grad]
    nn.functional.cross_entropy(network(PICTURES), torch.tensor([0, 1, 0, 1])).backward()
    torch.optim.SGD(trained, lr=0.1).step()
    changed = [name for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])]
    return {name.removeprefix("body.").partition(".")[0] for name in changed}


@pytest.mark.parametrize(
    ("unfreeze_from", "trained"),
    [
        (None, {"head"}),
        ("block5", {"block5", "head"}),
        ("block5.1", {"block5", "head"}),
        ("block3", {"block3", "block4", "block5", "head"}),
        ("block1", {"block1", "block2", "block3", "block4", "block5", "head"}),
    ],
)
def test_training_changes_what_is_not_frozen_and_nothing_else(unfreeze_from: str | None, trained: set[str]) -> None:
    network = networks.build("resnet18", outputs=2, head=HEAD)
    freezing.freeze(network, unfreeze_from)
    assert changed_by_a_step(network) == trained, "weights, and the means of batch norms"


def test_a_step_inside_a_block_leaves_those_before_it() -> None:
    network = networks.build("resnet18", outputs=2)
    freezing.freeze(network, "block5.1")
    assert not any(each.requires_grad for each in network.get_submodule("body.block5.0").parameters())
    assert all(each.requires_grad for each in network.get_submodule("body.block5.1").parameters())


def test_freezing_again_forgets_what_was_frozen_before() -> None:
    network = networks.build("resnet18", outputs=2)
    freezing.freeze(network, None)
    freezing.freeze(network, "block1")
    assert all(each.requires_grad for each in network.parameters())


@pytest.mark.parametrize(
    ("name", "blocks"),
    [
        pytest.param("vgg11", [f"block{index}" for index in range(1, 6)], marks=pytest.mark.slow),
        ("densenet121", [f"block{index}" for index in range(1, 6)]),
        pytest.param("inception-v3", [f"block{index}" for index in range(1, 6)], marks=pytest.mark.slow),
        ("mobilenet-v1", ["entry", *(f"block{index}" for index in range(1, 6))]),
        ("mobilenet-v2", ["entry", *(f"bottleneck{index}" for index in range(1, 18)), "exit"]),
        ("small-cnn", ["stem", "features"]),
        ("timm:resnet18", [f"block{index}" for index in range(1, 6)]),
    ],
)
def test_blocks_are_named_from_the_picture_on(name: str, blocks: list[str]) -> None:
    network = networks.build(name, outputs=2)
    assert freezing.block_names(network) == blocks
    before = [sum(each.numel() for each in network.parameters())]
    for block in blocks[1:]:
        freezing.freeze(network, block)
        before.append(sum(each.numel() for each in network.parameters() if each.requires_grad))
    assert before == sorted(set(before), reverse=True), "each further block leaves less to train"


@pytest.mark.parametrize(
    "name",
    [
        *("small-cnn", "resnet18", "mobilenet-v1", "mobilenet-v3-small"),
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("mobilenet-v2", "densenet121", "efficientnet-b0", "vgg11", "resnext50")),
    ],
)
@pytest.mark.parametrize("place", [None, 1, -1])
def test_prefix_and_rest_are_the_network(name: str, place: int | None) -> None:
    network = networks.build(name, outputs=2, **({} if name == "small-cnn" else {"stem": "max-pool-2"})).eval()
    freezing.freeze(network, None if place is None else freezing.block_names(network)[place])
    prefix, rest = freezing.frozen_prefix(network)
    assert prefix is not None
    assert not any(each.requires_grad for each in prefix.parameters())
    assert all(each.requires_grad for each in rest.parameters())
    with torch.no_grad():
        torch.testing.assert_close(rest(prefix(PICTURES)), network(PICTURES), rtol=0, atol=0)


def test_a_prefix_says_the_same_twice_while_the_rest_is_trained() -> None:
    network = networks.build("mobilenet-v2", outputs=2, head=HEAD)
    freezing.freeze(network, None)
    freezing.train_mode(network)
    prefix, rest = freezing.frozen_prefix(network)
    assert prefix is not None
    assert prefix(PICTURES).shape == (4, 1280), "behind the pooling there is little to keep"
    torch.testing.assert_close(prefix(PICTURES[:2]), prefix(PICTURES[:2]), rtol=0, atol=0)
    kept = prefix(PICTURES)
    assert not torch.equal(rest(kept), rest(kept)), "dropout belongs to what is trained"


@pytest.mark.parametrize("name", ["timm:resnet18", "resnet18"])
def test_nothing_frozen_has_no_prefix(name: str) -> None:
    network = networks.build(name, outputs=2)
    freezing.freeze(network, "block1")
    prefix, rest = freezing.frozen_prefix(network)
    assert prefix is None
    assert rest is network


def test_a_network_of_timms_is_frozen_by_its_groups() -> None:
    network = networks.build("timm:resnet18", outputs=2)
    freezing.freeze(network, "block5")
    body = network.get_submodule("body.body.timm")
    assert not any(each.requires_grad for each in body.get_submodule("layer3").parameters())
    assert all(each.requires_grad for each in body.get_submodule("layer4").parameters())
    assert freezing.frozen_prefix(network)[0] is None, "half of a body that is no chain cannot be run by itself"
    before = state(network)
    freezing.train_mode(network)
    network(PICTURES)
    moved = {name.split(".")[3] for name, tensor in network.state_dict().items() if not torch.equal(tensor, before[name])}
    assert moved == {"layer4"}
    freezing.freeze(network, None)
    prefix, rest = freezing.frozen_prefix(network)
    assert prefix is not None
    network.eval()
    with torch.no_grad():
        torch.testing.assert_close(rest(prefix(PICTURES)), network(PICTURES))


@pytest.mark.parametrize(
    ("wrong", "named"), [("block9", "block1, block2"), ("block5.7", r"block5\.0, block5\.1"), ("head", "block5"), ("", "block1")]
)
def test_a_wrong_block_is_answered_with_the_right_ones(wrong: str, named: str) -> None:
    with pytest.raises(ClassifierError, match=named):
        freezing.freeze(networks.build("resnet18", outputs=2), wrong)


def test_a_network_of_somebody_elses_cannot_be_frozen() -> None:
    with pytest.raises(ClassifierError, match="Linear"):
        freezing.freeze(nn.Linear(2, 2), None)
