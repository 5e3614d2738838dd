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
    """Call every cell as its card says (`ModelCard.called`); a cell of an excluded class is left out, that class being the reason."""
    limit = card.threshold if threshold is None else threshold
    if not 0 < limit < 1:
        raise ValueError(f"A threshold lies between 0 and 1, not at {limit}.")
    columns = card.called(_probabilities(cells, card), limit)
    names = [card.classes[column] for column in columns]
    excluded = tuple(name if card.roles[name] == "excluded" else "" for name in names)
    return Called(tuple(names), excluded, np.array([card.roles[name] == "blast" for name in names], np.bool_))


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
