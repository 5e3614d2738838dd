"""Which class each cell is called, and which cells are left out of the denominator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from classifiers.card import ModelCard
from smearscan.errors import PluginError
from smearscan.results import Cells

DIGITS: Final = 6  # of a probability in cells.csv: calls are made on these, so that a reader of the file finds the same ones


@dataclass(frozen=True)
class Called:
    """What each cell was called, one entry a cell."""

    classes: tuple[str, ...]
    excluded: tuple[str, ...]  # "" or why the cell is not in the denominator
    blast: NDArray[np.bool_]


def call_cells(cells: Cells, card: ModelCard, threshold: float | None = None) -> Called:
    """Call every cell; `threshold` replaces the card's.

    1. A cell whose most probable class is of role `excluded` is left out, that class being the reason.
    2. Any other is a blast where P(blast) / (P(blast) + P(other)) >= threshold, each P being summed over
       the classes of that role. P(excluded) is divided away: the cell was found not to be one of those.
    3. Its class is the most probable one among those of the role so chosen.
    """
    limit = card.threshold if threshold is None else threshold
    if not 0 < limit < 1:
        raise ValueError(f"A threshold lies between 0 and 1, not at {limit}.")
    probabilities = _probabilities(cells, card)
    top = probabilities.argmax(axis=1)
    out = np.isin(top, card.columns("excluded"))
    blast = (blast_probability(cells, card) >= limit) & ~out
    names = np.asarray(card.classes, dtype=object)
    chosen = np.where(
        out, top, np.where(blast, _top_of(probabilities, card.columns("blast")), _top_of(probabilities, card.columns("other")))
    )
    called = tuple(str(name) for name in names[chosen])
    return Called(called, tuple(name if left else "" for name, left in zip(called, out, strict=True)), blast)


def count_blasts(probabilities: NDArray[np.float32], card: ModelCard) -> int:
    """Return how many cells of these probabilities are called blast."""
    none = np.zeros(len(probabilities), np.float32)
    cells = Cells(np.zeros((len(probabilities), 4), np.float32), none, probabilities, card.classes)
    return int(call_cells(cells, card).blast.sum())


def blast_probability(cells: Cells, card: ModelCard) -> NDArray[np.float64]:
    """Return the blast probability of every cell, on which it is called."""
    return card.blast_probability(_probabilities(cells, card))


def _probabilities(cells: Cells, card: ModelCard) -> NDArray[np.float64]:
    if cells.classes != card.classes:
        raise ValueError(f"Cells scored for the classes {list(cells.classes)} cannot be called by a card with {list(card.classes)}.")
    if broken := int((~np.isfinite(cells.probabilities)).any(axis=1).sum()):
        raise PluginError(
            f"The classifier {card.name!r} gave {broken} of {len(cells)} cells a probability that is no number. "
            "Its weights or its precision are broken: check the card's digest, or run with full precision."
        )
    rounded: NDArray[np.float64] = cells.probabilities.astype(np.float64).round(DIGITS)
    return rounded


def _top_of(probabilities: NDArray[np.float64], columns: list[int]) -> NDArray[np.intp]:
    best: NDArray[np.intp] = np.asarray(columns)[probabilities[:, columns].argmax(axis=1)]
    return best
