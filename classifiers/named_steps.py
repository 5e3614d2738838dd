"""Steps that cards and recipes ask for by name: {"step": "resize", "px": 224}. A step is a dataclass, its options are the fields."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from classifiers.base import ClassifierError

T = TypeVar("T")


def build_steps(kind: str, known: Mapping[str, type[T]], descriptions: Sequence[Mapping[str, Any]], asker: str) -> tuple[T, ...]:
    """Return the steps that `descriptions` ask for, in order; an unknown step, option or value is a ClassifierError.

    `kind` and `asker` are for the message: a "preparation" step that "the card" asks for.
    """
    return tuple(_build(kind, known, each, asker) for each in descriptions)


def _build(kind: str, known: Mapping[str, type[T]], description: Mapping[str, Any], asker: str) -> T:
    options = {option: tuple(value) if isinstance(value, list) else value for option, value in description.items() if option != "step"}
    name: Any = description.get("step")
    if not isinstance(name, str) or name not in known:
        raise ClassifierError(f"There is no {kind} step named {name!r}, which {asker} asks for. Known: {', '.join(sorted(known))}.")
    try:
        inspect.signature(known[name]).bind(**options)
    except TypeError as error:
        raise ClassifierError(f"The {kind} step {name!r} cannot be done with {options}: {error}.") from error
    try:
        return known[name](**options)
    except ClassifierError as error:
        raise ClassifierError(f"The {kind} step {name!r} cannot be done: {error}") from error


def check_number(option: str, value: object, low: float, high: float = math.inf, *, whole: bool = False) -> None:
    """Raise ClassifierError unless an option's value is a number from `low` to `high`, a whole one where that is needed."""
    number = isinstance(value, int) or (isinstance(value, float) and not whole)
    if not number or isinstance(value, bool) or not low <= value <= high:  # type: ignore[operator]  # a number by now
        kind = "a whole number" if whole else "a number"
        limits = f"from {low:g} on" if high == math.inf else f"from {low:g} to {high:g}"
        raise ClassifierError(f"{option} must be {kind} {limits}, not {value!r}.")


def check_range(option: str, values: object, low: float, high: float = math.inf) -> None:
    """Raise ClassifierError unless an option is a pair of numbers, the smaller one first."""
    if not isinstance(values, tuple) or len(values) != 2:
        raise ClassifierError(f"{option} must be two numbers, the smaller one first, not {values!r}.")
    check_number(option, values[0], low, high)
    check_number(option, values[1], values[0], high)


def check_choice(option: str, value: object, choices: Sequence[str]) -> None:
    """Raise ClassifierError unless an option's value is one of `choices`."""
    if value not in choices:
        raise ClassifierError(f"{option} must be one of {', '.join(choices)}, not {value!r}.")
