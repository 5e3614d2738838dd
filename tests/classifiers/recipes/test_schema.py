"""A recipe's TOML: what it may say, what it must, and what is said where it does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from classifiers.recipes import Recipe, RecipeError, load, names, read_text

SMALL = """
title = "ours"

[data]
set = "folders"
shares = [0.8, 0.2]

[input]
crop_px = 64

[network]
name = "small-cnn"
activation = "softmax"

[[stages]]
optimiser = "adam"
learning_rate = 1e-3
batch_size = 8
epochs = 3
"""


def ours(tmp_path: Path, text: str = SMALL) -> Recipe:
    path = tmp_path / "ours.toml"
    path.write_text(text, encoding="utf-8")
    return load(path)


def test_a_file_of_ones_own_takes_the_defaults(tmp_path: Path) -> None:
    recipe = ours(tmp_path)
    assert recipe.name == "ours"
    assert recipe.input is not None
    assert recipe.input.normalise == "training set"
    (stage,) = recipe.stages
    assert (stage.patience, stage.monitor, stage.schedule, stage.frozen) == (None, "loss", "constant", False)
    assert recipe.published is None
    assert Recipe.from_mapping("again", recipe.values).stages == recipe.stages, "the values are the whole of it"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"stages.0.epoch": 3}, "[[stages]] has no key 'epoch'"),
        ({"stages.0.epochs": "3"}, "[[stages]] epochs is '3'; it must be a whole number"),
        ({"stages.0.epochs": True}, "epochs is True; it must be a whole number"),
        ({"stages.0.epochs": 0}, "epochs >= 1"),
        ({"stages.0.learning_rate": -1e-3}, "learning_rate > 0"),
        ({"stages.0.learning_rate": float("nan")}, "learning_rate is nan; it must be a number"),
        ({"stages.0.optimiser": "lion"}, "it must be one of sgd, adam, adamw, rmsprop"),
        ({"stages.0.monitor": "auc"}, "it must be one of loss, accuracy"),
        ({"stages.0.frozen": 1}, "frozen is 1; it must be true or false"),
        ({"stages.0.patience": 0}, "patience must be 1 epoch or more, not 0"),
        ({"stages.0.label_smoothing": 1.0}, "label_smoothing from 0 to below 1"),
        ({"stages.0.unfreeze_from": "block5"}, "needs frozen = true"),
        ({"stages": {"optimiser": "adam"}}, "stages must be tables under [[stages]]"),
        ({"stages": []}, "needs either [input], [network] and [[stages]], or [ensemble]"),
        ({"data.shares": [0.5, 0.6]}, "two or three positive numbers with the sum 1, not [0.5, 0.6]"),
        ({"data.shares": [1.0]}, "two or three positive numbers"),
        ({"data.shares": ["a", "b"]}, "shares is ['a', 'b']; it must be a list, each of it a number"),
        ({"data": {"shares": [0.8, 0.2]}}, "[data] lacks 'set'"),
        ({"data": "cnmc"}, "[data] must be a table, not 'cnmc'"),
        ({"input.crop_px": 64.5}, "crop_px is 64.5; it must be a whole number"),
        ({"input.crop_px": 4}, "crop_px must be 8 or more, not 4"),
        ({"input.normalise": "mean"}, "it must be one of training set, imagenet, unit"),
        ({"input.preparation": ["grey"]}, "preparation is ['grey']; it must be a list, each of it a table"),
        ({"network.activation": "tanh"}, "it must be one of softmax, sigmoid"),
        ({"augmentation": {"step": "flip"}}, "augmentation must be tables under [[augmentation]]"),
        ({"title": 4}, "title is 4; it must be text"),
        ({"name": "other"}, "it cannot hold 'name'"),
        ({"published": {"metric": "accuracy", "value": 93.9, "split": "random", "on": "x"}}, "a share from 0 to 1, not 93.9"),
        ({"published": {"metric": "accuracy", "value": 0.9, "split": "cells", "on": "x"}}, "it must be one of random, subject"),
        ({"tuning": {"trials": 0, "space": {"stages.0.epochs": [1]}}}, "needs a number of trials and a space"),
        ({"ensemble": {"members": ["a", "b"], "method": "average"}}, "needs either"),
        ({"optimizer": "adam"}, "the recipe has no key 'optimizer'"),
    ],
)
def test_what_makes_no_sense_is_named(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError) as raised:
        ours(tmp_path).changed(changes)
    assert said in str(raised.value)
    assert str(raised.value).startswith("Recipe 'ours': "), "the recipe is named"


@pytest.mark.parametrize(
    ("ensemble", "said"),
    [
        ({"members": ["small-cnn"], "method": "average"}, "two members or more"),
        ({"members": ["small-cnn", "cnn5-128"], "method": "vote"}, "it must be one of average, genetic, optuna"),
    ],
)
def test_an_ensemble_that_makes_no_sense_is_named(ensemble: dict[str, Any], said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        Recipe.from_mapping("ours", {"title": "ours", "data": {"set": "cnmc", "shares": [0.8, 0.2]}, "ensemble": ensemble})


def test_changed_leaves_the_recipe_as_it_was() -> None:
    recipe = load("ens-resnet50-256-tuned")
    before = recipe.values
    changed = recipe.changed({"stages.1.epochs": 2, "input.crop_px": 64, "network.options.head.dense": [8], "sampling.weights": "balanced"})
    assert [stage.epochs for stage in changed.stages] == [20, 2]
    assert changed.input is not None
    assert changed.network is not None
    assert changed.input.crop_px == 64
    assert changed.network.options["head"] == {"pool": "average", "dense": [8], "dropout": 0.5}
    assert changed.sampling == {"equalise": True, "weights": "balanced"}
    assert changed.name == recipe.name
    assert load("ens-resnet50-256-tuned").values == before == recipe.values
    assert recipe.stages[1].epochs == 20


def test_changed_makes_tables_that_are_not_there(tmp_path: Path) -> None:
    changed = ours(tmp_path).changed({"sampling.copies": "right-angles", "network.options.width": 8})
    assert changed.sampling == {"copies": "right-angles"}
    assert changed.network is not None
    assert changed.network.options == {"width": 8}


@pytest.mark.parametrize("key", ["stages.1.epochs", "stages.first.epochs", "stages.-1.epochs", "title.short"])
def test_changed_refuses_places_that_are_not_there(tmp_path: Path, key: str) -> None:
    with pytest.raises(RecipeError, match="has nothing at"):
        ours(tmp_path).changed({key: 2})


def test_a_file_that_is_no_recipe(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="is no TOML"):
        ours(tmp_path, "title = ")
    with pytest.raises(RecipeError, match=r"nowhere\.toml cannot be read"):
        load(tmp_path / "nowhere.toml")
    (tmp_path / "latin.toml").write_bytes(b'title = "\xe9"')
    with pytest.raises(RecipeError, match="cannot be read"):
        load(tmp_path / "latin.toml")


def test_a_name_that_is_not_there_is_told_what_is_near() -> None:
    with pytest.raises(RecipeError, match=r"There is no recipe named 'window-vgg6'\. Did you mean window-vgg16"):
        load("window-vgg6")


def test_the_text_of_a_recipe_is_its_file(tmp_path: Path) -> None:
    assert ours(tmp_path) == ours(tmp_path, read_text(tmp_path / "ours.toml"))
    assert "# Table 1" in read_text("cnn5-128"), "comments and all"
    assert "cnn5-128" in names()
