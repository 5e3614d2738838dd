from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from classifiers import networks
from classifiers.base import ClassifierError
from classifiers.card import ModelCard, SubjectCounts
from classifiers.folder import read_model, write_model
from classifiers.torch_classifier import TorchClassifier

CARD = ModelCard(
    name="test",
    summary="Never trained",
    classes=("blast", "other"),
    roles={"blast": "blast", "other": "other"},
    positive_class="blast",
    activation="softmax",
    network={"name": "small-cnn", "width": 4},
    crop_px=32,
    crop_um=16.0,
    mean=(0.1, 0.2, 0.3),
    subjects=(SubjectCounts("one", "other", 20, 3),),
    blank_fractions=(0.01, 0.02),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(1)
    write_model(tmp_path / "model", CARD, networks.build_for(CARD).state_dict())
    return tmp_path / "model"


def test_what_is_written_is_read_back(folder: Path) -> None:
    torch.manual_seed(1)
    written = networks.build_for(CARD).state_dict()
    card, network = read_model(folder)
    assert replace(card, sha256="") == CARD
    assert not network.training
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, written[name]), name


def test_the_same_weights_are_written_with_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    card, network = read_model(folder)
    write_model(tmp_path / "again", card, network.state_dict())
    for name in ("card.json", "weights.safetensors"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()
    assert sorted(path.name for path in folder.iterdir()) == ["card.json", "weights.safetensors"]


def test_a_model_is_written_over_the_old_one(folder: Path) -> None:
    before = read_model(folder)[0].sha256
    torch.manual_seed(2)
    card = write_model(folder, CARD, networks.build_for(CARD).state_dict())
    assert card.sha256 != before
    assert read_model(folder)[0] == card


def test_a_crash_between_the_two_files_is_noticed(folder: Path, tmp_path: Path) -> None:
    torch.manual_seed(2)
    write_model(tmp_path / "newer", CARD, networks.build_for(CARD).state_dict())
    (tmp_path / "newer" / "weights.safetensors").replace(folder / "weights.safetensors")
    with pytest.raises(ClassifierError, match="belong together"):
        read_model(folder)


def test_a_folder_scores(folder: Path) -> None:
    crops = np.random.default_rng(1).integers(0, 256, (3, 32, 32, 3), dtype=np.uint8)
    card, network = read_model(folder)
    expected = TorchClassifier(card, network, device="cpu").predict(crops).probabilities
    np.testing.assert_array_equal(TorchClassifier.load(folder, device="cpu").predict(crops).probabilities, expected)


def test_altered_weights_are_refused(folder: Path) -> None:
    path = folder / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(ClassifierError, match=r"weights.safetensors is not what its card describes.*Copy the model folder again"):
        TorchClassifier.load(folder)


def test_missing_weights_are_named(folder: Path) -> None:
    (folder / "weights.safetensors").unlink()
    with pytest.raises(ClassifierError, match=r"weights.safetensors cannot be read"):
        read_model(folder)


def test_a_folder_without_a_card_is_no_model(tmp_path: Path) -> None:
    with pytest.raises(ClassifierError, match=r"no model folder.*card.json"):
        read_model(tmp_path)


def test_a_card_that_contradicts_itself_is_refused(folder: Path) -> None:
    values = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    values["positive_class"] = "other"
    (folder / "card.json").write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(ClassifierError, match="positive_class"):
        read_model(folder)


def test_weights_of_another_network_are_refused(folder: Path) -> None:
    wider = networks.build("small-cnn", outputs=2, width=8)
    write_model(folder, CARD, wider.state_dict())
    with pytest.raises(ClassifierError, match="does not fit the network"):
        read_model(folder)


def test_a_file_that_holds_no_tensors_is_refused(folder: Path) -> None:
    import hashlib

    (folder / "weights.safetensors").write_bytes(b"these are no weights")
    replace(CARD, sha256=hashlib.sha256(b"these are no weights").hexdigest()).save(folder / "card.json")
    with pytest.raises(ClassifierError, match="does not fit"):
        read_model(folder)
