"""`smearscan recipes`: the list, one recipe, and the page."""

from __future__ import annotations

import json
from pathlib import Path

from click.testing import CliRunner, Result

from classifiers.recipes import load, names, read_text
from smearscan.cli import smearscan


def recipes(*arguments: object) -> Result:
    return CliRunner().invoke(smearscan, ["recipes", *map(str, arguments)])


def test_the_list_names_every_recipe_with_its_number_and_split() -> None:
    result = recipes()
    assert result.exit_code == 0
    assert result.stdout == ""
    for name in names():
        assert name in result.stderr
    assert "93.9 % accuracy, random" in result.stderr
    assert "95.52 % weighted F1, random" in result.stderr
    assert "patients that the network had seen" in result.stderr


def test_the_list_as_json() -> None:
    result = recipes("--json")
    assert result.exit_code == 0
    said = {line["name"]: line for line in json.loads(result.stdout)}
    assert set(said) == set(names())
    vgg19 = said["window-vgg19"]["published"]
    assert (vgg19["metric"], vgg19["value"], vgg19["split"]) == ("accuracy", 0.9189, "random")
    assert vgg19["also"]["window_accuracy"] == 0.9189
    assert "repeats" in vgg19["note"]
    assert said["small-cnn"]["published"] is None


def test_the_page_goes_to_stdout() -> None:
    result = recipes("--markdown")
    assert result.exit_code == 0
    assert result.stdout.startswith("# The published systems, as recipes\n")


def test_show_prints_the_file_so_that_it_can_be_copied(tmp_path: Path) -> None:
    result = recipes("show", "marrow-tuned")
    assert result.exit_code == 0
    assert result.stdout == read_text("marrow-tuned")
    copy = tmp_path / "ours.toml"
    copy.write_text(result.stdout, encoding="utf-8")
    assert load(copy).tuning == load("marrow-tuned").tuning
    assert recipes("show", copy).stdout == result.stdout


def test_show_as_json_holds_the_settings() -> None:
    said = json.loads(recipes("show", "cnn5-128-rotated", "--json").stdout)
    assert said["name"] == "cnn5-128-rotated"
    assert said["recipe"]["sampling"] == {"copies": "right-angles"}
    assert said["published"]["value"] == 0.939


def test_a_recipe_that_is_not_there_is_wrong_use() -> None:
    result = recipes("show", "cnn6-128")
    assert result.exit_code == 2
    assert "There is no recipe named 'cnn6-128'. Did you mean cnn5-128" in result.stderr
    assert result.stdout == ""


def test_a_file_that_is_no_recipe_is_wrong_use(tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text('title = "broken"\n[data]\nset = "cnmc"\nshares = [1]\n', encoding="utf-8")
    result = recipes("show", broken)
    assert result.exit_code == 2
    assert "Recipe 'broken': [data] shares must be two or three positive numbers" in result.stderr
