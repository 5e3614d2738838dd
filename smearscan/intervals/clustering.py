"""Cells that lie together are not independent: the design effect (D3) and the halves of a slide (D16)."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from smearscan.results import TileSums

MINIMUM_TILES: Final = 10  # fewer tiles say too little about how they differ
HALVES: Final = 200  # random halves that are averaged in D16
HALVES_SEED: Final = 16


def sum_tiles(cells: NDArray[np.int64], blasts: NDArray[np.int64]) -> TileSums:
    """Sum up tiles that hold `cells[c]` cells, `blasts[c]` of them blasts; tiles without a cell say nothing."""
    held = cells > 0
    n, x = cells[held].astype(np.int64), blasts[held].astype(np.int64)
    if np.any(x < 0) or np.any(x > n) or np.any(blasts[~held] != 0):
        raise ValueError("A tile cannot hold more blasts than cells.")
    fullest = int(np.lexsort((n, -x))[0]) if len(n) else None
    return TileSums(
        tiles=len(n),
        cells=int(n.sum()),
        blasts=int(x.sum()),
        cells_squared=int((n * n).sum()),
        blasts_squared=int((x * x).sum()),
        cells_times_blasts=int((n * x).sum()),
        fullest_cells=0 if fullest is None else int(n[fullest]),
        fullest_blasts=0 if fullest is None else int(x[fullest]),
    )


def design_effect(sums: TileSums) -> float | None:
    """D3: by how much the variance of the fraction exceeds that of independent cells; None where it cannot be said."""
    if sums.tiles < MINIMUM_TILES or sums.blasts in (0, sums.cells):
        return None
    p = sums.blasts / sums.cells
    # sum (x_c - p n_c)^2, opened up so that the tiles of several slides can be added from their sums alone.
    squares = sums.blasts_squared - 2 * p * sums.cells_times_blasts + p * p * sums.cells_squared
    variance = sums.tiles / (sums.tiles - 1) * squares / sums.cells**2
    return max(1.0, variance / (p * (1 - p) / sums.cells))


def halves_ratio(cells: NDArray[np.int64], blasts: NDArray[np.int64]) -> float | None:
    """D16: how much more random halves of the tiles differ than chance allows; above 2 the slide is heterogeneous.

    One random split would be a coin toss (it passes 2 in one of twenty even slides), so the squared
    ratio is averaged over 200 splits from a fixed seed.
    """
    held = cells > 0
    n, x = cells[held].astype(np.int64), blasts[held].astype(np.int64)
    total, found = int(n.sum()), int(x.sum())
    if len(n) < MINIMUM_TILES or found in (0, total):
        return None
    order = np.random.default_rng(HALVES_SEED).permuted(np.tile(np.arange(len(n)), (HALVES, 1)), axis=1)[:, : len(n) // 2]
    n_first, x_first = n[order].sum(axis=1), x[order].sum(axis=1)
    n_second, x_second = total - n_first, found - x_first
    p = found / total
    squared = (x_first / n_first - x_second / n_second) ** 2 / (p * (1 - p) * (1 / n_first + 1 / n_second))
    return float(np.sqrt(squared.mean()))
