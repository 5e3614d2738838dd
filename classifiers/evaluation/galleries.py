"""Which cells are looked at: called right and wrong, the surest of each and some by chance.

TP and FN are blasts, FP and TN are not: what a person wants to see side by side is a blast that was found beside one that was
missed, and a normal cell that was left alone beside one that was flagged.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from classifiers.base import Classifier, Explainer
from classifiers.datasets.base import Samples
from classifiers.evaluation.records import Question

OUTCOMES: Final = ("TP", "FN", "TN", "FP")
SUREST: Final = 12
BY_CHANCE: Final = 12


@dataclass(frozen=True)
class Choice:
    """The cells of one outcome, as places in the question's rows."""

    total: int
    surest: NDArray[np.intp]  # farthest from the threshold first
    by_chance: NDArray[np.intp]  # of the rest, surest first


@dataclass(frozen=True)
class Picture:
    """One cell as the model saw it, and where it looked."""

    row: int  # of the samples
    crop: NDArray[np.uint8]
    heat_map: NDArray[np.float32] | None


def choose_cells(question: Question, surest: int = SUREST, by_chance: int = BY_CHANCE, seed: int = 0) -> dict[str, Choice]:
    """Choose the cells of each outcome of the blast question; equal probabilities in the samples' order."""
    blast, called = question.truth == 1, question.called == 1
    held = {"TP": blast & called, "FN": blast & ~called, "TN": ~blast & ~called, "FP": ~blast & called}
    return {
        name: _choose(question.scores[:, 1], held[name], high=name in {"TP", "FP"}, sizes=(surest, by_chance), seed=seed)
        for name in OUTCOMES
    }


def cut_pictures(classifier: Classifier, samples: Samples, rows: NDArray[np.intp], explainer: Explainer | None) -> dict[int, Picture]:
    """Return the pictures of these rows of the samples, with heat maps for the positive class where there is an explainer."""
    wanted = sorted(set(rows.tolist()))
    if not wanted:
        return {}
    crops = samples.crops(wanted, classifier.card.crop_px, classifier.card.crop_um)
    maps = explainer.explain(crops, classifier.card.positive_class) if explainer else [None] * len(wanted)
    return {row: Picture(row, crop, found) for row, crop, found in zip(wanted, crops, maps, strict=True)}


def chosen_rows(choices: Mapping[str, Choice], question: Question) -> NDArray[np.intp]:
    """Return the rows of the samples that were chosen."""
    places = [part for choice in choices.values() for part in (choice.surest, choice.by_chance)]
    found: NDArray[np.intp] = question.rows[np.concatenate(places)]
    return found


def _choose(probabilities: NDArray[np.float64], held: NDArray[np.bool_], *, high: bool, sizes: tuple[int, int], seed: int) -> Choice:
    surest, by_chance = sizes
    places = np.flatnonzero(held)
    ranked = places[np.argsort(-probabilities[places] if high else probabilities[places], kind="stable")]
    rest = ranked[surest:]
    drawn = np.random.default_rng(seed).choice(len(rest), min(by_chance, len(rest)), replace=False)
    return Choice(len(places), ranked[:surest], rest[np.sort(drawn)])
