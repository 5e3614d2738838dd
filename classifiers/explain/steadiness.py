"""What more perturbations buy: 128, as the 21-class thesis took, against the 1,000 that it asks for next."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from classifiers.base import Classifier
from classifiers.explain.rankings import Ranking, rank_superpixels
from classifiers.explain.removal import Removal, measure_removal
from classifiers.explain.sufficiency import COUNTS, Sufficiency, called_names, measure_sufficiency
from classifiers.explain.superpixels import Hiding

PERTURBATIONS: Final = (128, 1000)
SEEDS: Final = (0, 1)


@dataclass(frozen=True)
class Steadiness:
    """How steady an explanation is with so many perturbations, and what it is good for."""

    method: str
    perturbations: int
    seconds_per_cell: float  # to rank the superpixels
    same_again: float  # Spearman's correlation of a cell's order with that of another draw of perturbations, mean over cells
    first_again: float  # share of cells in which both draws name the same superpixel first
    sufficiency: Sufficiency
    removal: Removal


def compare_perturbations(
    classifier: Classifier,
    crops: NDArray[np.uint8],
    truths: Sequence[str],
    *,
    method: str = "lime",
    perturbations: Sequence[int] = PERTURBATIONS,
    counts: Sequence[int] = COUNTS,
    superpixels: Mapping[str, Any] | None = None,
    hiding: Hiding = "grey",
) -> list[Steadiness]:
    """Return for each number of perturbations how steady the order of superpixels is, and how far it suffices."""
    names, found = called_names(classifier, crops), []
    for number in perturbations:
        started = time.perf_counter()
        draws = [
            rank_superpixels(method, classifier, crops, names, superpixels=superpixels, hiding=hiding, perturbations=number, seed=seed)
            for seed in SEEDS
        ]
        seconds = (time.perf_counter() - started) / (len(SEEDS) * max(len(crops), 1))
        pairs = list(zip(*draws, strict=True))
        label = f"{method}, {number:,}"
        found.append(
            Steadiness(
                method,
                number,
                seconds,
                same_again=float(np.nanmean([_correlation(*pair) for pair in pairs])),
                first_again=float(np.mean([one.order[0] == other.order[0] for one, other in pairs])),
                sufficiency=measure_sufficiency(label, classifier, crops, truths, draws[0], counts=counts, hiding=hiding),
                removal=measure_removal(label, classifier, crops, names, draws[0], hiding=hiding),
            )
        )
    return found


def _correlation(one: Ranking, other: Ranking) -> float:
    if one.pieces < 2:
        return np.nan
    return float(spearmanr(np.argsort(one.order), np.argsort(other.order)).statistic)
