"""Models that are to be put together: what they said of the cells that none of them learnt from, and whether they fit each other."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifiers.base import ClassifierError
from classifiers.card import ModelCard
from classifiers.datasets import Samples
from classifiers.ensembles.folder import card_digest
from classifiers.ensembles.mixing import Floats
from classifiers.folder import read_card
from classifiers.splits import PARTS, TRAIN, Split

PREDICTIONS = Path("training") / "predictions.csv"
SPLIT_FILE = Path("training") / "split.csv"
NEEDED = ("citation", "scale", "split", "identity")  # of what training writes in a card
SAME_FIELD = 1e-3  # crops whose fields differ by less than this share cover the same
COLUMNS = ("row", "file", "subject", "group", "part", "label")


@dataclass(frozen=True)
class Member:
    """A model folder, with what it said of its held-out cells when it was trained."""

    folder: Path
    card: ModelCard
    cells: tuple[tuple[str, ...], ...]  # of each: COLUMNS
    probabilities: Floats  # (n, k), calibrated, in the order of its own classes

    @property
    def rows(self) -> NDArray[np.intp]:
        """The cells' rows in the data set, ascending."""
        return np.array([int(cell[0]) for cell in self.cells], np.intp)


def read_member(folder: Path) -> Member:
    """Return a member; raises ClassifierError where its training wrote no predictions."""
    card, path = read_card(folder), folder / PREDICTIONS
    try:
        with path.open(newline="", encoding="utf-8") as file:
            lines = list(csv.DictReader(file))
        cells = tuple(tuple(line[name] for name in COLUMNS) for line in lines)
        said = np.array([[float(line[f"p_{name}"]) for name in card.classes] for line in lines], np.float64)
        member = Member(folder, card, cells, said.reshape(-1, len(card.classes)))
        if not cells or (np.diff(member.rows) <= 0).any():
            raise ValueError("its rows must be there, in ascending order")
        if missing := [name for name in NEEDED if name not in card.extra]:
            raise ValueError(f"its card lacks {missing[0]!r}")
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise ClassifierError(
            f"{path} does not say what {card.name!r} made of its validation cells: {error}. Only models that `smearscan train` made here "
            "can be put together: their weights are chosen on those cells."
        ) from error
    return member


def check_agreement(members: Sequence[Member]) -> None:
    """Raise ClassifierError unless all members name the same things alike, look at the same field, and held out the same cells."""
    if len(members) < 2:
        raise ClassifierError(f"An ensemble needs two models or more, not {len(members)}.")
    digests = [card_digest(member.folder) for member in members]
    first = members[0]
    for number, other in enumerate(members[1:], start=1):
        if digests[number] in digests[:number]:
            raise ClassifierError(f"{other.folder} is the same model as {members[digests.index(digests[number])].folder}: give it once.")
        for what, of in QUESTIONS.items():
            if not _same(of(first.card), of(other.card)):
                raise ClassifierError(
                    f"{first.folder} and {other.folder} cannot be put together: their {what} are {of(first.card)} and {of(other.card)}."
                )
        _check_cells(first, other)


def field_of(card: ModelCard) -> tuple[float, str]:
    """Return what a crop covers, and in what that is measured."""
    if card.crop_um is not None:
        return card.crop_um, "um"
    if card.crop_diameters is not None:
        return card.crop_diameters, "diameters of the box"
    return card.crop_px, "px of the slide"


QUESTIONS: dict[str, Callable[[ModelCard], Any]] = {
    "classes": lambda card: sorted(card.classes),
    "roles": lambda card: dict(sorted(card.roles.items())),
    "positive classes": lambda card: card.positive_class,
    "digests of the data": lambda card: card.extra["identity"]["data"],
    "fields of a crop": field_of,
}


def _same(first: Any, other: Any) -> bool:
    if isinstance(first, tuple):
        return bool(first[1] == other[1] and abs(first[0] - other[0]) <= SAME_FIELD * first[0])
    return bool(first == other)


def _check_cells(first: Member, other: Member) -> None:
    advice = "Train both with the same --split file."
    if first.cells != other.cells:
        where = next((place for place, (a, b) in enumerate(zip(first.cells, other.cells, strict=False)) if a != b), None)
        example = ""
        if where is not None:
            (_, file, _, _, part, label), (_, file_2, _, _, part_2, label_2) = first.cells[where], other.cells[where]
            example = f": the first difference is {file} ({part}, {label}) and {file_2} ({part_2}, {label_2})"
        raise ClassifierError(
            f"{first.folder} and {other.folder} were not split alike: they held out {len(first.cells)} and {len(other.cells)} cells"
            f"{example}. What one of them learnt from would choose the weights. {advice}"
        )
    texts = [each.folder / SPLIT_FILE for each in (first, other)]
    if all(path.is_file() for path in texts) and texts[0].read_bytes() != texts[1].read_bytes():
        raise ClassifierError(f"{texts[0]} and {texts[1]} differ: the two models did not learn from the same cells. {advice}")


def held_out(member: Member) -> tuple[Samples, Split]:
    """Return the held-out cells as samples that keep their row numbers, and the parts they are in.

    Of the cells that were trained on, nothing is known or needed: their rows are blank.
    """
    said = member.card.extra["split"]
    rows, count = member.rows, int(member.rows[-1]) + 1
    columns = {name: [""] * count for name in COLUMNS}
    for row, cell in zip(rows.tolist(), member.cells, strict=True):
        for name, value in zip(COLUMNS, cell, strict=True):
            columns[name][row] = value
    labels, parts = np.zeros(count, np.int64), np.full(count, TRAIN, np.int8)
    try:
        labels[rows] = [member.card.classes.index(cell[COLUMNS.index("label")]) for cell in member.cells]
        parts[rows] = [PARTS.index(cell[COLUMNS.index("part")]) for cell in member.cells]
    except ValueError as error:
        raise ClassifierError(
            f"{member.folder / PREDICTIONS} names a class or a part that is none: {error}. Train the model again."
        ) from error
    samples = Samples(
        name=member.card.training_data,
        root=member.folder,
        classes=member.card.classes,
        roles=member.card.roles,
        positive_class=member.card.positive_class,
        files=tuple(columns["file"]),
        labels=labels,
        subjects=tuple(columns["subject"]),
        groups=tuple(columns["group"]),
        parts=("",) * count,
        licence=member.card.licence,
    )
    return samples, Split(said["kind"], parts, leaky=said["leaky"], note=said["note"])
