"""Every registered network scores and explains, and options change it as they say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import expit, softmax
from torch import Tensor, nn

from classifiers import networks
from classifiers.base import ClassifierError
from classifiers.card import ModelCard
from classifiers.explain import build_explainer
from classifiers.inference import quicken
from classifiers.networks.blocks import feature_shape
from classifiers.torch_classifier import TorchClassifier

SIDES = {"baldi": 60, "li-sequential": 192, "inception-v3": 128}
FLAT = ("baldi", "cnn5", "li-sequential", "standard-cnn")
QUICK = ("baldi", "cnn5", "small-cnn", "standard-cnn", "li-sequential", "mobilenet-v1", "resnet18")
OTHERS = ("timm:regnetx_002", "timm:mobilenetv3_small_050")


def each_network() -> list[Any]:
    known = [*networks.names(), *OTHERS]
    return [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in known]


def card_for(name: str, outputs: int) -> ModelCard:
    px = SIDES.get(name, 64)
    classes = tuple(f"class {index}" for index in range(max(outputs, 2)))
    positive = classes[1]
    return ModelCard(
        name=name,
        summary="Never trained",
        classes=classes,
        roles={each: "blast" if each == positive else "other" for each in classes},
        positive_class=positive,
        activation="sigmoid" if outputs == 1 else "softmax",
        network={"name": name, **({"input_px": px} if name in FLAT else {})},
        crop_px=px,
        mean=(0.6, 0.5, 0.7),
        std=(0.2, 0.25, 0.15),
    )


def patchwork(count: int, px: int) -> NDArray[np.uint8]:
    """Return crops of a few coloured squares: to an untrained network one noise looks like another."""
    colours = np.random.default_rng(3).integers(0, 256, (count, 4, 4, 3), dtype=np.uint8)
    return colours.repeat(px // 4, axis=1).repeat(px // 4, axis=2)


def normalised(card: ModelCard, crops: NDArray[np.uint8]) -> Tensor:
    pictures = (torch.from_numpy(crops).float() / 255 - torch.tensor(card.mean)) / torch.tensor(card.std)
    return pictures.permute(0, 3, 1, 2)


def settled(card: ModelCard) -> nn.Module:
    """Return a card's network, its batch norms set to the means of some crops: as they are initialised they do nothing."""
    torch.manual_seed(2)
    network = networks.build_for(card).eval()
    for norm in (each for each in network.modules() if isinstance(each, nn.BatchNorm2d)):
        norm.momentum = 1
        norm.train()
    with torch.no_grad():
        network(normalised(card, patchwork(8, card.crop_px)))
    return network.eval()


@pytest.mark.parametrize("name", each_network())
@pytest.mark.parametrize("outputs", [1, pytest.param(2, marks=pytest.mark.slow), 21])
def test_a_network_scores_alike_as_it_is_and_quickened(name: str, outputs: int) -> None:
    """Folding is exact in double precision. In single precision, untrained deep networks blow up whatever is rounded.

    So there the folded network is compared with the exact scores, and may be off by as much as the plain one, give or take.
    """
    card = card_for(name, outputs)
    network = settled(card)
    crops = patchwork(8, card.crop_px)[:3]
    pictures = normalised(card, crops)
    classifier = TorchClassifier(card, network, device="cpu")
    with torch.no_grad():
        plain = network(pictures)
        exact = network.double()(pictures.double())
        folded = quicken(network)(pictures.double())
    assert exact.shape == (3, outputs)
    assert np.ptp(exact.numpy(), axis=0).max() > 1e-6, "different crops get different scores"
    torch.testing.assert_close(folded, exact, atol=1e-7, rtol=0)
    rounding = np.abs(probabilities(plain.double()) - probabilities(exact)).max()
    np.testing.assert_allclose(classifier.predict(crops).probabilities, probabilities(exact), atol=1e-5 + 10 * rounding, rtol=0)


