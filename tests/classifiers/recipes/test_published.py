"""The recipes that come with the package: the papers' numbers, and parts that exist."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from classifiers import networks
from classifiers.augment import Augmentation
from classifiers.datasets import KINDS
from classifiers.preprocess import Preparation
from classifiers.recipes import load, names
from classifiers.sampling import Sampling

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parents[2] / "golden" / "published.json").read_text(encoding="utf-8"))
TABLES = {title: table for title, table in GOLDEN.items() if title != "_"}
ROWS = [(title, name) for title, table in TABLES.items() for name in table["rows"]]
OURS = {"blast-or-other", "small-cnn", "scratch-average", "scratch-weighted"}
SINGLE = [name for name in names() if load(name).ensemble is None]


@pytest.mark.parametrize(("title", "name"), ROWS, ids=lambda value: value.replace(" ", "-"))
def test_the_numbers_are_the_papers(title: str, name: str) -> None:
    table, recipe = TABLES[title], load(name)
    published = recipe.published
    assert published is not None
    columns, row = table["columns"], table["rows"][name]
    stated = {**published.also, published.metric: published.value}
    assert {column: stated.get(column) for column in columns} == dict(zip(columns, row, strict=True))
    if "shares" in table:  # a table of results: its first column is what the recipe is measured by
        assert (published.metric, published.value) == (columns[0], row[0])
        assert recipe.data.shares == pytest.approx(tuple(table["shares"]))


def test_every_published_recipe_stands_in_a_table_of_results() -> None:
    with_results = {name for table in TABLES.values() if "shares" in table for name in table["rows"]}
    assert with_results == set(names()) - OURS
    assert {name for name in names() if load(name).published is None} == OURS


def test_every_row_of_the_papers_is_there() -> None:
    count = {prefix: sum(name.startswith(prefix) for name in names()) for prefix in ("window-", "marrow-", "cnn5-", "cam-", "ens-")}
    # Tables 4 and 5 of the CNN5 paper share a row. The ensemble paper trains eleven single networks to the end, and joins four of them
    # in two ways.
    assert count == {"window-": 6, "marrow-": 3, "cnn5-": 5 + 3 - 1, "cam-": 6, "ens-": 11 + 2}


@pytest.mark.parametrize("name", names())
def test_each_says_whose_it_is_and_where_it_stands(name: str) -> None:
    recipe = load(name)
    assert recipe.title
    assert not recipe.title.endswith(".")
    assert recipe.data.set in KINDS
    if name in OURS:
        return
    assert recipe.paper
    assert recipe.row
    assert recipe.published is not None
    assert recipe.published.split == "random", "every one of these papers split cells"
    assert recipe.published.on
    assert recipe.published.note, "what a reader of the number must know"


@pytest.mark.parametrize("name", SINGLE)
def test_each_names_steps_and_samplings_that_exist(name: str) -> None:
    recipe = load(name)
    assert recipe.input is not None
    assert recipe.network is not None
    prepared_px = Preparation(recipe.input.preparation).prepared_px(recipe.input.crop_px)
    Augmentation(recipe.augmentation)
    Sampling.from_mapping(recipe.sampling)
    assert recipe.network.name in networks.names()
    options = recipe.network.options
    assert options.get("input_px", prepared_px) == prepared_px, "the network is built for what it is given"


@pytest.mark.parametrize("name", ["ens-average", "ens-weighted"])
def test_the_members_of_an_ensemble_are_single_networks_trained_on_the_same_shares(name: str) -> None:
    recipe = load(name)
    assert recipe.ensemble is not None
    members = [load(member) for member in recipe.ensemble.members]
    assert len(members) == 4, "one from scratch, VGG16 and two ResNet50"
    assert all(member.ensemble is None for member in members)
    assert {member.data.shares for member in members} == {recipe.data.shares}
    assert [load(member).network.name for member in recipe.ensemble.members] == ["baldi", "vgg16", "resnet50", "resnet50"]  # type: ignore[union-attr]


def test_the_tuning_space_of_60_trials_can_be_tried() -> None:
    """Table 4.6.1.1 of the thesis: three learning rates, four rates of dropout, three batch sizes, two optimisers."""
    recipe = load("marrow-tuned")
    assert recipe.tuning is not None
    assert (recipe.tuning.trials, recipe.tuning.sampler, recipe.tuning.metric) == (60, "random", "accuracy")
    sizes = {key: len(values) for key, values in recipe.tuning.space.items()}
    assert sizes == {"stages.0.learning_rate": 3, "network.options.dropout": 4, "stages.0.batch_size": 3, "stages.0.optimiser": 2}
    found = recipe.changed({key: values[-1] for key, values in recipe.tuning.space.items()})
    assert (found.stages[0].optimiser, found.stages[0].batch_size, found.stages[0].learning_rate) == ("sgd", 128, 1e-5)
    best = {key: recipe.changed({key: value}) for key, values in recipe.tuning.space.items() for value in values}
    assert set(best) == set(recipe.tuning.space)


def test_the_augmented_row_is_the_tuned_one_with_more_cells_and_patience() -> None:
    tuned, augmented = load("marrow-tuned"), load("marrow-augmented")
    assert augmented.network == tuned.network
    assert augmented.sampling == {"up_sample_to": 25000}
    assert [step["step"] for step in augmented.augmentation] == ["rotate", "flip", "shift", "shear"]
    assert tuned.stages[0].patience == 5
    assert augmented.stages[0].patience == 15
    assert augmented.changed({"stages.0.patience": 5}).stages == tuned.stages


def test_the_window_rows_differ_in_nothing_but_the_network() -> None:
    recipes = [load(name) for name in names() if name.startswith("window-")]
    first = recipes[0]
    for recipe in recipes:
        assert recipe.network is not None
        assert recipe.network.options == {"stem": "max-pool-2"}
        assert recipe.network.weights == "IMAGENET1K_V1"
        assert (recipe.input, recipe.data, recipe.sampling, recipe.augmentation) == (
            first.input,
            first.data,
            first.sampling,
            first.augmentation,
        )
        assert recipe.stages == first.stages
    (stage,) = first.stages
    assert (stage.optimiser, stage.learning_rate, stage.batch_size, stage.epochs, stage.patience) == ("sgd", 1e-3, 5, 200, 20)
