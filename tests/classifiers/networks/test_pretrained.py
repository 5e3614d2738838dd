"""Weights of the libraries, made here at random, find their places: the network then scores as the library's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision import models

from classifiers import networks
from classifiers.base import ClassifierError
from classifiers.networks import pretrained
from classifiers.networks.torchvision_families import FAMILIES

PICTURES = torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(1))


def library_network(name: str, **options: Any) -> nn.Module:
    network = models.get_model(name, weights=None, **options)
    generator = torch.Generator().manual_seed(3)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean = torch.randn(module.num_features, generator=generator) * 0.01
            module.running_var = torch.rand(module.num_features, generator=generator) * 0.2 + 0.9
    return network.eval()


@pytest.fixture
def downloads(monkeypatch: pytest.MonkeyPatch) -> dict[str, Tensor]:
    """What torchvision downloads is what the test puts here."""
    given: dict[str, Tensor] = {}
    monkeypatch.setattr(torchvision.models._api, "load_state_dict_from_url", lambda *_given, **_options: given)
    return given


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in {"resnet18", "mobilenet-v2"} else pytest.mark.slow) for name in FAMILIES],
)
def test_a_family_with_its_weights_is_torchvisions(name: str, downloads: dict[str, Tensor]) -> None:
    theirs = FAMILIES[name][0]
    # Inception's published weights were made with the auxiliary output, which is not used.
    original = library_network(theirs, **({"init_weights": True, "aux_logits": True} if theirs == "inception_v3" else {}))
    downloads.update(original.state_dict())
    network = networks.build(name, outputs=1000)
    loaded = pretrained.load_imagenet(network, name, "IMAGENET1K_V1")
    assert not loaded.fresh
    assert all(key.startswith("AuxLogits.") for key in loaded.unused)
    with torch.no_grad():
        torch.testing.assert_close(network.eval()(PICTURES), original(PICTURES), rtol=1e-5, atol=1e-5)
    published = models.get_model_weights(theirs)["DEFAULT"].meta["num_params"]
    unused = sum(each.numel() for key, each in original.named_parameters() if key.startswith("AuxLogits."))
    assert sum(each.numel() for each in network.parameters()) == published - unused


@pytest.fixture(scope="module")
def resnet_state() -> dict[str, Tensor]:
    torch.manual_seed(1)
    return library_network("resnet18").state_dict()


@pytest.mark.parametrize("ending", [".pth", ".pt", ".safetensors"])
def test_weights_come_from_a_file(ending: str, resnet_state: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / f"resnet{ending}"
    if ending == ".safetensors":
        save_file(resnet_state, path)
    else:
        torch.save({"state_dict": {f"module.{key}": each for key, each in resnet_state.items()}} if ending == ".pt" else resnet_state, path)
    network = networks.build("resnet18", outputs=2)
    loaded = pretrained.load_imagenet(network, "resnet18", path)
    torch.testing.assert_close(network.get_submodule("body.block5.1.conv2").weight.data, resnet_state["layer4.1.conv2.weight"])
    assert loaded.fresh == ("head.output.weight", "head.output.bias")
    assert loaded.unused == ("fc.bias", "fc.weight")
    assert "body.block1.conv1.weight" in loaded.loaded
    assert str(loaded).startswith(f"{len(loaded.loaded)} tensors loaded; not in it, so random: head.output.weight")


def test_what_a_missing_last_block_leaves_is_reported(resnet_state: dict[str, Tensor], downloads: dict[str, Tensor]) -> None:
    downloads.update(resnet_state)
    network = networks.build("resnet18", outputs=1, without_last_block=True, head={"pool": "average", "dense": [4]})
    loaded = pretrained.load_imagenet(network, "resnet18", "DEFAULT")
    assert {key.partition(".")[0] for key in loaded.unused} == {"layer4", "fc"}
    assert {key.partition(".")[0] for key in loaded.fresh} == {"head"}
    assert {key.split(".")[1] for key in loaded.loaded} == {"block1", "block2", "block3", "block4"}


@pytest.mark.slow
def test_vggs_own_dense_layers_are_loaded_but_for_the_last(downloads: dict[str, Tensor]) -> None:
    original = library_network("vgg11")
    downloads.update(original.state_dict())
    network = networks.build("vgg11", outputs=1)
    loaded = pretrained.load_imagenet(network, "vgg11", "IMAGENET1K_V1")
    assert loaded.unused == ("classifier.6.bias", "classifier.6.weight")
    assert loaded.fresh == ("head.dense6.weight", "head.dense6.bias")


def test_the_names_of_2017_in_densenets_files_are_understood(downloads: dict[str, Tensor]) -> None:
    state = library_network("densenet121").state_dict()
    old = {key.replace("norm1.", "norm.1.").replace("norm2.", "norm.2.").replace("conv1.", "conv.1.").replace("conv2.", "conv.2."): each for key, each in state.items() if not key.endswith("num_batches_tracked")}  # fmt: skip  # noqa: E501
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    downloads.update(old)
    network = networks.build("densenet121", outputs=2)
    assert pretrained.load_imagenet(network, "densenet121", "IMAGENET1K_V1").fresh == ("head.output.weight", "head.output.bias")


def test_mobilenet_v1_with_its_weights_is_timms(tmp_path: Path) -> None:
    torch.manual_seed(1)
    original = timm.create_model("mobilenetv1_100", pretrained=False)
    with torch.no_grad():
        original.train()(PICTURES)
    save_file(original.eval().state_dict(), tmp_path / "mobilenet.safetensors")
    network = networks.build("mobilenet-v1", outputs=1000)
    assert not pretrained.load_imagenet(network, "mobilenet-v1", tmp_path / "mobilenet.safetensors").fresh
    with torch.no_grad():
        torch.testing.assert_close(network.eval()(PICTURES), original(PICTURES), rtol=1e-5, atol=1e-5)


def test_a_network_of_timms_takes_timms_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    create = timm.create_model
    torch.manual_seed(1)
    original = create("resnet18", pretrained=False)
    network = networks.build("timm:resnet18", outputs=2)
    asked: list[tuple[str, bool]] = []

    def give(name: str, pretrained: bool) -> nn.Module:
        asked.append((name, pretrained))
        return original

    monkeypatch.setattr(timm, "create_model", give)
    loaded = pretrained.load_imagenet(network, "timm:resnet18", "timm")
    assert asked == [("resnet18", True)]
    assert loaded.fresh == ("head.output.weight", "head.output.bias")
    torch.testing.assert_close(network.get_submodule("body.body.timm.conv1").weight.data, original.conv1.weight.data)


def test_training_goes_on_from_a_model_of_this_package(tmp_path: Path) -> None:
    torch.manual_seed(1)
    first = networks.build("cnn5", outputs=2, input_px=64)
    save_file(first.state_dict(), tmp_path / "weights.safetensors")
    second = networks.build("cnn5", outputs=21, input_px=64)
    loaded = pretrained.load_imagenet(second, "cnn5", tmp_path / "weights.safetensors")
    assert loaded.fresh == ("head.output.weight", "head.output.bias")
    torch.testing.assert_close(second.state_dict()["head.dense1.weight"], first.state_dict()["head.dense1.weight"])
    larger = networks.build("cnn5", outputs=2, input_px=128)
    with pytest.raises(ClassifierError, match=r"head.dense1.weight 128x256 for 128x1024"):
        pretrained.load_imagenet(larger, "cnn5", tmp_path / "weights.safetensors")


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda state: state.pop("layer1.0.conv1.weight"), "not in it: layer1.0.conv1.weight"),
        (lambda state: state.update({"bn1.weight": torch.zeros(3)}), "of another shape: bn1.weight 3 for 64"),
        (lambda state: state.update({"layer5.weight": torch.zeros(3)}), "unknown: layer5.weight"),
    ],
)
def test_weights_of_another_network_are_refused(spoil: Any, named: str, resnet_state: dict[str, Tensor], tmp_path: Path) -> None:
    spoilt = dict(resnet_state)
    spoil(spoilt)
    torch.save(spoilt, tmp_path / "spoilt.pth")
    network = networks.build("resnet18", outputs=2)
    before = {key: each.clone() for key, each in network.state_dict().items()}
    with pytest.raises(ClassifierError, match=named):
        pretrained.load_imagenet(network, "resnet18", tmp_path / "spoilt.pth")
    assert all(torch.equal(before[key], each) for key, each in network.state_dict().items()), "refused before anything was filled"


def test_a_failed_download_says_to_give_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_given: object, **_options: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr(torchvision.models._api, "load_state_dict_from_url", fail)
    with pytest.raises(ClassifierError, match=r"'DEFAULT' of 'resnet18'.*no route to host.*give the file"):
        pretrained.load_imagenet(networks.build("resnet18", outputs=2), "resnet18", "DEFAULT")


def test_a_failed_download_of_timms_says_to_give_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    network = networks.build("mobilenet-v1", outputs=2)

    def fail(*_given: object, **_options: object) -> None:
        raise RuntimeError("No pretrained weights exist")

    monkeypatch.setattr(timm, "create_model", fail)
    with pytest.raises(ClassifierError, match=r"'timm' of 'mobilenet-v1'.*No pretrained weights exist.*give the file"):
        pretrained.load_imagenet(network, "mobilenet-v1", "timm")


@pytest.mark.parametrize(
    ("name", "weights", "named"),
    [
        ("resnet18", "IMAGENET22K", r"'IMAGENET22K'.*IMAGENET1K_V1, DEFAULT"),
        ("resnet18", "timm", r"torchvision's names.*not 'timm'"),
        ("mobilenet-v1", "DEFAULT", r"\"timm\", not 'DEFAULT'"),
        ("small-cnn", "DEFAULT", "comes from no library"),
        ("resnet18", "nowhere.pth", "nowhere.pth cannot be read"),
    ],
)
def test_weights_that_there_are_not(name: str, weights: str, named: str) -> None:
    with pytest.raises(ClassifierError, match=named):
        pretrained.load_imagenet(networks.build(name, outputs=2), name, weights)


@pytest.mark.parametrize("ending", [".pth", ".safetensors"])
def test_a_file_that_is_no_weights_is_refused(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"broken{ending}"
    path.write_bytes(b"no weights at all")
    with pytest.raises(ClassifierError, match="cannot be read"):
        pretrained.load_imagenet(networks.build("small-cnn", outputs=2), "small-cnn", path)


@pytest.mark.parametrize("content", [[torch.zeros(2)], {"epoch": 3}, {}])
def test_a_file_of_something_else_is_refused(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "other.pt")
    with pytest.raises(ClassifierError, match="holds no weights by name"):
        pretrained.load_imagenet(networks.build("small-cnn", outputs=2), "small-cnn", tmp_path / "other.pt")


@pytest.mark.parametrize(
    ("name", "mean"), [("resnet18", 0.485), pytest.param("inception-v3", 0.5, marks=pytest.mark.slow), ("mobilenet-v1", 0.5)]
)
def test_the_mean_that_weights_were_trained_with(name: str, mean: float) -> None:
    means, deviations = pretrained.normalisation(networks.build(name, outputs=2))
    assert means[0] == mean
    assert len(means) == len(deviations) == 3


def test_a_network_from_scratch_has_no_mean_of_imagenet() -> None:
    with pytest.raises(ClassifierError, match="no ImageNet weights"):
        pretrained.normalisation(networks.build("small-cnn", outputs=2))
