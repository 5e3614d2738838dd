"""The networks of a cross-validation, kept beside a bundled model so that its numbers can be measured again.

A folder of them holds `1`, `2` and so on, a model folder each, and `groups.csv`, which says for every group of cells (a person, or a
field) which of the networks never saw it. `benchmarks/train_classifier.py` makes it, `benchmarks/accuracy.py` reads it.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from classifiers.base import Classifier, ClassifierError
from classifiers.card import StainReference
from classifiers.datasets import Samples
from classifiers.folder import read_model, write_model
from classifiers.opening import open_model
from classifiers.splits import cross_splits

GROUPS = "groups.csv"
COLUMNS = ("group", "subjects", "fold")  # subjects: the names of one person, joined by +; empty for a field


@dataclass(frozen=True)
class FoldModels:
    """Networks by their number, and which of them never saw a group."""

    folder: Path
    fold_of: Mapping[str, int]
    subjects: Mapping[int, tuple[str, ...]]  # that each network never saw

    @property
    def numbers(self) -> tuple[int, ...]:
        return tuple(sorted(self.subjects))

    def folder_of(self, number: int) -> Path:
        return self.folder / str(number)

    def classifier(self, number: int) -> Classifier:
        return _opened(self.folder_of(number))

    def folds(self, groups: Sequence[str]) -> NDArray[np.intp]:
        """Return the number of the network that never saw each of these groups."""
        if unknown := sorted(set(groups) - set(self.fold_of)):
            raise ClassifierError(
                f"{self.folder / GROUPS} does not know the group {unknown[0]!r} and {len(unknown) - 1} more: "
                "these networks were trained on other cells. Train them anew with benchmarks/train_classifier.py."
            )
        return np.array([self.fold_of[group] for group in groups], np.intp)


@cache
def _opened(folder: Path) -> Classifier:
    return open_model(folder)


def read_folds(folder: Path) -> FoldModels:
    """Read what `keep_folds` wrote."""
    try:
        with (folder / GROUPS).open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise ClassifierError(f"{folder / GROUPS} cannot be read: {error.strerror}. benchmarks/train_classifier.py writes it.") from error
    numbers = sorted({int(row["fold"]) for row in rows})
    subjects = {
        number: tuple(name for row in rows if int(row["fold"]) == number and row["subjects"] for name in row["subjects"].split("+"))
        for number in numbers
    }
    return FoldModels(folder, {row["group"]: int(row["fold"]) for row in rows}, subjects)


def keep_folds(samples: Samples, trained: Path, folder: Path, folds: int, *, seed: int, stain: StainReference) -> None:
    """Copy the networks of `trained`, a folder of finished folds, with the stain that they know, and write which groups each never saw.

    Their weights are kept in half precision, half as large: they are there to be measured, and what is measured is what is kept.
    """
    rows = []
    for number, split in enumerate(cross_splits(samples, folds, seed), start=1):
        target = folder / str(number)
        card, network = read_model(trained / str(number))
        weights = {name: value.half() if value.is_floating_point() else value for name, value in network.state_dict().items()}
        write_model(target, replace(card, stain=stain), weights)
        names: dict[str, set[str]] = {}
        for row in split.rows("test").tolist():
            names.setdefault(samples.groups[row], set()).add(samples.subjects[row])
        rows += [(group, "+".join(sorted(names[group] - {""})), number) for group in sorted(names)]
    with (folder / GROUPS).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(rows)
