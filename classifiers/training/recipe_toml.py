"""A recipe as a TOML file again, with whatever was changed in it: what a model was trained by can be trained by once more."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from classifiers.recipes import Recipe

BARE = re.compile(r"[A-Za-z0-9_-]+")


def write_recipe(path: Path, recipe: Recipe) -> None:
    """Write what `recipes.load` reads back as an equal recipe."""
    path.write_text(format_toml(recipe.values), encoding="utf-8")


def format_toml(values: Mapping[str, Any]) -> str:
    """Return two levels of tables as TOML; what lies deeper stands in one line."""
    plain = {key: value for key, value in values.items() if not isinstance(value, Mapping) and not _is_tables(value)}
    blocks = ["\n".join(_lines(plain))]
    for key, value in values.items():
        if isinstance(value, Mapping):
            blocks.append("\n".join([f"[{_key(key)}]", *_lines(value)]))
        elif _is_tables(value):
            blocks += ["\n".join([f"[[{_key(key)}]]", *_lines(each)]) for each in value]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _is_tables(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(each, Mapping) for each in value)


def _lines(table: Mapping[str, Any]) -> list[str]:
    return [f"{_key(key)} = {_value(value)}" for key, value in table.items()]


def _key(key: str) -> str:
    return key if BARE.fullmatch(key) else _value(key)


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(_lines(value)) + " }" if value else "{}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_value(each) for each in value) + "]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value).lower() if isinstance(value, bool) else repr(value)
