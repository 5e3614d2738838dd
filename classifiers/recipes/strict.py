"""Frozen dataclasses from what a TOML file holds: every key known, every value of the type that its field states."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from classifiers.base import ClassifierError

T = TypeVar("T")

WORDS: Mapping[Any, str] = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


class RecipeError(ClassifierError):
    """A recipe does not say what it must, or says what cannot be done."""


def build(kind: type[T], given: Any, where: str) -> T:
    """Return the dataclass `kind` from a mapping; `where` names its place in the file for the message."""
    if not isinstance(given, Mapping):
        raise RecipeError(f"{where} must be a table, not {given!r}.")
    known = {each.name: each for each in fields(kind)}  # type: ignore[arg-type]  # only dataclasses are given
    if unknown := sorted(set(given) - set(known)):
        raise RecipeError(f"{where} has no key {unknown[0]!r}. Known: {', '.join(sorted(known))}.")
    needed = [name for name, each in known.items() if each.default is MISSING and each.default_factory is MISSING]
    if missing := [name for name in needed if name not in given]:
        raise RecipeError(f"{where} lacks {missing[0]!r}.")
    hints = get_type_hints(kind)
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    for name, value in values.items():
        if not _fits(value, hints[name]):
            raise RecipeError(f"{where} {name} is {given[name]!r}; it must be {_describe(hints[name])}.")
    return kind(**values)


def _fits(value: Any, hint: Any) -> bool:
    """Whether a value that TOML can hold is of the type that a field states."""
    origin, inner = get_origin(hint), get_args(hint)
    if origin in {Union, UnionType}:
        return any(_fits(value, each) for each in inner)
    if origin is tuple:
        return isinstance(value, tuple) and all(_fits(each, inner[0]) for each in value)
    if origin is Literal:
        return isinstance(value, str) and value in inner
    if origin is not None:  # a mapping, the only other kind of field there is
        return isinstance(value, Mapping) and all(_fits(each, inner[1]) for each in value.values())
    return _is_one(value, hint)


def _is_one(value: Any, kind: Any) -> bool:
    if kind is Any or isinstance(value, bool):
        return kind in {Any, bool}
    if kind is float:
        return isinstance(value, int | float) and math.isfinite(value)
    return isinstance(value, kind)


def _describe(hint: Any) -> str:
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Literal:
        return f"one of {', '.join(inner)}"
    if origin in {Union, UnionType}:
        return " or ".join(_describe(each) for each in inner if each is not type(None))
    if origin is tuple:
        return f"a list, each of it {_describe(inner[0])}"
    if is_dataclass(hint) or origin is not None:
        return "a table" if inner[1:] in {(), (Any,)} else f"a table, each of its values {_describe(inner[1])}"
    return WORDS[hint]
