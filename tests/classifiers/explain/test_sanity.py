"""Maps that depend on the model pass; an edge detector, a die and a map that stays where it is do not."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from skimage.filters import sobel

from classifiers import networks
from classifiers.base import Classifier, ClassifierError, Explainer
from classifiers.card import ModelCard
from classifiers.explain import build_explainer, sanity
from classifiers.explain.sanity import Limits, check, choose_shift, randomised, shift_crops, weighted_layers
from classifiers.torch_classifier import TorchClassifier
from smearscan.testing.classifiers import FakeClassifier

PX = 64
Crops = NDArray[np.uint8]


def discs(count: int, seed: int = 5) -> tuple[Crops, NDArray[np.int64]]:
    """Dark discs on a light ground, half of them with a bright spot: what the network is taught to tell."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:PX, :PX]
    crops, spotted = rng.integers(190, 210, (count, PX, PX, 3)), np.arange(count) % 2
    for crop, spot in zip(crops, spotted, strict=True):
        cx, cy = rng.integers(26, 38, 2)
        crop[(x - cx) ** 2 + (y - cy) ** 2 < 16**2] = rng.integers(70, 110, 3)
        if spot:
            angle = rng.random() * 2 * np.pi
            crop[(x - cx - 7 * np.cos(angle)) ** 2 + (y - cy - 7 * np.sin(angle)) ** 2 < 5**2] = (230, 60, 60)
    return crops.astype(np.uint8), spotted


@pytest.fixture(scope="module")
def classifier() -> TorchClassifier:
    """A small network that was taught for some seconds, so that it has something to forget."""
    card = ModelCard(
        name="spots",
        summary="Tells discs with a spot from others",
        classes=("other", "blast"),
        roles={"other": "other", "blast": "blast"},
        positive_class="blast",
        activation="softmax",
        network={"name": "small-cnn", "width": 8},
        crop_px=PX,
        mean=(0.6, 0.6, 0.6),
        std=(0.2, 0.2, 0.2),
        cam_layer="features.2",
    )
    torch.manual_seed(1)
    network = networks.build_for(card).train()
    crops, spotted = discs(192)
    pixels = (torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 255 - 0.6) / 0.2
    labels = torch.from_numpy(spotted)
    optimiser = torch.optim.Adam(network.parameters(), 3e-3)
    for _ in range(8):
        for start in range(0, len(crops), 32):
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(network(pixels[start : start + 32]), labels[start : start + 32]).backward()
            optimiser.step()
    taught = TorchClassifier(card, network.eval(), device="cpu")
    unseen, truth = discs(64, seed=6)
    assert (taught.predict(unseen).probabilities.argmax(1) == truth).mean() > 0.95
    return taught


@pytest.fixture(scope="module")
def spotted() -> Crops:
    crops, truth = discs(16, seed=7)
    return crops[truth == 1]


@pytest.mark.parametrize("method", ["gradcam", "gradcam++", "layercam"])
def test_a_method_that_looks_into_the_network_passes(method: str, classifier: TorchClassifier, spotted: Crops) -> None:
    report = check(method, classifier, spotted, depths=4, draws=2)
    assert report.passed, report.sentences()
    assert (report.method, report.class_name, report.cells) == (method, "blast", len(spotted))
    assert report.repeated == 0
    assert report.moved > report.stayed + 0.2
    assert [depth.layers for depth in report.depths] == sorted({depth.layers for depth in report.depths})
    assert (report.depths[0].layer, report.depths[-1].layer) == ("head", "stem.0.0")
    assert report.depths[-1].layers == len(weighted_layers(classifier.network))
    assert all(sentence.startswith("passed: ") for sentence in report.sentences())


class EdgeDetector(Explainer):
    """Draws the crop's edges and never asks the classifier: it looks convincing."""

    def __init__(self, classifier: Classifier) -> None:
        pass

    def explain(self, crops: Crops, class_name: str, show: Callable[[int], None] | None = None) -> NDArray[np.float32]:
        edges = np.stack([sobel(crop.mean(2)) for crop in crops])
        return (edges / edges.max((1, 2), keepdims=True)).astype(np.float32)  # type: ignore[no-any-return]


def test_an_edge_detector_is_found_out(classifier: TorchClassifier, spotted: Crops) -> None:
    report = check(EdgeDetector, classifier, spotted, depths=3, draws=1)
    assert (report.changes, report.repeats, report.moves, report.passed) == (False, True, True, False)
    assert report.method == "EdgeDetector"
    assert all(depth.rank == pytest.approx(1) and depth.ssim == pytest.approx(1) for depth in report.depths)
    first, *rest = report.sentences()
    assert first == "FAILED: with all 13 layers randomised its maps correlate by 1.00 with those of the trained network (at most 0.7)"
    assert all(sentence.startswith("passed: ") for sentence in rest)


