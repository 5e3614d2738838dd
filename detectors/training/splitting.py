"""Who is trained on, who chooses, and who is only tested: whole groups of look-alikes, the same shares of every source."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from detectors.training.errors import NotTrainable
from detectors.training.labels import LabelledPicture
from detectors.training.lookalikes import group_lookalikes

PARTS = ("train", "validation", "test")
SHARES = (0.7, 0.15, 0.15)


@dataclass(frozen=True)
class FieldSplit:
    """Pictures by what they are used for. Nothing of `test` is ever trained on, and nothing is chosen by it."""

    train: tuple[LabelledPicture, ...]
    validation: tuple[LabelledPicture, ...]
    test: tuple[LabelledPicture, ...]
    groups: dict[str, int]  # of every picture's name: pictures of one group lie in one part

    def part(self, name: str) -> tuple[LabelledPicture, ...]:
        parts: dict[str, tuple[LabelledPicture, ...]] = {"train": self.train, "validation": self.validation, "test": self.test}
        return parts[name]

    def write(self, path: Path) -> None:
        """Write which picture is in which part, sorted by name."""
        rows = sorted((each.name, part, each.source, self.groups[each.name], len(each.cells)) for part in PARTS for each in self.part(part))
        with path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(("picture", "part", "source", "group", "white_cells"))
            writer.writerows(rows)


def split_pictures(pictures: Sequence[LabelledPicture], seed: int = 0, shares: Sequence[float] = SHARES) -> FieldSplit:
    """Draw the parts, source by source, by groups of pictures that show the same field."""
    if len(shares) != len(PARTS) or min(shares) <= 0 or abs(sum(shares) - 1) > 1e-6:
        raise NotTrainable(f"Shares of {', '.join(PARTS)} must be positive and add up to 1, not {list(shares)}.")
    ordered = sorted(pictures, key=lambda each: each.name)
    if len({each.name for each in ordered}) < len(ordered):
        raise NotTrainable("Two folders of labelled pictures have the same name: give them different ones.")
    numbers = group_lookalikes(ordered)
    parts: dict[str, list[LabelledPicture]] = {part: [] for part in PARTS}
    members: dict[int, list[LabelledPicture]] = {}
    for picture, number in zip(ordered, numbers, strict=True):
        members.setdefault(number, []).append(picture)
    by_source: dict[str, list[int]] = {}
    for number, group in members.items():
        by_source.setdefault(group[0].source, []).append(number)
    for index, source in enumerate(sorted(by_source)):
        _deal(by_source[source], members, parts, shares, np.random.default_rng([seed, index]))
    if not all(parts.values()):
        raise NotTrainable(f"{len(ordered)} labelled pictures of {len(members)} fields are too few to train, to choose and to test.")
    groups = {each.name: number for each, number in zip(ordered, numbers, strict=True)}
    train, validation, test = (tuple(sorted(parts[part], key=lambda each: each.name)) for part in PARTS)
    return FieldSplit(train, validation, test, groups)


def read_split(path: Path, pictures: Sequence[LabelledPicture]) -> FieldSplit:
    """Return a split that `FieldSplit.write` wrote; every picture must be in it, and no group on two sides."""
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        told = {row["picture"]: (row["part"], int(row["group"])) for row in rows}
    except (OSError, KeyError, ValueError) as error:
        raise NotTrainable(f"{path} is no readable split of labelled pictures: {error!r}") from error
    if missing := sorted(each.name for each in pictures if each.name not in told):
        raise NotTrainable(f"{path} does not say where {missing[0]} belongs ({len(missing)} pictures in all).")
    sides: dict[int, set[str]] = {}
    for part, group in told.values():
        sides.setdefault(group, set()).add(part)
    if torn := sorted(group for group, found in sides.items() if len(found) > 1):
        raise NotTrainable(f"{path} has the look-alikes of group {torn[0]} in two parts.")
    parts = {part: tuple(sorted((e for e in pictures if told[e.name][0] == part), key=lambda e: e.name)) for part in PARTS}
    return FieldSplit(parts["train"], parts["validation"], parts["test"], {name: group for name, (_, group) in told.items()})


def _deal(
    numbers: Sequence[int],
    members: dict[int, list[LabelledPicture]],
    parts: dict[str, list[LabelledPicture]],
    shares: Sequence[float],
    rng: np.random.Generator,
) -> None:
    """Give each group, in a drawn order, to the part that is farthest below its share of this source's pictures."""
    given = np.zeros(len(PARTS))
    order = rng.permutation(len(numbers))
    # Large groups first: the last ones dealt must be small enough to fill gaps.
    for position in sorted(order.tolist(), key=lambda place: -len(members[numbers[place]])):
        group = members[numbers[position]]
        part = int(np.argmin((given + 1e-9) / np.asarray(shares)))
        parts[PARTS[part]].extend(group)
        given[part] += len(group)
