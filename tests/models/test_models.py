"""The models that ship and any model folder: found, checked, and written as a page."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from classifiers import Predictions, bundled
from classifiers.torch_classifier import TorchClassifier
from smearscan import plugins
from smearscan.config import ScanConfig
from smearscan.errors import OutputError, PluginError
from smearscan.models import card_files, checking, shelf
from smearscan.testing.cards import PICTURES, write_full_model, write_small_detector
from smearscan.testing.classifiers import FakeClassifier


@pytest.fixture
def full(tmp_path: Path) -> Path:
    write_full_model(tmp_path / "full")
    return tmp_path / "full"


@pytest.fixture(scope="module")
def small_detector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_detector(tmp_path_factory.mktemp("small"))


def test_every_model_that_ships_is_listed_whole_and_works() -> None:
    listed = shelf.bundled()
    assert "drawn-cells" in [model.name for model in listed]
    for model in listed:
        assert shelf.find(model.name) == model
        assert model.card["sha256"]
        assert model.card["summary"]
        assert model.card["licence"]
        assert len(checking.verify(model)) == 3


def test_a_folder_says_what_kind_of_model_it_holds(full: Path, small_detector: Path) -> None:
    assert (shelf.find(str(full)).kind, shelf.find(str(small_detector)).kind) == ("classifier", "detector")
    assert shelf.find(str(small_detector)).card["max_detections"] == 300, "what its card leaves out is filled in"


def test_what_is_no_model_is_refused(tmp_path: Path, full: Path) -> None:
    with pytest.raises(
        PluginError, match=r"There is no model named 'drawn': give a model folder, or one of those that ship: .*drawn-cells"
    ):
        shelf.find("drawn")
    with pytest.raises(PluginError, match=r"is no model folder: it has no card\.json"):
        shelf.find(str(tmp_path))
    card = full / "card.json"
    for content, words in (("{", "no readable model card"), ("[]", "neither a classifier nor a detector"), ('{"name": "x"}', "neither")):
        card.write_text(content, encoding="utf-8")
        with pytest.raises(PluginError, match=words):
            shelf.find(str(full))
    card.write_text(json.dumps({"positive_class": "blast", "surprise": 1}), encoding="utf-8")
    with pytest.raises(PluginError, match="unknown fields"):
        shelf.find(str(full))


def test_a_name_that_two_models_have_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "bundled_names", lambda kind: ["drawn-cells"])
    with pytest.raises(PluginError, match="A classifier and a detector named 'drawn-cells' ship"):
        shelf.find("drawn-cells")


def test_a_whole_classifier_and_a_whole_detector_pass(full: Path, small_detector: Path) -> None:
    assert checking.verify(shelf.find(str(full)))[-1] == "5 crops give probabilities of 4 classes that add up to 1"
    assert "a drawn picture of 12 white cells gives" in checking.verify(shelf.find(str(small_detector)))[-1]


@pytest.mark.parametrize("kind", ["classifier", "detector"])
def test_altered_weights_do_not_pass(full: Path, small_detector: Path, tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(full if kind == "classifier" else small_detector, folder)
    weights = folder / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(bytes(content))
    with pytest.raises(PluginError, match="sha256"):
        checking.verify(shelf.find(str(folder)))


def test_a_picture_that_the_card_shows_must_be_there(full: Path) -> None:
    (full / "modes.png").unlink()
    with pytest.raises(PluginError, match=r"lacks modes\.png, which its card shows"):
        checking.verify(shelf.find(str(full)))


@pytest.mark.parametrize("value", [np.nan, -0.5, 0.9])
def test_probabilities_that_make_no_sense_do_not_pass(full: Path, monkeypatch: pytest.MonkeyPatch, value: float) -> None:
    def predict(self: TorchClassifier, crops: np.ndarray) -> Predictions:  # type: ignore[type-arg]
        return Predictions(np.full((len(crops), 4), value, np.float32), self.card.classes)

    monkeypatch.setattr(TorchClassifier, "predict", predict)
    with pytest.raises(PluginError, match="its probabilities make no sense"):
        checking.verify(shelf.find(str(full)))


def test_a_page_lies_with_its_pictures(full: Path, tmp_path: Path) -> None:
    page = card_files.write(shelf.find(str(full)), tmp_path / "page")
    names = {path.relative_to(tmp_path / "page").as_posix() for path in (tmp_path / "page").rglob("*") if path.is_file()}
    assert names == {"index.html", "card.json", *PICTURES}
    assert page.name == "index.html"
    assert (tmp_path / "page" / "card.json").read_bytes() == (full / "card.json").read_bytes()
    first = {name: (tmp_path / "page" / name).read_bytes() for name in names}
    card_files.write(shelf.find(str(full)), tmp_path / "page")
    assert first == {name: (tmp_path / "page" / name).read_bytes() for name in names}
    with pytest.raises(OutputError, match="is the model folder itself"):
        card_files.write(shelf.find(str(full)), full)
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(OutputError, match="cannot be written"):
        card_files.write(shelf.find(str(full)), tmp_path / "file")


def test_a_run_has_the_cards_of_its_models(full: Path, small_detector: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = shelf.find(str(full))
    config = ScanConfig(classifier=str(full), proposals="yolo", detector=str(small_detector))
    classifier, detector = card_files.of_run(config, bundled.open_bundled("drawn-cells", device="cpu").card)
    assert classifier.page == f"models/drawn-cells-{card.card['sha256'][:8]}/index.html"
    assert {*classifier.files} >= {"index.html", "card.json"}
    assert detector.place.startswith("models/small-")
    assert b'href="../../index.html"' in detector.files["index.html"]
    (alone,) = card_files.of_run(
        ScanConfig(classifier="drawn-cells", proposals="nuclei"), bundled.open_bundled("drawn-cells", device="cpu").card
    )
    assert alone.kind == "classifier", "nuclei have no weights, so no card"
    assert alone.files["card.json"] == (bundled.folder("drawn-cells") / "card.json").read_bytes()
    # One that another package brings has no folder; what its card says is shown all the same.
    (plug_in,) = card_files.of_run(ScanConfig(classifier="theirs", proposals="nuclei"), FakeClassifier().card)
    assert json.loads(plug_in.files["card.json"])["name"] == FakeClassifier().card.name
