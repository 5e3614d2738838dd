"""Which cells a slide's page shows as pictures: all flagged ones, and some that nearly were."""

from __future__ import annotations

import hashlib
from typing import Final

import numpy as np
from numpy.typing import NDArray

SHOWN_DIGITS: Final = 3  # of a score, as `wording.score` writes it
GALLERY_CELLS: Final = 1000  # a page of more is no page to look through; all cells stand in cells.csv
SAMPLE_CELLS: Final = 12  # where the scan made no pictures of near misses
SAMPLE_POOL: Final = 48  # they are drawn from so many, so that one doublet or one corner does not fill the sample


def rank(scores: NDArray[np.float64], wanted: NDArray[np.bool_], pictured: NDArray[np.bool_] | None = None) -> NDArray[np.intp]:
    """Return the rows that are wanted, highest score first, equal ones in the table's order.

    Of scores that read alike, and of a good model most blasts read "> 0.999", those with a picture come first where
    `pictured` is given: else holes stand in the gallery's first rows, and the pictures behind them.
    """
    rows = np.flatnonzero(wanted)
    if pictured is None:
        return rows[np.argsort(-scores[rows], kind="stable")]
    return rows[np.lexsort((-scores[rows], ~pictured[rows], -np.round(scores[rows], SHOWN_DIGITS)))]


def near_misses(scores: NDArray[np.float64], candidates: NDArray[np.bool_], pictured: NDArray[np.bool_], key: str) -> NDArray[np.intp]:
    """Return a sample of the candidates that score nearest to the threshold from below, highest score first.

    Candidates are the cells that were counted and not flagged. Those that the scan drew and made pictures of are the
    sample; where it made none, one is drawn here, seeded by the slide's key: the same in every run.
    """
    if (candidates & pictured).any():
        return rank(scores, candidates & pictured)
    pool = rank(scores, candidates)[:SAMPLE_POOL]
    if len(pool) <= SAMPLE_CELLS:
        return pool
    seed = int.from_bytes(hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()[:8], "big")
    return pool[np.sort(np.random.default_rng(seed).choice(len(pool), SAMPLE_CELLS, replace=False))]
