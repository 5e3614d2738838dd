"""What a tuning may choose from: for each dotted key of a recipe, a list of values or a range."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeAlias

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from classifiers.recipes import Recipe, RecipeError

Space: TypeAlias = Mapping[str, BaseDistribution]
PLAIN = (bool, int, float, str)  # what Optuna keeps as it is; anything else is chosen by its JSON
AS_JSON = "json: "


def read_space(recipe: Recipe) -> Space:
    """Return the space of a recipe's [tuning]; every value that can be chosen by itself must make a recipe.

    A list is chosen from, as it stands. {low, high} is a range, of whole numbers where both ends are; {log = true} makes small
    values as likely as large ones, {step} leaves only every so many.
    """
    if recipe.tuning is None:
        raise RecipeError(
            f"The recipe {recipe.name!r} has no [tuning] that says what to try. "
            "`smearscan recipes show marrow-tuned` has one; write its like in a file of your own."
        )
    space = {key: _distribution(key, values) for key, values in sorted(recipe.tuning.space.items())}
    for key, distribution in space.items():
        for value in _corners(distribution):
            try:
                recipe.changed({key: decode(distribution, value)})
            except RecipeError as error:
                raise RecipeError(f"[tuning] space {key!r} cannot be {value!r}: {error}") from error
    return space


def decode(distribution: BaseDistribution, value: Any) -> Any:
    """Return the recipe's value of what was chosen."""
    if isinstance(distribution, CategoricalDistribution) and isinstance(value, str) and value.startswith(AS_JSON):
        return json.loads(value.removeprefix(AS_JSON))
    return value


def decode_all(space: Space, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a trial changes in its recipe."""
    return {key: decode(space[key], value) for key, value in chosen.items()}


def describe_space(space: Space) -> dict[str, Any]:
    """Return the space as JSON has it, to be compared with that of an earlier call."""
    return {key: {"kind": type(each).__name__, **json.loads(json.dumps(each._asdict()))} for key, each in space.items()}


def _distribution(key: str, values: Any) -> BaseDistribution:
    if isinstance(values, list | tuple):
        choices = [value if isinstance(value, PLAIN) else AS_JSON + json.dumps(value) for value in values]
        if not choices or len({repr(each) for each in choices}) != len(choices):
            raise RecipeError(f"[tuning] space {key!r} must list different values, not {list(values)}.")
        return CategoricalDistribution(choices)
    if not isinstance(values, Mapping) or not {"low", "high"} <= set(values) <= {"low", "high", "log", "step"}:
        raise RecipeError(f"[tuning] space {key!r} must be a list of values or a range {{low, high, log or step}}, not {values!r}.")
    whole = all(isinstance(values[name], int) for name in ("low", "high", "step") if name in values)
    kind = IntDistribution if whole else FloatDistribution
    try:
        return kind(**values)
    except (TypeError, ValueError) as error:
        raise RecipeError(f"[tuning] space {key!r} is no range: {error}") from error


def _corners(distribution: BaseDistribution) -> tuple[Any, ...]:
    if isinstance(distribution, CategoricalDistribution):
        return tuple(distribution.choices)
    assert isinstance(distribution, IntDistribution | FloatDistribution)
    return distribution.low, distribution.high
