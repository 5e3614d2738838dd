"""`smearscan evaluate`, from model folders and pictures to a folder with a page."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from classifiers import networks
from classifiers.card import ModelCard
from classifiers.datasets import load
from classifiers.folder import write_model
from classifiers.splits import Split, write_split
from smearscan.cli import smearscan

CARD = ModelCard(
    name="tiny",
    summary="Was never trained: for tests only",
    classes=("normal", "blast"),
    roles={"normal": "other", "blast": "blast"},
    positive_class="blast",
    activation="sigmoid",
    network={"name": "small-cnn"},
    crop_px=32,
)


def evaluate(*arguments: str | Path) -> Result:
    return CliRunner().invoke(smearscan, ["evaluate", *map(str, arguments), "--device", "cpu"])


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Sixty cells of twelve subjects as a CSV beside pictures."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "data"
    folder.mkdir()
    rows = []
    for row in range(60):
        label = "blast" if row % 2 else "normal"
        picture = rng.integers(0, 120, (40, 40, 3)).astype(np.uint8)
        picture[:, :, 2] += 100 if label == "blast" else 0
        assert cv2.imwrite(str(folder / f"{row}.png"), picture)
        rows.append(f"{row}.png,{label},{'A' if row % 2 else 'H'}{row // 2 % 6}")
    (folder / "cells.csv").write_text("file,label,subject\n" + "\n".join(rows) + "\n")
    return folder / "cells.csv"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return make_model(tmp_path / "tiny", seed=1)


def make_model(folder: Path, seed: int) -> Path:
    torch.manual_seed(seed)
    write_model(folder, CARD, networks.build_for(CARD).state_dict())
    return folder


def train_on(folder: Path, data: Path, parts: Mapping[str, int]) -> None:
    """Write that a model was trained on subjects, as training does."""
    samples = load(data)
    given = np.array([parts.get(group, 3) for group in samples.groups], np.int8)
    (folder / "training").mkdir()
    write_split(folder / "training" / "split.csv", samples, Split("given", given, False))


def test_one_model_end_to_end(tmp_path: Path, data: Path, model: Path) -> None:
    done = evaluate(model, data, "--out", tmp_path / "out", "--json", "--draws", "50")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found == json.loads((tmp_path / "out" / "evaluation.json").read_text("utf-8"))
    assert found["models"][0]["heat_maps"]
    assert found["data"]["cells"] == 60
    assert "Not known whether these cells were trained on" in done.stderr
    pictures = list((tmp_path / "out" / "cells" / "tiny").glob("*-heat.png"))
    assert len(pictures) == sum(len(each["surest"]) + len(each["by_chance"]) for each in found["models"][0]["galleries"].values())


@pytest.mark.slow
def test_the_same_command_gives_the_same_bytes(tmp_path: Path, data: Path, model: Path) -> None:
    for out in ("one", "two"):
        assert evaluate(model, data, "--out", tmp_path / out, "--draws", "20").exit_code == 0
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file())
    assert len(files) > 20
    assert [each for each in files if (tmp_path / "one" / each).read_bytes() != (tmp_path / "two" / each).read_bytes()] == []


def test_cells_that_were_trained_on_are_said_everywhere(tmp_path: Path, data: Path, model: Path) -> None:
    train_on(model, data, {"A0": 0, "H0": 0, "A1": 1})
    done = evaluate(model, data, "--out", tmp_path / "out", "--cam", "none", "--draws", "0")
    assert done.exit_code == 0, done.output
    assert "tiny: leaky: 10 of these 60 cells were trained on." in done.stderr
    assert "10 of these 60 cells were trained on." in (tmp_path / "out" / "index.html").read_text("utf-8")
    assert json.loads((tmp_path / "out" / "evaluation.json").read_text("utf-8"))["models"][0]["leak"]["trained"] == 10
    table = csv.DictReader((tmp_path / "out" / "predictions.csv").read_text("utf-8").splitlines())
    parts = [row["training_part"] for row in table]
    assert (parts.count("train"), parts.count("selection"), parts.count("")) == (10, 5, 45)


def test_only_the_test_part(tmp_path: Path, data: Path, model: Path) -> None:
    train_on(model, data, {"A0": 0, "H0": 0, "A1": 1})
    done = evaluate(model, data, "--out", tmp_path / "out", "--part", "test", "--cam", "none", "--draws", "0", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["data"]["cells"] == 45
    assert "leaky" not in done.stderr


@pytest.mark.slow
def test_two_models_are_compared(tmp_path: Path, data: Path, model: Path) -> None:
    other = make_model(tmp_path / "elsewhere" / "tiny", seed=2)
    done = evaluate(model, other, data, "--out", tmp_path / "out", "--cam", "none", "--draws", "20", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert [each["key"] for each in found["models"]] == ["tiny-1", "tiny-2"], "two folders of one name"
    assert sum(found["errors"]["missed_by"]) == 60
    assert "all 2 models miss" in done.stderr


@pytest.mark.slow
def test_three_models_show_what_one_alone_misses(tmp_path: Path, data: Path, model: Path) -> None:
    others = [make_model(tmp_path / f"tiny{seed}", seed) for seed in (2, 3)]
    done = evaluate(model, *others, data, "--out", tmp_path / "out", "--cam", "none", "--draws", "0", "--json")
    assert done.exit_code == 0, done.output
    assert len(json.loads(done.stdout)["errors"]["pairs"]) == 3


@pytest.mark.slow
def test_classes_of_other_names(tmp_path: Path, data: Path, model: Path) -> None:
    data.write_text(data.read_text().replace("blast", "ALL").replace("normal", "HEM"))
    out = tmp_path / "out"
    roles = ("--role", "ALL=blast", "--role", "HEM=other", "--cam", "none", "--draws", "0")
    done = evaluate(model, data, "--out", out, *roles, "--map", "ALL=blast", "--map", "HEM=normal", "--json")
    assert done.exit_code == 0, done.output
    assert [each["how"] for each in json.loads(done.stdout)["models"][0]["matches"]] == ["given", "given"]
    done = evaluate(model, data, "--out", out, *roles)
    assert "'ALL' (30 cells) was taken for 'blast'" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["nowhere/model"], 4, "nowhere/model"),
        (["--map", "ALL=blast"], 2, "no class 'ALL'"),
        (["--map", "ALL"], 2, "--map 'ALL' is not understood"),
        (["--group", "A=x,y"], 2, "no class 'x'"),
        (["--part", "test"], 2, "has no training/split.csv"),
        (["--cam", "guessing"], 2, "guessing"),
    ],
)
def test_what_makes_no_sense_is_said(tmp_path: Path, data: Path, model: Path, arguments: list[str], code: int, said: str) -> None:
    models = arguments[:1] if not arguments[0].startswith("-") else [str(model)]
    options = arguments if arguments[0].startswith("-") else []
    done = evaluate(*models, data, "--out", tmp_path / "out", *options)
    assert done.exit_code == code, done.output
    assert said in done.stderr
    assert not (tmp_path / "out").exists()


def test_unreadable_pictures_stop_it_unless_they_may_be_skipped(tmp_path: Path, data: Path, model: Path) -> None:
    (data.parent / "7.png").write_bytes(b"no picture")
    done = evaluate(model, data, "--out", tmp_path / "out", "--cam", "none")
    assert done.exit_code == 2
    assert "1 of 60 cells cannot be read" in done.stderr
    assert "7.png" in done.stderr
    done = evaluate(model, data, "--out", tmp_path / "out", "--cam", "none", "--draws", "0", "--skip-unreadable")
    assert done.exit_code == 0, done.output
    assert "left out: " in done.stderr
    assert "1 of 60 cells could not be read" in (tmp_path / "out" / "index.html").read_text("utf-8")


def test_a_folder_of_other_things_is_not_touched(tmp_path: Path, data: Path, model: Path) -> None:
    done = evaluate(model, data, "--out", data.parent)
    assert done.exit_code == 2
    assert "is no evaluation" in done.stderr


@pytest.mark.data
@pytest.mark.slow
def test_real_cells(tmp_path: Path, data_folder: Path, model: Path) -> None:
    samples = load(data_folder / "cnmc")
    assert len(samples) == 6181
    done = evaluate(model, data_folder / "cnmc", "--out", tmp_path / "out", "--cam", "none", "--json")
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)["models"][0]
    assert found["answers"]["blast"]["groups"] == 37
    assert {each["group"] for each in found["subjects"]} == set(samples.groups)
