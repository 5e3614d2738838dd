"""Every recipe can be written and read again."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from classifiers.recipes import Recipe, load, names
from classifiers.training.recipe_toml import format_toml, write_recipe


@pytest.mark.parametrize("name", names())
def test_a_recipe_is_read_back_as_it_was(name: str, tmp_path: Path) -> None:
    recipe = load(name)
    path = tmp_path / f"{name}.toml"
    write_recipe(path, recipe)
    assert load(path) == recipe


def test_what_was_changed_is_in_the_file(recipe: Recipe, tmp_path: Path) -> None:
    changed = recipe.changed({"stages.1.epochs": 7, "network.options.width": 8})
    write_recipe(tmp_path / "tiny.toml", changed)
    assert load(tmp_path / "tiny.toml") == changed


def test_odd_values_survive() -> None:
    values = {
        "text": 'a "quoted"\\ line\nand another, ünïcode, \x7f',
        "yes": True,
        "none": [],
        "small": 1e-07,
        "table": {"stages.0.rate": {"low": 1e-5, "high": 0.1}, "empty": {}},
        "tables": [{"a": [1, 2]}, {"b": {"c": "d"}}],
    }
    assert tomllib.loads(format_toml(values)) == values