def probabilities(logits: Tensor) -> NDArray[np.float64]:
    values = logits.numpy()
    return np.hstack([expit(-values), expit(values)]) if values.shape[1] == 1 else softmax(values, axis=1)


@pytest.mark.parametrize("name", each_network())
def test_the_default_layer_can_be_explained(name: str) -> None:
    card = card_for(name, 1)
    network = settled(card)
    card = replace(card, cam_layer=networks.default_cam_layer(network))
    explainer = build_explainer("gradcam", TorchClassifier(card, network, device="cpu"))
    crops = patchwork(8, card.crop_px)[:2]
    maps = [explainer.explain(crops, each) for each in card.classes]
    assert maps[0].shape == crops.shape[:3]
    np.testing.assert_array_equal(np.maximum(*maps).max(axis=(1, 2)), 1)  # what speaks for neither class would be no map


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        pytest.param("vgg16", (512, 14, 14), marks=pytest.mark.slow),
        ("resnet50", (1024, 14, 14)),  # as Baldi and Cioffo print it
        ("densenet121", (512, 7, 7)),
        ("mobilenet-v1", (512, 14, 14)),
        ("mobilenet-v2", (160, 7, 7)),
        pytest.param("inception-v3", (768, 12, 12), marks=pytest.mark.slow),
        ("efficientnet-b0", (192, 7, 7)),
    ],
)
def test_a_body_without_its_last_block(name: str, shape: tuple[int, ...]) -> None:
    network = networks.build(name, outputs=2, without_last_block=True, head={"pool": "average", "dense": [8], "dropout": 0.5})
    assert feature_shape(network.get_submodule("body"), 224) == shape
    assert network.eval()(torch.zeros(1, 3, 96, 96)).shape == (1, 2)
    whole = networks.build(name, outputs=2, head={"pool": "average"})
    assert list(networks.parts(network))[:-1] == list(networks.parts(whole))[: len(networks.parts(network)) - 1]
    assert networks.default_cam_layer(network) != networks.default_cam_layer(whole)


@pytest.mark.parametrize("name", ["resnet18", "densenet121", "mobilenet-v2", "mobilenet-v3-small"])
def test_a_body_without_its_last_block_keeps_its_own_kind_of_head(name: str) -> None:
    network = networks.build(name, outputs=3, without_last_block=True).eval()
    assert network(torch.zeros(1, 3, 96, 96)).shape == (1, 3)


def test_the_stem_halves_the_picture_by_its_maxima() -> None:
    torch.manual_seed(0)
    halving = networks.build("resnet18", outputs=2, stem="max-pool-2").eval()
    plain = networks.build("resnet18", outputs=2).eval()
    plain.load_state_dict(halving.state_dict())
    picture = torch.randn(1, 3, 128, 128)
    with torch.no_grad():
        torch.testing.assert_close(halving(picture), plain(nn.functional.max_pool2d(picture, 2)))
    assert list(networks.parts(halving)) == ["block1", "block2", "block3", "block4", "block5", "head"]


def test_the_head_of_papaioannous_frozen_bodies() -> None:
    head = {"pool": "flatten", "dense": [128], "dropout_in": 0.2}
    network = networks.build("mobilenet-v2", outputs=2, head=head, input_px=128)
    layers = list(network.get_submodule("head").children())
    assert [type(each) for each in layers] == [nn.Flatten, nn.Dropout, nn.Linear, nn.ReLU, nn.Linear]
    assert [(each.in_features, each.out_features) for each in layers if isinstance(each, nn.Linear)] == [(1280 * 16, 128), (128, 2)]
    assert layers[1].p == 0.2


def test_the_largest_value_of_each_feature() -> None:
    network = networks.build("resnet18", outputs=2, head={"pool": "max", "dropout": 0.3}).eval()
    picture = torch.randn(2, 3, 96, 96)
    with torch.no_grad():
        features = network.get_submodule("body")(picture).amax((2, 3))
        torch.testing.assert_close(network(picture), network.get_submodule("head.output")(features))


