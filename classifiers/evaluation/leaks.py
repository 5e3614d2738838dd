"""Was the model trained on these cells? Its folder says which ones it saw; numbers on those are no evidence.

`training/split.csv` of a model folder, as `splits.write_split` writes it, has a row for each cell that it was made from. An
ensemble saw what any of its members saw.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from classifiers.card import ModelCard
from classifiers.datasets.base import Samples
from classifiers.evaluation.records import EvaluationError
from classifiers.splits import BOX_COLUMNS

SPLIT_FILE: Final = "training/split.csv"
MEMBERS: Final = "members"
TRAINED: Final = "train"
CHOSEN: Final = ("validation", "calibration")  # chose the epoch, the temperature, the threshold

Place = tuple[str, tuple[int, ...]]  # file, box
Owner = tuple[str, str]  # subject, "" where it is not known, and group


@dataclass(frozen=True)
class TrainingSplit:
    """Which part each cell of a model's training set was in; of an ensemble, in any of its members' sets.

    A cell is known by its file and its owner: 0.png of another laboratory is another cell. The owner is the subject where both
    sides name one, as training gives the groups of subjects that show the same cells a new name; else it is the group.
    """

    parts: Mapping[Place, Mapping[Owner, frozenset[str]]]
    trained_groups: frozenset[str]
    trained_subjects: frozenset[str]
    boxed: bool

    def parts_of(self, samples: Samples, row: int) -> frozenset[str]:
        """Return the parts that a cell was in, none where the model never saw it."""
        box = () if samples.boxes is None or not self.boxed else tuple(int(each) for each in samples.boxes[row])
        owners = self.parts.get((samples.files[row], box), {})
        subject, group = samples.subjects[row], samples.groups[row]
        found = [parts for owner, parts in owners.items() if (owner[0] == subject if owner[0] and subject else owner[1] == group)]
        return frozenset[str]().union(*found)

    def trained_on_owner_of(self, samples: Samples, row: int) -> bool:
        """Whether any cell of this one's subject, or of its group, was trained on."""
        return samples.groups[row] in self.trained_groups or samples.subjects[row] in self.trained_subjects


@dataclass(frozen=True)
class Leak:
    """What a model saw of the cells that it is evaluated on."""

    known: bool  # False: the model folder does not say
    same_data: bool  # the digest of the card's training data is that of these cells' set
    cells: int
    trained: tuple[bool, ...]  # (cells,)
    chosen: tuple[bool, ...]  # chose the epoch, the temperature or the threshold
    related: tuple[bool, ...]  # not trained on itself, but another cell of its group was

    @property
    def leaky(self) -> bool:
        """Whether the numbers are of cells or subjects that the model was fitted to."""
        return any(self.trained) or any(self.related)

    @property
    def sentences(self) -> tuple[str, ...]:
        """Return what every output says of it."""
        if not self.known:
            return (f"Not known whether these cells were trained on: the model folder has no {SPLIT_FILE}.",)
        found = []
        if any(self.trained):
            found.append(f"leaky: {sum(self.trained):,} of these {self.cells:,} cells were trained on.")
        if any(self.related):
            found.append(f"leaky: {sum(self.related):,} of these {self.cells:,} cells are of subjects that were trained on.")
        if any(self.chosen):
            found.append(f"{sum(self.chosen):,} of these {self.cells:,} cells chose the epoch, the temperature or the threshold.")
        return tuple(found) or ("None of these cells was trained on, nor any other of their subjects.",)


def read_split(folder: Path) -> TrainingSplit | None:
    """Return what a model folder says of its training cells; None where it says nothing."""
    own = folder / SPLIT_FILE
    files = [own] if own.is_file() else sorted((folder / MEMBERS).glob(f"*/{SPLIT_FILE}"))
    if not files:
        return None
    parts: dict[Place, dict[Owner, frozenset[str]]] = {}
    boxed = True
    for path in files:
        rows, has_boxes = _read(path)
        boxed &= has_boxes
        for place, owner, part in rows:
            owners = parts.setdefault(place, {})
            owners[owner] = owners.get(owner, frozenset()) | {part}
    trained = [owner for owners in parts.values() for owner, found in owners.items() if TRAINED in found]
    groups, subjects = frozenset(group for _, group in trained), frozenset(subject for subject, _ in trained if subject)
    return TrainingSplit(parts, groups, subjects, boxed)


def find_leak(split: TrainingSplit | None, card: ModelCard, samples: Samples, digest: str) -> Leak:
    """Return what the model saw of `samples`; `digest` is that of the whole set that they were taken from."""
    nothing = (False,) * len(samples)
    same = bool(digest) and digest in set(_texts(card.extra))
    if split is None:
        return Leak(False, same, len(samples), nothing, nothing, nothing)
    parts = [split.parts_of(samples, row) for row in range(len(samples))]
    trained = tuple(TRAINED in each for each in parts)
    chosen = tuple(TRAINED not in each and bool(each & set(CHOSEN)) for each in parts)
    # In another set the same name may be another person; once one cell is known to the model, it is no other set.
    known = same or any(parts)
    related = tuple(known and not own and split.trained_on_owner_of(samples, row) for row, own in enumerate(trained))
    return Leak(True, same, len(samples), trained, chosen, related)


def rows_of_part(split: TrainingSplit | None, samples: Samples, part: str, model: str) -> list[int]:
    """Return the rows of `samples` that were in a part of the model's own split, and in no other."""
    if split is None:
        raise EvaluationError(
            f"{model} has no {SPLIT_FILE}, so it has no {part} part. Leave out --part, and see that no cell was trained on."
        )
    rows = [row for row in range(len(samples)) if split.parts_of(samples, row) == {part}]
    if not rows:
        counts = Counter("+".join(sorted(each)) for owners in split.parts.values() for each in owners.values())
        known = ", ".join(f"{count:,} {name}" for name, count in sorted(counts.items()))
        raise EvaluationError(f"None of these {len(samples):,} cells is in the {part} part of {model}, whose split has {known}.")
    return rows


def _read(path: Path) -> tuple[list[tuple[Place, Owner, str]], bool]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            columns = set(reader.fieldnames or ())
            if missing := sorted({"file", "group", "part"} - columns):
                raise EvaluationError(f"{path} lacks the column {missing[0]!r}, so it does not say which cells were trained on.")
            boxed = set(BOX_COLUMNS) <= columns
            rows = list(reader)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise EvaluationError(f"{path} cannot be read: {error}.") from error
    try:
        places = [(row["file"], tuple(int(row[name]) for name in BOX_COLUMNS) if boxed and row["left"] else ()) for row in rows]
    except (ValueError, TypeError) as error:
        raise EvaluationError(f"{path} has a row whose box is no four whole numbers: {error}.") from error
    return [(place, (row.get("subject") or "", row["group"]), row["part"]) for place, row in zip(places, rows, strict=True)], boxed


def _texts(value: Any) -> list[str]:
    """Return every text in a card's `extra`, wherever the digest of the training data stands in it."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, Mapping):
        return [text for each in value.values() for text in _texts(each)]
    return [text for each in value for text in _texts(each)] if isinstance(value, list | tuple) else []
