"""A detector folder is data: nothing in it is unpickled or evaluated, and altered files are refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from detectors import DetectorError
from detectors.yolo import YoloDetector
from detectors.yolo_folder import CARD, MODEL, WEIGHTS, DetectorCard, build, convert, load_folder, read_pt, save_folder, sha256

Draw = Callable[..., NDArray[np.uint8]]
FACTS: dict[str, Any] = {"name": "x", "summary": "", "classes": ("WBC", "RBC"), "roles": {"WBC": "cell", "RBC": "ignored"}}


@pytest.fixture
def folder(disc_folder: Path, tmp_path: Path) -> Path:
    """A copy to do harm to."""
    return Path(shutil.copytree(disc_folder, tmp_path / "detector"))


def rewrite_model(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change model.yaml, and its digest on the card, as its maker could."""
    layers = yaml.safe_load((folder / MODEL).read_text())
    change(layers)
    (folder / MODEL).write_text(yaml.safe_dump(layers))
    replace(DetectorCard.load(folder / CARD), model_sha256=sha256(folder / MODEL)).save(folder / CARD)


def test_a_folder_comes_back_as_it_was_saved(disc_folder: Path, tmp_path: Path) -> None:
    import torch

    card, network = load_folder(disc_folder)
    again = save_folder(network, tmp_path / "again", replace(card, sha256="", model_sha256=""))
    assert again == card
    for name in (CARD, MODEL, WEIGHTS):
        assert (tmp_path / "again" / name).read_bytes() == (disc_folder / name).read_bytes(), name
    half = save_folder(network, tmp_path / "half", card, half=True)
    assert (tmp_path / "half" / WEIGHTS).stat().st_size < 0.6 * (disc_folder / WEIGHTS).stat().st_size
    assert half.sha256 != card.sha256
    assert all(tensor.dtype != torch.float16 for tensor in load_folder(tmp_path / "half")[1].state_dict().values())


@pytest.mark.slow
@pytest.mark.parametrize("family", ["11/yolo11", "26/yolo26", "v8/yolov8"])
def test_the_families_of_ultralytics_fit_in_a_folder(family: str, tmp_path: Path) -> None:
    """Their own descriptions pass the check of layers, and the network answers as before, untrained as it is."""
    import torch

    from detectors.yolo_library import load_tasks

    path = Path(str(load_tasks().__file__)).parents[1] / "cfg" / "models" / f"{family}.yaml"
    layers = yaml.safe_load(path.read_text()) | {"nc": 2, "scale": "n"}
    torch.manual_seed(1)
    network: Any = build(layers)
    save_folder(network, tmp_path, DetectorCard(**FACTS, input_px=256, margin_px=64))
    picture = torch.rand(1, 3, 256, 256)
    with torch.inference_mode():
        assert torch.equal(network.eval()(picture)[0], load_folder(tmp_path)[1](picture)[0])
    found = YoloDetector(tmp_path, device="cpu", confidence=1e-9, iou=0.9).propose(np.full((130, 200, 3), 200, np.uint8))
    assert np.isfinite(found.boxes).all()
    assert np.isfinite(found.scores).all()


def test_building_moves_nobody_s_random_numbers(disc_folder: Path) -> None:
    import torch

    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    load_folder(disc_folder)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("name", [CARD, MODEL, WEIGHTS])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(DetectorError, match=f"{name} is missing"):
        load_folder(folder)


@pytest.mark.parametrize("name", [MODEL, WEIGHTS])
def test_an_altered_file_is_refused(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[-3] ^= 1
    (folder / name).write_bytes(bytes(content))
    with pytest.raises(DetectorError, match=f"{name} is not the file its card describes .* Copy the folder again"):
        load_folder(folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda layers: layers.update(activation="__import__('os').mkdir('harm')"), "no activation that smearscan accepts"),
        (lambda layers: layers.update(activation="nn.SiLU() or print(1)"), "no activation that smearscan accepts"),
        (lambda layers: layers["backbone"][0].__setitem__(2, "torch_safe_load"), "'torch_safe_load' is no layer"),
        (lambda layers: layers["backbone"][0].__setitem__(2, "YOLOEModel"), "'YOLOEModel' is no layer"),
        (lambda layers: layers["backbone"][0].__setitem__(2, "TorchVision"), "'TorchVision' is no layer"),
        (lambda layers: layers["backbone"][0].__setitem__(2, "nn.init"), "'nn.init' is no layer"),
        (lambda layers: layers["backbone"][0].__setitem__(2, "torchvision.ops.nms"), "is no layer"),
        (lambda layers: layers["backbone"][0].__setitem__(3, ["open('x')"]), "is no argument that a layer may have"),
        (lambda layers: layers["backbone"].__setitem__(0, "Conv"), "'Conv' is no layer; write"),
        (lambda layers: layers.update(text_model="clip"), "accepts: \\['text_model'\\]"),
        (lambda layers: layers.update(nc=3), "has 3 classes, its card 2"),
        (lambda layers: layers.pop("head"), "no nc, backbone and head"),
        (lambda layers: layers["backbone"][2].__setitem__(3, [16, 3, 2]), "does not fit the layers of model.yaml"),
        (lambda layers: layers["head"].__setitem__(0, [[2], 1, "Classify", ["nc"]]), "do not fit together"),
    ],
)
def test_a_description_that_would_run_or_fetch_something_is_refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[dict[str, Any]], None], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    rewrite_model(folder, change)
    with pytest.raises(DetectorError, match=message):
        load_folder(folder)
    assert [path.name for path in tmp_path.iterdir()] == ["detector"], "nothing was run"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"roles": {"WBC": "cell"}}, "every class needs one role"),
        ({"roles": {"WBC": "ignored", "RBC": "ignored"}}, "nothing could ever be proposed"),
        ({"classes": ("WBC", "WBC")}, "classes must be different"),
        ({"input_px": 250}, "input_px 250"),
        ({"margin_px": 200}, "margin_px 200"),
        ({"mpp": 250.0}, "mpp 250"),
        ({"confidence": 0.0}, "confidence 0"),
        ({"max_detections": 0}, "max_detections 0"),
    ],
)
def test_a_card_that_cannot_be_true_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(DetectorError, match=message):
        DetectorCard(**(FACTS | change))


