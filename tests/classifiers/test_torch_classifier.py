from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
import torchvision
from numpy.typing import NDArray
from torch import Tensor, nn

from classifiers import networks
from classifiers.base import Classifier, ClassifierError
from classifiers.card import ModelCard
from classifiers.torch_classifier import CPU_ROWS, TorchClassifier
from smearscan.testing.classifiers import ClassifierContract


def make_card(**changes: object) -> ModelCard:
    card = ModelCard(
        name="test",
        summary="Never trained",
        classes=("blast", "other", "smudge"),
        roles={"blast": "blast", "other": "other", "smudge": "excluded"},
        positive_class="blast",
        activation="softmax",
        network={"name": "small-cnn", "width": 8},
        crop_px=48,
        crop_um=22.0,
        mean=(0.6, 0.5, 0.7),
        std=(0.2, 0.25, 0.15),
        temperature=1.7,
    )
    return replace(card, **changes)  # type: ignore[arg-type]


SIGMOID = {"classes": ("other", "blast"), "roles": {"other": "other", "blast": "blast"}, "activation": "sigmoid"}


def shake(network: nn.Module) -> nn.Module:
    """Give batch norms something to fold: as they are initialised they do nothing."""
    generator = torch.Generator().manual_seed(3)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean = torch.randn(module.num_features, generator=generator) * 0.1
            module.running_var = torch.rand(module.num_features, generator=generator) + 0.5
    return network.eval()


def random_crops(count: int, px: int = 48) -> NDArray[np.uint8]:
    return np.random.default_rng(11).integers(0, 256, (count, px, px, 3), dtype=np.uint8)


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(4)
    return shake(networks.build_for(make_card()))


@pytest.fixture
def one_and_more_threads() -> Iterator[list[int]]:
    before = torch.get_num_threads()
    yield [1, 2, 4]
    torch.set_num_threads(before)


class TestSmallCnnContract(ClassifierContract):
    @pytest.fixture(params=[7, 64, "auto"])
    def classifier(self, request: pytest.FixtureRequest, network: nn.Module) -> Classifier:
        return TorchClassifier(make_card(), network, device="cpu", batch_size=request.param)


class TestSigmoidContract(ClassifierContract):
    @pytest.fixture
    def classifier(self) -> Classifier:
        card = make_card(**SIGMOID)
        return TorchClassifier(card, shake(networks.build_for(card)), device="cpu")


def test_the_scores_are_those_of_the_plain_network(network: nn.Module) -> None:
    card = make_card()
    crops = random_crops(50)
    with torch.inference_mode():
        pixels = torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 255
        normalised = (pixels - torch.tensor(card.mean).reshape(1, 3, 1, 1)) / torch.tensor(card.std).reshape(1, 3, 1, 1)
        plain = torch.softmax(network(normalised) / card.temperature, dim=1).numpy()
    ours = TorchClassifier(card, network, device="cpu").predict(crops).probabilities
    np.testing.assert_allclose(ours, plain, atol=1e-5, rtol=0)


def test_a_sigmoid_gives_the_negative_class_first() -> None:
    class Ten(nn.Module):
        def forward(self, crops: Tensor) -> Tensor:
            return crops.new_full((len(crops), 1), 10.0)

    card = make_card(**SIGMOID, temperature=2.0)
    row = TorchClassifier(card, Ten(), device="cpu").predict(random_crops(1)).probabilities[0]
    np.testing.assert_allclose(row, [1 / (1 + np.exp(5)), 1 / (1 + np.exp(-5))], rtol=1e-6)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "densenet121", "vgg11_bn"])
@pytest.mark.slow
def test_torchvision_networks_keep_a_rows_bits(name: str, one_and_more_threads: list[int]) -> None:
    torch.manual_seed(5)
    network = shake(torchvision.models.get_model(name, weights=None, num_classes=3))
    _assert_stable(TorchClassifier(make_card(crop_px=64), network, device="cpu"), random_crops(CPU_ROWS + 9, 64), one_and_more_threads)


def test_the_small_network_keeps_a_rows_bits(network: nn.Module, one_and_more_threads: list[int]) -> None:
    _assert_stable(TorchClassifier(make_card(), network, device="cpu"), random_crops(CPU_ROWS + 9), one_and_more_threads)


