"""Which cells an epoch of training shows, and how often: each once, or with rare classes brought up or frequent ones cut down.

    plan = Sampling.from_mapping({"up_sample_to": 25000}).epoch(labels, epoch, seed)
    for position, (row, turns, changed) in enumerate(zip(plan.index, plan.quarter_turns, plan.augmented)): ...

Copies are not files. A plan names the same cell again, and augmentation, which goes by the position in the epoch, makes each one different.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, Self

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from classifiers.base import ClassifierError
from classifiers.named_steps import check_choice, check_number

ORDER, CHOICE = 1, 2  # two streams of random numbers of one seed; augmentation has others
Augmented = Literal["all", "copies"]


@dataclass(frozen=True)
class EpochPlan:
    """One row for each crop that an epoch shows, in the order in which it shows them."""

    index: NDArray[np.intp]  # rows of the labels that the plan was made for
    quarter_turns: NDArray[np.int8]  # counter-clockwise right angles by which the crop is turned before anything else
    augmented: NDArray[np.bool_]  # whether the recipe's augmentation is done to it

    def __len__(self) -> int:
        return len(self.index)


@dataclass(frozen=True)
class Sampling:
    """How an epoch is put together. At most one of the first six is given; with none each cell is shown once.

    copies        "right-angles": each cell four times, turned by 0, 90, 180 and 270 degrees
    up_sample_to  every class is brought to that many crops by copies; a class that has more keeps them all
    equalise      every class is brought to that many crops, by leaving out or by copies; true: to the mean of the classes' sizes
    balance       "sub-sample": every class is cut down to the size of the smallest
    weights       as many crops as there are cells, drawn anew each epoch: "balanced": with every class equally likely; "subjects": with
                  all cells that a subject has of one class as likely as the root of their number
    most_of_a_subject  so many crops of a subject's cells of one class at most, drawn anew each epoch: subjects with many do not
                  drown the others. For this and for weights by subject, cells of which nobody knows whose they are are one subject's
    augment       "copies": originals are shown as they are, and only what is shown again is augmented, which is how up_sample_to
                  and equalise do it unless told otherwise; "all", as the others do it: every crop is augmented

    What `equalise` and `balance` leave out is drawn once for a seed, not for each epoch: they stand for a set of pictures.
    """

    copies: str | None = None
    up_sample_to: int | None = None
    equalise: bool | int | None = None
    balance: str | None = None
    weights: str | None = None
    most_of_a_subject: int | None = None
    augment: str | None = None

    def __post_init__(self) -> None:
        given = [name for name in POLICIES if getattr(self, name) is not None and getattr(self, name) is not False]
        if len(given) > 1:
            raise ClassifierError(f"[sampling] can have one of {', '.join(POLICIES)}; {' and '.join(given)} are given.")
        for option, choices in (("copies", ("right-angles",)), ("balance", ("sub-sample",)), ("weights", ("balanced", "subjects"))):
            if getattr(self, option) is not None:
                check_choice(f"[sampling] {option}", getattr(self, option), choices)
        if self.augment is not None:
            check_choice("[sampling] augment", self.augment, ("all", "copies"))
        for name in ("up_sample_to", "most_of_a_subject"):
            if getattr(self, name) is not None:
                check_number(f"[sampling] {name}", getattr(self, name), 1, whole=True)
        if self.equalise is not None and not isinstance(self.equalise, bool):
            check_number("[sampling] equalise", self.equalise, 1, whole=True)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Self:
        """Build what a recipe's [sampling] asks for; every key must be known."""
        known = [each.name for each in fields(cls)]
        if unknown := sorted(set(values) - set(known)):
            raise ClassifierError(f"[sampling] has no key {unknown[0]!r}. Known: {', '.join(known)}.")
        return cls(**values)

    def as_mapping(self) -> dict[str, Any]:
        """Return what `from_mapping` builds this from, as JSON holds it."""
        return {each.name: value for each in fields(self) if (value := getattr(self, each.name)) is not None}

    def epoch(self, labels: NDArray[np.int64], epoch: int, seed: int, whose: Sequence[str] = ()) -> EpochPlan:
        """Return what one epoch shows of the cells with these labels; the same for the same labels, epoch and seed.

        `whose` names each cell's subject, "" where nobody knows it; only what goes by subject asks.
        """
        order = _random(seed, ORDER, epoch)
        if len(labels) == 0:
            raise ClassifierError("There are no cells to train on.")
        index, copied = self._rows(np.asarray(labels), order, seed, whose)
        turns = np.arange(len(index)) // len(labels) if self.copies is not None else np.zeros(len(index))
        augmented = copied if self._only_copies else np.ones_like(copied)
        shuffled = order.permutation(len(index))
        return EpochPlan(index[shuffled], turns[shuffled].astype(np.int8), augmented[shuffled])

    @property
    def _only_copies(self) -> bool:
        if self.augment is not None:
            return self.augment == "copies"
        return self.up_sample_to is not None or bool(self.equalise)

    def _rows(
        self, labels: NDArray[np.int64], order: Generator, seed: int, whose: Sequence[str]
    ) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """Return the rows, originals first, and whether each is shown again."""
        if self.most_of_a_subject is not None:
            index = _draw_of_each(_of_subjects("most_of_a_subject", labels, whose), self.most_of_a_subject, order)
            return index, np.zeros(len(index), np.bool_)
        if self.up_sample_to is not None or self.equalise or self.balance is not None:
            return self._sized(labels, order, seed)
        if self.weights is not None:
            index = (
                _draw_balanced(labels, order) if self.weights == "balanced" else _draw_roots(_of_subjects("weights", labels, whose), order)
            )
            copied = np.ones(len(index), np.bool_)
            copied[np.unique(index, return_index=True)[1]] = False
            return index, copied
        index = np.tile(np.arange(len(labels)), 1 if self.copies is None else 4)
        return index, np.arange(len(index)) >= len(labels)

    def _sized(self, labels: NDArray[np.int64], order: Generator, seed: int) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """Return rows of which every class has the number that is asked for, and whether each is shown again."""
        sizes = np.unique(labels, return_counts=True)[1]
        if self.up_sample_to is not None:
            choice, wanted = order, np.maximum(sizes, self.up_sample_to)
        elif self.balance is not None:
            choice, wanted = _random(seed, CHOICE), np.full_like(sizes, sizes.min())
        else:
            number = round(sizes.mean()) if isinstance(self.equalise, bool) else self.equalise
            choice, wanted = _random(seed, CHOICE), np.full_like(sizes, number)
        rows, copied = [], []
        for label, size, number in zip(np.unique(labels), sizes, wanted, strict=True):
            rows.append(_repeat(np.flatnonzero(labels == label), int(number), choice))
            copied.append(np.arange(number) >= size)
        return np.concatenate(rows), np.concatenate(copied)