@pytest.mark.parametrize(
    ("content", "message"), [("{", "no readable detector card"), ("[]", "unknown fields"), ('{"colour": 1}', "colour"), ("{}", "missing")]
)
def test_a_card_that_is_no_card_is_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / CARD).write_text(content)
    with pytest.raises(DetectorError, match=message):
        DetectorCard.load(tmp_path / CARD)


def test_the_sizes_that_a_card_promises_come_back(tmp_path: Path) -> None:
    card = DetectorCard(**FACTS, mpp=0.4, cell_px=(15.0, 300.0), citation="Somebody et al.")
    card.save(tmp_path / CARD)
    assert DetectorCard.load(tmp_path / CARD) == card


def test_a_card_of_before_there_were_sizes_is_read(tmp_path: Path) -> None:
    DetectorCard(**FACTS).save(tmp_path / CARD)
    values = json.loads((tmp_path / CARD).read_text())
    del values["cell_px"], values["citation"]
    (tmp_path / CARD).write_text(json.dumps(values))
    card = DetectorCard.load(tmp_path / CARD)
    assert card.cell_px is None and card.citation == ""


@pytest.mark.parametrize("sizes", [[300, 15], [0, 20], [15], 15, ["a", "b"]])
def test_sizes_that_make_no_sense_are_refused(tmp_path: Path, sizes: object) -> None:
    DetectorCard(**FACTS).save(tmp_path / CARD)
    values = json.loads((tmp_path / CARD).read_text())
    (tmp_path / CARD).write_text(json.dumps({**values, "cell_px": sizes}))
    with pytest.raises(DetectorError):
        DetectorCard.load(tmp_path / CARD)


def test_roles_of_the_wrong_kind_are_named_with_the_file(folder: Path) -> None:
    values = json.loads((folder / CARD).read_text()) | {"roles": ["disc"]}
    (folder / CARD).write_text(json.dumps(values))
    with pytest.raises(DetectorError, match=CARD):
        DetectorCard.load(folder / CARD)


@pytest.fixture
def pt(disc_folder: Path, tmp_path: Path) -> Path:
    """A file as ultralytics writes it: the whole network, pickled."""
    import torch

    _, network = load_folder(disc_folder)
    loose: Any = network
    loose.names = {0: "White blood cells", 1: "RBC"}
    path = tmp_path / "best.pt"
    torch.save({"model": network.half(), "ema": None, "train_args": {"imgsz": 256}}, path)
    return path


def test_a_pt_file_is_read_only_when_trusted(pt: Path, draw_discs: Draw) -> None:
    with pytest.raises(DetectorError, match=r"can run any code .* --trust-weights"):
        YoloDetector(pt, device="cpu")
    detector = YoloDetector(pt, device="cpu", trust_weights=True, iou=0.3)
    assert detector.card.roles == {"White blood cells": "cell", "RBC": "ignored"}
    assert detector.card.input_px == 256
    assert detector.digest == sha256(pt)
    assert len(detector.propose(draw_discs(200, 200, [(70, 60), (130, 140)], [(60, 140)]))) == 2


def test_a_converted_file_is_data_and_finds_the_same(pt: Path, tmp_path: Path, draw_discs: Draw) -> None:
    card = convert(pt, tmp_path / "converted", name="discs", licence="CC0", iou=0.3, margin_px=48)
    assert (card.name, card.licence, card.margin_px) == ("discs", "CC0", 48)
    picture = draw_discs(200, 200, [(70, 60), (130, 140)], [(60, 140)])
    trusted = YoloDetector(pt, device="cpu", trust_weights=True, iou=0.3).propose(picture)
    converted = YoloDetector(tmp_path / "converted", device="cpu").propose(picture)
    assert len(converted) == 2
    assert len(trusted) == 2
    assert np.allclose(np.sort(converted.scores), np.sort(trusted.scores), atol=1e-3)


def test_what_is_no_network_of_ultralytics_is_refused(tmp_path: Path) -> None:
    import torch

    (tmp_path / "text.pt").write_text("not weights")
    with pytest.raises(DetectorError, match="cannot be read as weights"):
        read_pt(tmp_path / "text.pt")
    torch.save({"model": torch.nn.Linear(2, 2)}, tmp_path / "linear.pt")
    with pytest.raises(DetectorError, match="holds no detection network"):
        read_pt(tmp_path / "linear.pt")


def test_classes_that_name_no_white_cell_are_asked_for(pt: Path) -> None:
    import torch

    stored = torch.load(pt, weights_only=False)
    stored["model"].names = {0: "thing", 1: "stuff"}
    torch.save(stored, pt)
    with pytest.raises(DetectorError, match="thing, stuff, and none of these is named like a white cell"):
        read_pt(pt)


def test_a_fused_or_mislabelled_network_is_not_saved(disc_folder: Path, tmp_path: Path) -> None:
    card, network = load_folder(disc_folder)
    loose: Any = network
    with pytest.raises(DetectorError, match="tells 2 classes apart"):
        save_folder(network, tmp_path, replace(card, classes=("disc",), roles={"disc": "cell"}))
    with pytest.raises(DetectorError, match="fused"):
        save_folder(loose.fuse(verbose=False), tmp_path, card)