def _assert_stable(classifier: TorchClassifier, crops: NDArray[np.uint8], thread_counts: list[int]) -> None:
    expected = classifier.predict(crops).probabilities
    for threads in thread_counts:
        torch.set_num_threads(threads)
        alone = np.concatenate([classifier.predict(crops[index : index + 1]).probabilities for index in (0, 5, len(crops) - 1)])
        np.testing.assert_array_equal(alone, expected[[0, 5, len(crops) - 1]])
        np.testing.assert_array_equal(classifier.predict(crops[::-1]).probabilities, expected[::-1])


class Greedy(nn.Module):
    """Runs out of memory above so many rows."""

    def __init__(self, limit: int, error: type[RuntimeError] = torch.OutOfMemoryError, text: str = "CUDA out of memory") -> None:
        super().__init__()
        self.limit, self.error, self.text = limit, error, text

    def forward(self, crops: Tensor) -> Tensor:
        if crops.shape[0] > self.limit:
            raise self.error(self.text)
        return torch.stack([crops.mean(dim=(1, 2, 3)), crops.amax(dim=(1, 2, 3)), crops.amin(dim=(1, 2, 3))], dim=1)


CPU_TEXT = "[enforce fail at alloc_cpu.cpp:121] . DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."


@pytest.mark.parametrize(("error", "text"), [(torch.OutOfMemoryError, "CUDA out of memory"), (RuntimeError, CPU_TEXT)])
def test_out_of_memory_halves_the_pass_goes_on_and_is_recorded(error: type[RuntimeError], text: str) -> None:
    crops = random_crops(70)
    expected = TorchClassifier(make_card(), Greedy(10**6), device="cpu").predict(crops).probabilities
    classifier = TorchClassifier(make_card(), Greedy(9, error, text), device="cpu")
    np.testing.assert_allclose(classifier.predict(crops).probabilities, expected, atol=1e-6)
    halved = ["out of memory at 32 crops: going on with 16", "out of memory at 16 crops: going on with 8"]
    assert classifier.compute.events == halved
    classifier.predict(crops)
    assert classifier.compute.events == halved, "what was learned is kept"


def test_no_memory_for_one_crop_gives_up() -> None:
    classifier = TorchClassifier(make_card(), Greedy(0), device="cpu")
    with pytest.raises(ClassifierError, match="Not even one crop"):
        classifier.predict(random_crops(3))


def test_a_fault_of_the_network_is_not_taken_for_lack_of_memory() -> None:
    classifier = TorchClassifier(make_card(), Greedy(0, RuntimeError, "mat1 and mat2 shapes cannot be multiplied"), device="cpu")
    with pytest.raises(RuntimeError, match="mat1"):
        classifier.predict(random_crops(3))
    assert classifier.compute.events == []


def test_two_devices_share_the_passes_and_keep_the_order(network: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    crops = random_crops(5 * CPU_ROWS + 3)
    expected = TorchClassifier(make_card(), network, device="cpu").predict(crops).probabilities
    monkeypatch.setattr("classifiers.devices.choose", lambda wanted: (torch.device("cpu"), torch.device("cpu")))
    both = TorchClassifier(make_card(), network, device="cuda:0,1")
    np.testing.assert_array_equal(both.predict(crops).probabilities, expected)


def test_mixed_precision_on_a_cpu_stays_close(network: nn.Module) -> None:
    crops = random_crops(20)
    exact = TorchClassifier(make_card(), network, device="cpu").predict(crops).probabilities
    mixed = TorchClassifier(make_card(), network, device="cpu", precision="mixed")
    assert mixed.compute.precision == "mixed"
    np.testing.assert_allclose(mixed.predict(crops).probabilities, exact, atol=0.02)


@pytest.mark.parametrize("batch_size", [0, -4, "many", True, 2.5])
def test_a_batch_size_that_is_none_is_refused(batch_size: object, network: nn.Module) -> None:
    with pytest.raises(ClassifierError, match="Batch size"):
        TorchClassifier(make_card(), network, device="cpu", batch_size=batch_size)  # type: ignore[arg-type]


def test_a_network_with_other_outputs_than_its_card_is_refused() -> None:
    wrong = networks.build("small-cnn", outputs=5, width=4)
    with pytest.raises(ClassifierError, match=r"5 outputs.*needs 3"):
        TorchClassifier(make_card(), wrong, device="cpu").predict(random_crops(1))