def test_a_native_head_can_be_asked_for_by_name() -> None:
    network = networks.build("resnet18", outputs=2, head={"native": True})
    assert [name for name, _ in network.get_submodule("head").named_children()] == ["pool", "flatten", "output"]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"stem": "max-pool-3"}, "max-pool-3"),
        ({"without_last_block": "yes"}, "'yes'"),
        ({"head": "average"}, "'average'"),
        ({"head": {"pool": "mean"}}, "'mean'"),
        ({"head": {"dense": [8]}}, "pool"),
        ({"head": {"pool": "average", "units": 3}}, "units"),
        ({"head": {"native": True, "dense": [8]}}, "native"),
        ({"head": {"native": 1}}, "native"),
        ({"head": {"pool": "average", "dropout": 1.5}}, "1.5"),
        ({"head": {"pool": "average", "dense": [0]}}, r"\[0\]"),
        ({"head": {"pool": "average", "dropout": 0.5, "dropout_in": 0.5}}, "same place"),
        ({"head": {"pool": "flatten"}}, "input_px"),
        ({"input_px": -1}, "-1"),
        ({"width": 2}, "'width'"),
    ],
)
@pytest.mark.parametrize("name", ["resnet18", "mobilenet-v1", "timm:resnet18"])
def test_options_that_make_no_sense_are_refused(name: str, options: dict[str, object], named: str) -> None:
    with pytest.raises(ClassifierError, match=named):
        networks.build(name, outputs=2, **options)


def test_a_picture_that_is_too_small_is_refused_where_the_size_is_given() -> None:
    with pytest.raises(ClassifierError, match="input_px 48 is too small"):
        networks.build("inception-v3", outputs=2, input_px=48)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet-v2"])
def test_the_seed_alone_decides_how_a_family_begins(name: str) -> None:
    states = []
    for seed in (5, 5, 6):
        torch.manual_seed(seed)
        states.append(networks.build(name, outputs=2, head={"pool": "average", "dense": [4]}).state_dict())
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert not all(torch.equal(states[0][key], states[2][key]) for key in states[0])


def test_a_misspelt_name_is_answered_with_near_ones() -> None:
    with pytest.raises(ClassifierError, match="Did you mean resnet50"):
        networks.build("resnet-50", outputs=2)
    with pytest.raises(ClassifierError, match=r"'resnet50z'.*resnet50"):
        networks.build("timm:resnet50z", outputs=2)
    with pytest.raises(ClassifierError, match=r"no network named 'qqqqqqqq'.*list_models"):
        networks.build("timm:qqqqqqqq", outputs=2)


def test_a_network_of_timms_takes_a_head_of_ours() -> None:
    network = networks.build("timm:resnet18", outputs=2, head={"pool": "flatten", "dense": [4]}, input_px=64, stem="max-pool-2").eval()
    assert network(torch.zeros(1, 3, 64, 64)).shape == (1, 2)


def test_a_transformer_is_trained_without_maps_and_keeps_its_head() -> None:
    network = networks.build("timm:vit_tiny_patch16_224", outputs=2, input_px=64).eval()
    assert network(torch.zeros(1, 3, 64, 64)).shape == (1, 2)
    with pytest.raises(ClassifierError, match="no convolutional stage"):
        networks.default_cam_layer(network)
    with pytest.raises(ClassifierError, match="own head"):
        networks.build("timm:vit_tiny_patch16_224", outputs=2, head={"pool": "average"})


def test_timm_offers_no_body_without_its_last_block() -> None:
    with pytest.raises(ClassifierError, match="without_last_block"):
        networks.build("timm:resnet18", outputs=2, without_last_block=True)


def test_a_network_of_somebody_elses_has_no_blocks() -> None:
    with pytest.raises(ClassifierError, match="Linear"):
        networks.parts(nn.Linear(2, 2))
