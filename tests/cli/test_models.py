"""`smearscan models`: the list, a card on the terminal and as a page, verify and export with their exit codes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from classifiers import bundled, onnx_export
from smearscan.cli import smearscan
from smearscan.testing.cards import write_full_model, write_small_detector


def models(*arguments: object) -> Result:
    return CliRunner().invoke(smearscan, ["models", *map(str, arguments)])


@pytest.fixture
def full(tmp_path: Path) -> Path:
    write_full_model(tmp_path / "full")
    return tmp_path / "full"


@pytest.mark.parametrize("verb", [(), ("list",)])
def test_the_list_names_what_ships(verb: tuple[str, ...]) -> None:
    result = models(*verb)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "", "a table is for people"
    for name in bundled.names():
        assert name in result.stderr
    for words in ("classifier", "AGPL-3.0-or-later", "df02cef5b7c0", "kB", "models show NAME"):
        assert words in result.stderr
    said = {each["name"]: each for each in json.loads(models(*verb, "--json").stdout)}
    assert set(said) >= set(bundled.names())
    assert said["drawn-cells"]["kind"] == "classifier"
    assert said["drawn-cells"]["classes"] == ["blast", "other", "smudge", "artefact"]
    assert said["drawn-cells"]["bytes"] > 500_000
    assert len(said["drawn-cells"]["sha256"]) == 64


def test_show_prints_the_card(full: Path) -> None:
    result = models("show", full)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("full card\n=========\n")
    assert "Tests for shortcuts" in result.stdout
    assert "For research use only." in result.stdout
    by_name = models("show", "drawn-cells")
    assert "means nothing on real slides" in " ".join(by_name.stdout.split())  # lines are as long as the terminal is wide


def test_show_as_json_holds_the_whole_card(full: Path) -> None:
    said = json.loads(models("show", full, "--json").stdout)
    assert said["kind"] == "classifier"
    assert said["card"]["extra"] == json.loads((full / "card.json").read_text(encoding="utf-8"))["extra"]


def test_show_writes_a_page(full: Path, tmp_path: Path) -> None:
    result = models("show", full, "--out", tmp_path / "page")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == ""
    assert "<h1>full card</h1>" in (tmp_path / "page" / "index.html").read_text(encoding="utf-8")
    assert (tmp_path / "page" / "failures" / "0.png").is_file()
    assert str(tmp_path / "page" / "index.html") in result.stderr
    assert models("show", full, "--out", full).exit_code == 4


def test_verify_says_what_it_found_and_what_is_wrong(full: Path, tmp_path: Path) -> None:
    detector = write_small_detector(tmp_path / "detector")
    result = models("verify", "drawn-cells", full, detector)
    assert result.exit_code == 0, result.stderr
    for words in ("drawn-cells: the files are those that the card describes", "add up to 1", "12 white cells gives"):
        assert words in result.stderr
    (detector / "weights.safetensors").write_bytes(b"")
    shutil.rmtree(full / "failures")
    result = models("verify", full, "drawn-cells", detector, "--json")
    assert result.exit_code == 4
    assert "lacks failures/0.png" in result.stderr
    assert "is not the file its card describes" in result.stderr
    assert f"{full}, {detector} cannot be used." in result.stderr
    assert [each["whole"] for each in json.loads(result.stdout)] == [False, True, False]


def test_a_model_that_is_not_there_is_exit_4(tmp_path: Path) -> None:
    for arguments in (("show", "nix"), ("verify", "nix"), ("export", "nix", "--onnx", tmp_path / "x.onnx"), ("show", tmp_path)):
        result = models(*arguments)
        assert result.exit_code == 4
        assert "model" in result.stderr
    assert models("verify").exit_code == 2


def test_export_says_how_well_the_file_agrees(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime", reason="needs onnxruntime: pip install 'smearscan[test]'")
    out = tmp_path / "drawn.onnx"
    result = models("export", "drawn-cells", "--onnx", out, "--json")
    assert result.exit_code == 0, result.stderr
    assert "ONNX Runtime agrees with torch to" in result.stderr
    said = json.loads(result.stdout)
    assert said["file"] == str(out)
    assert said["metadata"]["positive_class"] == "blast"
    assert out.is_file()
    (tmp_path / "file").write_text("", encoding="utf-8")
    result = models("export", "drawn-cells", "--onnx", tmp_path / "file" / "x.onnx")
    assert result.exit_code == 4
    assert "cannot be written" in result.stderr


def test_export_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_export, "NEEDED", ("no_such_package",))
    result = models("export", "drawn-cells", "--onnx", tmp_path / "x.onnx")
    assert result.exit_code == 4
    assert result.stderr.strip() == (
        "smearscan: Writing ONNX needs no_such_package, which is not installed: pip install 'smearscan[export]'."
    )
