"""`smearscan check`: what needs a person, before the night."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from smearscan.checking import BYTES_A_PICTURE
from smearscan.cli.check import check
from smearscan.smears import SmearPlan, plan_smear, write_smear


@pytest.fixture(scope="module")
def slides(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("slides")
    write_smear(plan_smear(SmearPlan(2000, 1500, 0.25, seed=9, white_cells=40)), folder / "good.tif")
    return folder


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(check, [*map(str, arguments), "--workers", "1"])


def test_good_slides_need_nobody_and_are_estimated(slides: Path, tmp_path: Path) -> None:
    result = run(slides, "--json", "--out", tmp_path / "report", "--classifier", "drawn-cells")
    assert result.exit_code == 0, result.stderr
    seen = json.loads(result.stdout)
    assert [slide["slide"] for slide in seen["slides"]] == ["good.tif"]
    assert seen["slides"][0]["mpp"] == pytest.approx(0.25)
    assert seen["slides"][0]["problems"] == []
    assert 30 <= seen["cells"] <= 55
    assert seen["seconds"] > 0
    assert seen["bytes_free"] > seen["bytes_needed"] > 0
    assert not (tmp_path / "report").exists()


def test_what_needs_a_person_is_named_and_changes_the_exit_code(slides: Path, tmp_path: Path) -> None:
    good = (slides / "good.tif").read_bytes()
    (tmp_path / "good.tif").write_bytes(good)
    (tmp_path / "cut.tif").write_bytes(good[: len(good) // 3])
    (tmp_path / "text.svs").write_text("no slide at all")
    result = run(tmp_path, "--json")
    assert result.exit_code == 3
    problems = {slide["slide"]: slide["problems"] for slide in json.loads(result.stdout)["slides"]}
    assert problems["good.tif"] == []
    assert any("cannot be read" in problem for problem in problems["cut.tif"])
    assert len(problems["text.svs"]) == 1
    assert "text.svs" in problems["text.svs"][0]


def test_a_damaged_slide_does_not_fill_the_screen(slides: Path, tmp_path: Path) -> None:
    good = (slides / "good.tif").read_bytes()
    (tmp_path / "cut.tif").write_bytes(good[: len(good) // 3])
    result = run(tmp_path)
    assert result.exit_code == 3
    assert result.stderr.count("cut.tif: cut.tif") == 3
    assert "more; --json lists all of them" in result.stderr


def test_the_pictures_of_cells_are_in_the_estimate_of_disk(slides: Path) -> None:
    needed = [json.loads(run(slides, "--json", "--overlays", number).stdout)["bytes_needed"] for number in ("0", "10")]
    assert needed[1] - needed[0] == 10 * BYTES_A_PICTURE


def test_no_slide_that_opens_is_exit_code_4(tmp_path: Path) -> None:
    (tmp_path / "text.svs").write_text("no slide at all")
    assert run(tmp_path).exit_code == 4
