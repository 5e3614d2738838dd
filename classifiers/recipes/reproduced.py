"""What came out when a published row was trained here: `reproduced.json`, which benchmarks/reproduce.py writes.

Each recipe has at most two results: on a random split of cells, as the papers have it, and on a split by subject. A result
holds no date and no name of a machine, so that it only changes when it is measured anew.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from classifiers.recipes import SplitKind
from classifiers.recipes.strict import RecipeError, build

FILE = "reproduced.json"
SPLITS: tuple[SplitKind, ...] = ("random", "subject")


@dataclass(frozen=True)
class Reproduced:
    """One training of a recipe, and how well it does on cells that were held back."""

    metric: str  # the one that the paper prints, as evaluation names it
    value: float
    also: Mapping[str, float]  # other numbers of the same cells
    data: str  # "C-NMC 2019, 6,181 cells of 43 subjects"
    training_cells: int
    test_cells: int
    test_part: str  # "test", or "validation" where a recipe has two shares: then the epoch was chosen on the same cells
    leaky: bool  # cells of one subject lie on both sides
    seed: int
    epochs: int  # trained, over all stages
    minutes: float
    waiting: float  # share of the training time in which the network waited for data
    machine: str  # "2 CPU cores", "1 NVIDIA H200"
    imagenet: bool  # whether the body began with ImageNet's weights
    subjects: int | None = None  # tested on
    low: float | None = None  # 95 % interval by drawing subjects, of a split by subject
    high: float | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)  # of the recipe's values, for want of time


def load_reproduced(path: Path | None = None) -> dict[str, dict[SplitKind, Reproduced]]:
    """Return the results by recipe and by split, of a file or of what comes with the package."""
    content = files("classifiers.recipes").joinpath(FILE).read_text(encoding="utf-8") if path is None else path.read_text(encoding="utf-8")
    try:
        given = json.loads(content)
    except ValueError as error:
        raise RecipeError(f"{path or FILE} is no JSON: {error}.") from error
    found: dict[str, dict[SplitKind, Reproduced]] = {}
    for name, results in given.items():
        if unknown := set(results) - set(SPLITS):
            raise RecipeError(f"{path or FILE}: {name} has a result on {min(unknown)!r}. Known: {', '.join(SPLITS)}.")
        found[name] = {split: build(Reproduced, results[split], f"{name}, {split}") for split in SPLITS if split in results}
    return found


def write_reproduced(path: Path, results: Mapping[str, Mapping[SplitKind, Reproduced]]) -> None:
    """Write results, sorted by recipe, by renaming a finished file."""
    sorted_results = {name: {split: asdict(results[name][split]) for split in SPLITS if split in results[name]} for name in sorted(results)}
    unfinished = path.with_name(f".{path.name}.writing")
    unfinished.write_text(json.dumps(sorted_results, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(unfinished, path)  # noqa: PTH105 - says atomic more plainly than Path.replace