class Die(Explainer):
    """Another map every time."""

    rng = np.random.default_rng(1)

    def __init__(self, classifier: Classifier) -> None:
        pass

    def explain(self, crops: Crops, class_name: str, show: Callable[[int], None] | None = None) -> NDArray[np.float32]:
        return self.rng.random(crops.shape[:3], np.float32)


class Bullseye(Explainer):
    """The middle of the crop, wherever the cell is."""

    def __init__(self, classifier: Classifier) -> None:
        pass

    def explain(self, crops: Crops, class_name: str, show: Callable[[int], None] | None = None) -> NDArray[np.float32]:
        y, x = np.mgrid[:PX, :PX] - PX / 2
        return np.broadcast_to(np.exp(-(x**2 + y**2) / 200).astype(np.float32), crops.shape[:3]).copy()


def test_a_die_neither_repeats_nor_moves(classifier: TorchClassifier, spotted: Crops) -> None:
    report = check(Die, classifier, spotted, depths=2, draws=2)
    assert (report.changes, report.repeats, report.moves) == (True, False, False)


def test_a_map_that_stays_in_the_middle_does_not_move(classifier: TorchClassifier, spotted: Crops) -> None:
    report = check(Bullseye, classifier, spotted, depths=1, draws=1)
    assert (report.repeats, report.moves) == (True, False)
    assert report.stayed == pytest.approx(1)
    assert report.moved < 0.5


class Silent(Bullseye):
    """Finds nothing."""

    def explain(self, crops: Crops, class_name: str, show: Callable[[int], None] | None = None) -> NDArray[np.float32]:
        return np.zeros(crops.shape[:3], np.float32)


def test_maps_that_show_nothing_cannot_be_checked(classifier: TorchClassifier, spotted: Crops) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ClassifierError, match="No map shows anything that speaks for 'blast' in the 8 crops"):
            check(Silent, classifier, spotted)


def test_limits_can_be_stated(classifier: TorchClassifier, spotted: Crops) -> None:
    strict = check("gradcam", classifier, spotted[:2], limits=Limits(moved=1.01), depths=2, draws=1)
    assert not strict.moves
    assert len(strict.depths) == 2


def test_a_classifier_without_weights_cannot_be_checked(spotted: Crops) -> None:
    with pytest.raises(ClassifierError, match="no weights to randomise"):
        check("gradcam", FakeClassifier(), spotted)


def test_randomising_shuffles_from_the_head_and_leaves_the_classifier_as_it_was(classifier: TorchClassifier) -> None:
    before = {name: weights.clone() for name, weights in classifier.network.state_dict().items()}
    changed = randomised(classifier, 3, seed=4).network.state_dict()
    differ = {name.rpartition(".")[0] for name, weights in changed.items() if not torch.equal(weights, before[name])}
    assert differ == {"head", "features.3.1", "features.3.0"}
    for name, weights in changed.items():
        assert torch.equal(weights.flatten().sort().values, before[name].flatten().sort().values), "shuffled, not drawn"
    assert all(torch.equal(weights, before[name]) for name, weights in classifier.network.state_dict().items())
    again = randomised(classifier, 3, seed=4).network.state_dict()
    assert all(torch.equal(weights, again[name]) for name, weights in changed.items())
    none = randomised(classifier, 0, seed=4).network.state_dict()
    assert all(torch.equal(weights, before[name]) for name, weights in none.items())


def test_a_shifted_crop_has_its_contents_elsewhere() -> None:
    crops = np.zeros((1, 9, 9, 3), np.uint8)
    crops[0, 4, 4] = 200
    assert np.argwhere(shift_crops(crops, 2, -3)[0, :, :, 0]).tolist() == [[6, 1]]
    crops[0, 0, :] = 50
    assert (shift_crops(crops, 3, 0)[0, :4, :, 0] == 50).all(), "what comes in repeats the edge"


@pytest.mark.parametrize(("side", "shift"), [(8, 2), (32, 10), (48, 16), (64, 16), (112, 32), (128, 32), (224, 64), (256, 64)])
def test_the_shift_suits_networks_that_halve(side: int, shift: int) -> None:
    assert choose_shift(side) == shift


def test_an_empty_map_of_a_randomised_network_counts_as_changed(classifier: TorchClassifier, spotted: Crops) -> None:
    trained = classifier.network.state_dict()["head.weight"]

    class OnlyTrained(Explainer):
        """Maps for the trained network, nothing for another."""

        def __init__(self, given: Classifier) -> None:
            assert isinstance(given, TorchClassifier)
            self.known = torch.equal(given.network.state_dict()["head.weight"], trained)
            self.inner = build_explainer("gradcam", given)

        def explain(self, crops: Crops, class_name: str, show: Callable[[int], None] | None = None) -> NDArray[np.float32]:
            return self.inner.explain(crops, class_name) * np.float32(self.known)

    report = sanity.check(OnlyTrained, classifier, spotted, depths=2, draws=1)
    assert [depth.rank for depth in report.depths] == [0, 0]
    assert report.changes
