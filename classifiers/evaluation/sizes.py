"""How much of a model's answer is the cell's size?

Blasts are larger than most other cells, so that their area alone tells many apart. Size in micrometres is evidence where
the scale is right, and a shortcut where it is not. So three numbers belong side by side: the area under the ROC curve of the
cell's area alone, of the model, and of the model among cells of the same size: only pairs of cells are compared that lie in the
same tenth of all areas. What a model knows beyond size is what that last number is above a half.

Areas are measured where a cell lies on black, and nowhere else: what a cell in a field measures is a guess of whoever cuts it.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from classifiers.datasets.base import Samples
from classifiers.evaluation.intervals import FEWEST_GROUPS, draw_groups, interval_of
from classifiers.evaluation.records import Floats, Integers, Metric, Question, Sizes
from classifiers.explain.cell_masks import lie_on_black
from classifiers.preprocess.framing import bright_mask

BINS: Final = 10
LEAST_SHARE: Final = 0.5  # of the cells that must lie on black, or nothing is said
READERS: Final = 2


def cell_areas(samples: Samples, show: Callable[[int], None] | None = None) -> Floats:
    """Return the area of each cell in pixels of its picture; not a number where it does not lie on black."""

    def measure(row: int) -> float:
        picture = samples.read(row)
        return float(cv2.countNonZero(bright_mask(picture))) if lie_on_black(picture[None])[0] else np.nan

    areas = np.full(len(samples), np.nan)
    with ThreadPoolExecutor(READERS) as pool:
        for row, area in enumerate(pool.map(measure, range(len(samples)))):
            areas[row] = area
            if show is not None and (row + 1) % 256 == 0:
                show(row + 1)
    return areas


def compare_sizes(question: Question, areas: Floats, draws: int, seed: int) -> Sizes | None:
    """Return what size alone tells, and what the model tells beyond it; `areas` has a number for each row of the samples."""
    of_rows = areas[question.rows]
    measured = np.isfinite(of_rows)
    positive = question.truth == 1
    if measured.mean() < LEAST_SHARE or not positive[measured].any() or positive[measured].all():
        return None
    areas, scores, positive = of_rows[measured], question.scores[measured, 1], positive[measured]
    groups = question.groups[measured]
    edges = np.quantile(areas, np.linspace(0, 1, BINS + 1)[1:-1])
    bins = np.searchsorted(edges, areas, side="right")
    one = np.zeros(len(areas), np.intp)
    kinds = {"area": (areas, one), "model": (scores, one), "model_same_size": (scores, bins)}
    total = int(question.groups.max()) + 1
    fewest = min(len(set(groups[positive].tolist())), len(set(groups[~positive].tolist())))
    found = {}
    for name, (values, strata) in kinds.items():
        pairs = _Pairs(values, positive, groups, strata, total)
        whole = pairs.shares(np.ones((1, total)))[0]
        ends = None
        if fewest >= FEWEST_GROUPS and draws:
            ends = interval_of(np.concatenate([pairs.shares(counts) for counts in draw_groups(total, draws, seed, len(areas))]))
        found[name] = _metric(float(whole), ends, fewest)
    return Sizes(int(measured.sum()), BINS, **found)


def _metric(value: float, ends: tuple[float, float] | None, groups: int) -> Metric:
    if not np.isfinite(value):
        return Metric(None, note="not defined: no two cells of different kinds are of one size")
    return Metric(value, *ends) if ends else Metric(value, note=f"no interval: {groups} groups bear on it")


class _Pairs:
    """Which share of pairs of a positive and a negative cell of one stratum ranks the positive higher, group by group."""

    def __init__(self, values: Floats, positive: NDArray[np.bool_], groups: Integers, strata: NDArray[np.intp], total: int) -> None:
        self._won = np.zeros((total, total))  # groups of positives, groups of negatives
        self._all = np.zeros((total, total))
        for stratum in range(int(strata.max()) + 1):
            inside = strata == stratum
            self._count(values[inside], positive[inside], groups[inside], total)

    def _count(self, values: Floats, positive: NDArray[np.bool_], groups: Integers, total: int) -> None:
        order = np.argsort(values, kind="stable")
        values, positive, groups = values[order], positive[order], groups[order]
        member = np.zeros((len(values), total))
        member[np.arange(len(values)), groups] = 1
        negatives = np.vstack([np.zeros(total), np.cumsum(member * ~positive[:, None], axis=0)])
        below, not_above = (negatives[np.searchsorted(values, values, side)] for side in ("left", "right"))
        self._won += (member * positive[:, None]).T @ ((below + not_above) / 2)
        self._all += np.outer(np.bincount(groups, positive, total), np.bincount(groups, ~positive, total))

    def shares(self, counts: Floats) -> Floats:
        """Return the share for each row of `counts`, (draws, groups)."""
        won, pairs = (((counts @ each) * counts).sum(axis=1) for each in (self._won, self._all))
        shares: Floats = np.divide(won, pairs, out=np.full(len(counts), np.nan), where=pairs > 0)
        return shares