POLICIES = ("copies", "up_sample_to", "equalise", "balance", "weights", "most_of_a_subject")


def _random(seed: int, stream: int, epoch: int = 0) -> Generator:
    # Three numbers, where augmentation's streams have two, so that the two never meet.
    return Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(stream, epoch, 0))))


def _repeat(rows: NDArray[np.intp], number: int, random: Generator) -> NDArray[np.intp]:
    """Return `number` of these rows, originals first, each as often as any other or once more."""
    rounds, rest = divmod(number, len(rows))
    if rounds == 0:
        return random.permutation(rows)[:rest]
    return np.concatenate([np.tile(rows, rounds), random.permutation(rows)[:rest]])


def _draw_balanced(labels: NDArray[np.int64], random: Generator) -> NDArray[np.intp]:
    _, which, sizes = np.unique(labels, return_inverse=True, return_counts=True)
    return random.choice(len(labels), len(labels), p=1 / (len(sizes) * sizes[which]))


def _of_subjects(option: str, labels: NDArray[np.int64], whose: Sequence[str]) -> NDArray[np.intp]:
    """Number the pairs of subject and label, and return the one of each cell."""
    if len(whose) != len(labels):
        raise ClassifierError(f"[sampling] {option} needs to know whose each cell is.")
    names = np.unique(np.asarray(whose), return_inverse=True)[1]
    return np.unique(np.stack([names, labels]), axis=1, return_inverse=True)[1]


def _draw_of_each(which: NDArray[np.intp], most: int, random: Generator) -> NDArray[np.intp]:
    """Return `most` rows of each kind, all of those that have fewer."""
    drawn = random.permutation(len(which))
    ordered = drawn[np.argsort(which[drawn], kind="stable")]
    kinds, first = np.unique(which[ordered], return_index=True)
    place = np.arange(len(ordered)) - first[np.searchsorted(kinds, which[ordered])]
    return np.sort(ordered[place < most])


def _draw_roots(which: NDArray[np.intp], random: Generator) -> NDArray[np.intp]:
    likely = 1 / np.sqrt(np.bincount(which)[which])
    return random.choice(len(which), len(which), p=likely / likely.sum())
