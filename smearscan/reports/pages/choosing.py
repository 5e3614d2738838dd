"""Which cells a slide's page shows as pictures: all flagged ones, and some that nearly were."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from smearscan.reports.cell_table import CellTable

GALLERY_CELLS: Final = 1000  # a page of more is no page to look through; all cells stand in cells.csv
SAMPLE_CELLS: Final = 24
SAMPLE_NEAREST: Final = 12  # of them, those next to the threshold: there a call is most easily wrong
SAMPLE_POOL: Final = 84  # the others are drawn from so many that follow, so that one doublet or one corner does not fill the sample


def blast_scores(cells: CellTable, classifier: Mapping[str, Any]) -> NDArray[np.float64]:
    """Return the score that is compared with the threshold: P(blast) among the classes that count."""
    blast, other = (
        cells.probabilities[:, [index for index, name in enumerate(cells.classes) if classifier["roles"][name] == role]].sum(axis=1)
        for role in ("blast", "other")
    )
    counted = blast + other
    scores: NDArray[np.float64] = np.divide(blast, counted, out=np.zeros_like(blast), where=counted > 0)
    return scores


def rank(scores: NDArray[np.float64], wanted: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return the rows that are wanted, highest score first, equal ones in the table's order."""
    rows = np.flatnonzero(wanted)
    return rows[np.argsort(-scores[rows], kind="stable")]


def sample_under_threshold(scores: NDArray[np.float64], candidates: NDArray[np.bool_], key: str) -> NDArray[np.intp]:
    """Return rows of the nearest candidates and of a draw from those that follow, highest score first.

    Candidates are the cells that were counted and not flagged. The draw is seeded by the slide's key: the same in every run.
    """
    rows = rank(scores, candidates)
    if len(rows) <= SAMPLE_CELLS:
        return rows
    nearest, pool = rows[:SAMPLE_NEAREST], rows[SAMPLE_NEAREST : SAMPLE_NEAREST + SAMPLE_POOL]
    seed = int.from_bytes(hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()[:8], "big")
    drawn = np.random.default_rng(seed).choice(len(pool), SAMPLE_CELLS - SAMPLE_NEAREST, replace=False)
    return np.concatenate([nearest, pool[np.sort(drawn)]])
