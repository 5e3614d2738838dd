"""A classifier as ONNX: the same probabilities from bytes, whatever the batch, and all that must be known of it as metadata."""

from __future__ import annotations

import importlib.util
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from classifiers import bundled, networks, onnx_export
from classifiers.base import NOTICE, ClassifierError
from classifiers.card import ModelCard
from classifiers.folder import write_model
from classifiers.onnx_export import export
from classifiers.opening import ENSEMBLE, open_model

onnxruntime = pytest.importorskip("onnxruntime", reason="needs onnxruntime: pip install 'smearscan[test]'")


def run(file: Path, crops: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return what ONNX Runtime makes of crops as smearscan cuts them, (n, height, width, 3)."""
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    found: np.ndarray[Any, Any] = session.run(None, {session.get_inputs()[0].name: np.moveaxis(crops, 3, 1)})[0]
    return found


def metadata(file: Path) -> dict[str, str]:
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    found: dict[str, str] = session.get_modelmeta().custom_metadata_map
    return found


def write_sigmoid(folder: Path, **changes: Any) -> ModelCard:
    """Write an untrained sigmoid network with a temperature and a normalisation of its own."""
    card = ModelCard(
        name="sigmoid",
        summary="Has learnt nothing.",
        classes=("other", "blast"),
        roles={"other": "other", "blast": "blast"},
        positive_class="blast",
        activation="sigmoid",
        network={"name": "small-cnn", "width": 4},
        crop_px=40,
        crop_um=20.0,
        mean=(0.1, 0.2, 0.3),
        std=(0.5, 0.4, 0.3),
        temperature=0.25,
    )
    card = replace(card, **changes)
    torch.manual_seed(0)
    weights = networks.build_for(card).state_dict()
    # An untrained head says nearly the same of everything: make it say more.
    return write_model(folder, card, {name: 100 * each if each.ndim == 2 else each for name, each in weights.items()})


@pytest.fixture(scope="module")
def drawn_cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("onnx") / "below" / "drawn.onnx"
    made = export(bundled.folder("drawn-cells"), out)
    assert made["largest_difference"] < 1e-5
    assert made["remarks"] == []
    return out


@pytest.mark.parametrize("rows", [1, 2, 9])
def test_onnx_runtime_gives_the_probabilities_of_the_classifier(drawn_cells: Path, rows: int) -> None:
    crops = np.random.default_rng(rows).integers(0, 256, (rows, 64, 64, 3), np.uint8)
    expected = bundled.open_bundled("drawn-cells", device="cpu").predict(crops).probabilities
    np.testing.assert_allclose(run(drawn_cells, crops), expected, atol=1e-5)


def test_a_sigmoid_gives_both_columns(tmp_path: Path) -> None:
    write_sigmoid(tmp_path / "model")
    export(tmp_path / "model", tmp_path / "model.onnx")
    crops = np.random.default_rng(0).integers(0, 256, (5, 40, 40, 3), np.uint8)
    expected = open_model(tmp_path / "model", device="cpu").predict(crops).probabilities
    assert np.ptp(expected[:, 1]) > 0.005, "the crops differ to the network"
    np.testing.assert_allclose(run(tmp_path / "model.onnx", crops), expected, atol=1e-4)


def test_the_metadata_says_what_must_be_known(drawn_cells: Path) -> None:
    card = bundled.open_bundled("drawn-cells", device="cpu").card
    said = metadata(drawn_cells)
    assert said["kind"] == "smearscan classifier"
    assert json.loads(said["classes"]) == list(card.classes)
    assert json.loads(said["roles"]) == dict(card.roles)
    assert (said["positive_class"], said["licence"], said["sha256"]) == (card.positive_class, card.licence, card.sha256)
    assert (float(said["threshold"]), float(said["temperature"])) == (card.threshold, card.temperature)
    assert (int(said["crop_px"]), float(said["crop_um"]), float(said["mpp"])) == (64, 22.0, 0.34375)
    assert json.loads(said["preparation"]) == []
    assert "(n, 3, 64, 64), RGB from 0 to 255, each crop as it was cut" in said["input"]
    assert said["notice"] == NOTICE


def test_preparation_is_said_and_its_size_taken(tmp_path: Path) -> None:
    write_sigmoid(tmp_path / "model", preparation=({"step": "resize", "px": 24},))
    made = export(tmp_path / "model", tmp_path / "model.onnx")
    assert made["remarks"] == ["a crop must be prepared before it is given to the file, which its metadata says: resize"]
    said = metadata(tmp_path / "model.onnx")
    assert json.loads(said["preparation"]) == [{"step": "resize", "px": 24}]
    assert "(n, 3, 24, 24)" in said["input"]
    assert "after the steps in `preparation`" in said["input"]


def test_the_same_model_gives_the_same_bytes_and_names_no_place(drawn_cells: Path, tmp_path: Path) -> None:
    export(bundled.folder("drawn-cells"), tmp_path / "again.onnx")
    content = (tmp_path / "again.onnx").read_bytes()
    assert content == drawn_cells.read_bytes()
    for place in (str(Path(onnx_export.__file__).parents[1]), "site-packages"):
        assert place.encode() not in content
    assert [path.name for path in tmp_path.iterdir()] == ["again.onnx"], "nothing is left of the writing"


def test_what_cannot_be_exported_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    card = write_sigmoid(tmp_path / "model")
    replace(card, network={"name": ENSEMBLE, "members": []}).save(tmp_path / "model" / "card.json")
    with pytest.raises(ClassifierError, match="export its members one by one"):
        export(tmp_path / "model", tmp_path / "model.onnx")
    monkeypatch.setattr(onnx_export, "NEEDED", ("onnx", "no_such_package", "nor_this"))
    with pytest.raises(
        ClassifierError, match=r"needs no_such_package and nor_this, which are not installed: pip install 'smearscan\[export\]'"
    ):
        export(bundled.folder("drawn-cells"), tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()


def test_without_onnx_runtime_the_file_is_written_and_that_said(drawn_cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_export, "_graph", lambda *_: drawn_cells.read_bytes())
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "onnxruntime" else found(name, *more))
    made = export(bundled.folder("drawn-cells"), tmp_path / "model.onnx")
    assert made["largest_difference"] is None
    assert made["remarks"] == ["not compared with torch: onnxruntime is not installed"]
    assert (tmp_path / "model.onnx").stat().st_size > 100_000


def test_a_file_that_disagrees_is_not_written(drawn_cells: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_export, "_graph", lambda *_: drawn_cells.read_bytes())
    monkeypatch.setattr(onnx_export, "TOLERANCE", -1.0)
    with pytest.raises(ClassifierError, match="differ from torch's"):
        export(bundled.folder("drawn-cells"), tmp_path / "model.onnx")
    assert not (tmp_path / "model.onnx").exists()
