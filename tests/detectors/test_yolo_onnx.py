"""A detector as ONNX: every box and score before suppression, the same as torch's, and how they are to be suppressed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from detectors import DetectorError, yolo_onnx
from detectors.boxes import suppress
from detectors.yolo import YoloDetector
from detectors.yolo_folder import DetectorCard
from detectors.yolo_onnx import export

onnxruntime = pytest.importorskip("onnxruntime", reason="needs onnxruntime: pip install 'smearscan[test]'")


@pytest.fixture(scope="module")
def file(disc_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("onnx") / "discs.onnx"
    made = export(disc_folder, out)
    assert made["largest_difference"] < 1e-5
    assert made["remarks"] == ["boxes overlap: suppress them as the metadata says"]
    return out


def test_suppressed_as_the_metadata_says_its_boxes_are_the_detectors(file: Path, disc_folder: Path, draw_discs: Any) -> None:
    picture = draw_discs(256, 256, [(80, 100), (150, 160), (128, 60)], red=[(190, 80)])
    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    both = np.stack([np.full_like(picture, 255), picture])  # glass beside it changes nothing
    boxes, scores = (each[1] for each in session.run(["boxes", "scores"], {"fields": np.moveaxis(both, 3, 1)}))
    assert (boxes.shape, scores.shape) == ((1024, 4), (1024, 2))
    said = session.get_modelmeta().custom_metadata_map
    kept = (scores.argmax(axis=1) == 0) & (scores.max(axis=1) >= float(said["confidence"]))
    assert kept.sum() > 3, "they overlap"
    best = suppress(boxes[kept], scores[kept].max(axis=1))
    middles = sorted(map(tuple, np.rint(boxes[kept][best] @ [[0.5, 0], [0, 0.5], [0.5, 0], [0, 0.5]]).astype(int).tolist()))
    found = YoloDetector(disc_folder, device="cpu").propose(picture)
    expected = sorted(map(tuple, np.rint(found.boxes @ [[0.5, 0], [0, 0.5], [0.5, 0], [0, 0.5]]).astype(int).tolist()))
    assert len(expected) == 3
    assert np.abs(np.array(middles) - np.array(expected)).max() <= 4, "the picture lies otherwise in the detector's field"


def test_the_metadata_says_how_to_use_it(file: Path, disc_folder: Path) -> None:
    card = DetectorCard.load(disc_folder / "card.json")
    said = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"]).get_modelmeta().custom_metadata_map
    assert said["kind"] == "smearscan detector"
    assert json.loads(said["classes"]) == ["disc", "red"]
    assert json.loads(said["roles"]) == {"disc": "cell", "red": "ignored"}
    assert (float(said["confidence"]), float(said["iou"]), json.loads(said["mpp"])) == (0.5, 0.3, None)
    assert (said["sha256"], said["model_sha256"], said["licence"]) == (card.sha256, card.model_sha256, card.licence)
    assert "(n, 3, 256, 256)" in said["input"]
    assert "nothing is suppressed" in said["output"]


def test_the_same_detector_gives_the_same_bytes_and_names_no_place(file: Path, disc_folder: Path, tmp_path: Path) -> None:
    export(disc_folder, tmp_path / "again.onnx")
    content = (tmp_path / "again.onnx").read_bytes()
    assert content == file.read_bytes()
    for place in (str(Path(yolo_onnx.__file__).parents[1]), "site-packages"):
        assert place.encode() not in content


def test_what_is_missing_or_disagrees_is_said(file: Path, disc_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yolo_onnx, "_graph", lambda *_: file.read_bytes())
    monkeypatch.setattr(yolo_onnx, "SCORE_TOLERANCE", -1.0)
    with pytest.raises(DetectorError, match="differ from torch's"):
        export(disc_folder, tmp_path / "out.onnx")
    monkeypatch.setattr(yolo_onnx, "NEEDED", ("no_such_package",))
    with pytest.raises(DetectorError, match=r"needs no_such_package, which is not installed: pip install 'smearscan\[export\]'"):
        export(disc_folder, tmp_path / "out.onnx")
    assert not (tmp_path / "out.onnx").exists()
