"""Spaces of values: what may stand in a recipe's [tuning.space], and what is drawn from it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from classifiers.recipes import Recipe, RecipeError, load, names
from classifiers.tuning.objective import direction_of
from classifiers.tuning.space import decode_all, read_space
from classifiers.tuning.study import Search, TrialState, open_book


def with_space(recipe: Recipe, **space: Any) -> Recipe:
    return recipe.changed({"tuning.space": {key.replace("__", "."): value for key, value in space.items()}})


@pytest.mark.parametrize("name", [name for name in names() if load(name).tuning is not None])
def test_every_space_that_ships_can_be_tried(name: str) -> None:
    recipe = load(name)
    assert recipe.tuning is not None
    assert direction_of(recipe.tuning.metric) == "maximize"
    assert set(read_space(recipe)) == set(recipe.tuning.space)


@pytest.mark.slow
def test_the_papers_space_is_drawn_from_60_times_without_repeating(tmp_path: Path) -> None:
    recipe = load("marrow-tuned")
    assert recipe.tuning is not None
    search = Search(read_space(recipe), recipe.tuning.sampler, 0, "maximize")
    seen = []
    with open_book(tmp_path, search) as book:
        for _ in range(recipe.tuning.trials):
            trial = book.next()
            assert trial is not None
            seen.append(tuple(trial.params.items()))
            recipe.changed(decode_all(search.space, trial.params))
            book.finish(trial, 0.5, TrialState.COMPLETE)
    assert len(set(seen)) == 60, "of 72"
    for key, values in recipe.tuning.space.items():
        assert {dict(each)[key] for each in seen} == set(values)


def test_the_draws_of_ranges_stay_in_them(small_recipe: Recipe, tmp_path: Path) -> None:
    search = Search(read_space(small_recipe), "random", 3, "maximize")
    drawn: list[dict[str, Any]] = []
    with open_book(tmp_path, search) as book:
        for _ in range(16):
            trial = book.next()
            assert trial is not None
            drawn.append(decode_all(search.space, trial.params))
            book.finish(trial, 0.5, TrialState.COMPLETE)
    rates = [each["stages.0.learning_rate"] for each in drawn]
    assert all(1e-4 <= rate <= 3e-2 for rate in rates)
    assert sum(rate < 1.7e-3 for rate in rates) in range(3, 14), "half of them below the middle of a logarithmic range"
    assert {each["network.options.width"] for each in drawn} <= {2, 4, 6, 8}
    assert {tuple(each["network.options.depths"]) for each in drawn} == {(1,), (1, 1)}, "lists are lists again"


def test_a_space_that_is_exhausted_ends(small_recipe: Recipe, tmp_path: Path) -> None:
    search = Search(
        read_space(with_space(small_recipe, stages__0__batch_size=[4, 8], stages__0__optimiser=["adam", "sgd"])), "random", 0, "maximize"
    )
    counted: Counter[tuple[Any, ...]] = Counter()
    with open_book(tmp_path, search) as book:
        while (trial := book.next()) is not None:
            counted[tuple(trial.params.values())] += 1
            book.finish(trial, 0.5, TrialState.COMPLETE)
    assert sorted(counted.values()) == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("space", "words"),
    [
        ({"stages__0__batch_size": 8}, "list of values or a range"),
        ({"stages__0__batch_size": []}, "different values"),
        ({"stages__0__batch_size": [8, 8]}, "different values"),
        ({"stages__0__batch_size": {"low": 8}}, "list of values or a range"),
        ({"stages__0__batch_size": {"low": 8, "high": 4}}, "is no range"),
        ({"stages__0__learning_rate": {"low": 0.0, "high": 0.1, "log": True}}, "is no range"),
        ({"stages__0__optimiser": ["adam", "lion"]}, "cannot be 'lion'"),
        ({"stages__0__batch_size": {"low": 0, "high": 4}}, "cannot be 0"),
        ({"stages__3__batch_size": [4]}, "nothing at"),
        ({"network__nmae": ["vgg16"]}, "cannot be 'vgg16'"),
    ],
)
def test_what_is_no_space_is_refused_by_name(space: dict[str, Any], words: str, small_recipe: Recipe) -> None:
    with pytest.raises(RecipeError, match=words):
        read_space(with_space(small_recipe, **space))


def test_a_recipe_without_tuning_and_an_unknown_metric_are_refused(small_recipe: Recipe) -> None:
    with pytest.raises(RecipeError, match="has no \\[tuning\\]"):
        read_space(replace(small_recipe, tuning=None))
    with pytest.raises(RecipeError, match="'hits' is not known"):
        direction_of("hits")
