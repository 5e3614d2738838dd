"""What the trials of a tuning came to, as a table, and the best of them as a recipe."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from classifiers.recipes import Recipe
from classifiers.training.recipe_toml import format_toml

LEFT_OUT = ("published", "row", "tuning")  # of the best recipe: it is no row of the paper any more, and needs no tuning


@dataclass(frozen=True)
class TrialRow:
    """One trial."""

    number: int
    state: str  # "finished", "cut short", "failed"
    value: float | None  # of the validation cells
    changes: Mapping[str, Any]  # what it changed in the recipe
    epochs: int | None = None
    seconds: float | None = None  # of training
    reason: str = ""  # why it failed, or which earlier trial it repeats


def write_trials(path: Path, rows: Sequence[TrialRow], metric: str, keys: Sequence[str]) -> None:
    """Write one line a trial, in the order in which they were tried."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["trial", "state", f"validation_{metric}", "epochs", "seconds", *keys, "reason"])
    for row in rows:
        value = "" if row.value is None else f"{row.value:.6f}"
        seconds = "" if row.seconds is None else f"{row.seconds:.1f}"
        chosen = [row.changes.get(key, "") for key in keys]
        writer.writerow([row.number, row.state, value, "" if row.epochs is None else row.epochs, seconds, *chosen, row.reason])
    replace_text(path, text.getvalue())


def best_recipe(recipe: Recipe, row: TrialRow) -> Recipe:
    """Return the recipe with what a trial changed in it."""
    values = {key: value for key, value in recipe.changed(row.changes).values.items() if key not in LEFT_OUT}
    values["title"] = f"{recipe.title}, with the values of the best trial on the validation cells"
    return Recipe.from_mapping(f"{recipe.name}-tuned", values)


def write_best(path: Path, recipe: Recipe) -> None:
    """Write a recipe that `train --recipe best.toml` takes."""
    replace_text(path, format_toml(recipe.values))


def replace_text(path: Path, text: str) -> None:
    """Write a file that is whole at any time."""
    unfinished = path.with_name(f".{path.name}.unfinished")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)
