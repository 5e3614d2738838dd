"""Which cells of two lists are the same cells: Hungarian matching within a reach (D15).

As many pairs as can be, and among those choices the one with the least sum of distances. Two cells can be a pair only
where they are near, so the problem falls apart into the connected groups of near cells; nearly all of them are a pair
and nothing else, and a slide of 100,000 cells takes seconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components, min_weight_full_bipartite_matching
from scipy.spatial import cKDTree

REACH_DIAMETERS: Final = 0.5  # D15
DENSE: Final = 4_000_000  # entries of a group's table of distances; a larger group is solved on its neighbours alone

Rows = NDArray[np.intp]


@dataclass(frozen=True)
class Matching:
    """Pairs of rows, sorted by the first; whatever is in no pair is alone."""

    first: Rows
    second: Rows
    distances: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.first)

    def of_first(self, count: int) -> Rows:
        """Return for each of `count` rows of the first list its partner, -1 where it has none."""
        partner = np.full(count, -1, np.intp)
        partner[self.first] = self.second
        return partner

    def of_second(self, count: int) -> Rows:
        """Return for each of `count` rows of the second list its partner, -1 where it has none."""
        partner = np.full(count, -1, np.intp)
        partner[self.second] = self.first
        return partner


def match(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    first_reach: NDArray[np.float64],
    second_reach: NDArray[np.float64],
    allowance: float = 0.0,
) -> Matching:
    """Pair the places (n, 2) and (m, 2), each with how far it reaches; the smaller reach of two decides.

    `allowance` is added for places that are known no better than that. Of each two reaches one must be finite.
    """
    rows, columns, distances = _near(first, second, first_reach, second_reach, allowance)
    if not len(rows):
        return Matching(rows, columns, distances)
    chosen = _choose(rows, columns, distances, len(first), len(second))
    chosen = chosen[np.argsort(rows[chosen], kind="stable")]
    return Matching(rows[chosen], columns[chosen], distances[chosen])


def _near(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    first_reach: NDArray[np.float64],
    second_reach: NDArray[np.float64],
    allowance: float,
) -> tuple[Rows, Rows, NDArray[np.float64]]:
    """Return every pair that may be, sorted by row and column, with its distance."""
    empty = np.zeros(0, np.intp)
    if not len(first) or not len(second):
        return empty, empty, np.zeros(0)
    tree, most = cKDTree(second), float(second_reach.max())
    own = np.minimum(first_reach, most) + allowance
    if not np.isfinite(own).all():
        raise ValueError("Neither of two places says how far it reaches.")
    found = [(empty, empty)]
    # By doublings of the reach: one huge box must not make every cell of the slide look that far.
    for octave in np.unique(_octaves(own)).tolist():
        members = np.flatnonzero(_octaves(own) == octave)
        pairs = cKDTree(first[members]).sparse_distance_matrix(tree, float(own[members].max()) * (1 + 1e-9), output_type="ndarray")
        found.append((members[pairs["i"]], pairs["j"].astype(np.intp)))
    rows, columns = (np.concatenate(side) for side in zip(*found, strict=True))
    distances = np.hypot(*(first[rows] - second[columns]).T)
    allowed = distances <= np.minimum(first_reach[rows], second_reach[columns]) + allowance
    rows, columns, distances = rows[allowed], columns[allowed], distances[allowed]
    order = np.lexsort((columns, rows))
    return rows[order], columns[order], distances[order]


def _octaves(reach: NDArray[np.float64]) -> NDArray[np.intp]:
    return np.ceil(np.log2(np.maximum(reach, 1.0))).astype(np.intp)


def _choose(rows: Rows, columns: Rows, distances: NDArray[np.float64], n: int, m: int) -> Rows:
    """Return which of the possible pairs are taken."""
    graph = coo_array((np.ones(len(rows), np.int8), (rows, n + columns)), shape=(n + m, n + m))
    group = connected_components(graph, directed=False)[1][rows]
    order = np.lexsort((distances, group))
    starts = np.flatnonzero(np.r_[True, np.diff(group[order]) != 0])
    ends = np.r_[starts[1:], len(order)]
    # A group around one cell: its nearest partner. All others are few.
    one_row = np.minimum.reduceat(rows[order], starts) == np.maximum.reduceat(rows[order], starts)
    one_column = np.minimum.reduceat(columns[order], starts) == np.maximum.reduceat(columns[order], starts)
    star = one_row | one_column
    chosen = [order[starts[star]]]
    for start, end in zip(starts[~star].tolist(), ends[~star].tolist(), strict=True):
        members = order[start:end]
        chosen.append(members[_assign(rows[members], columns[members], distances[members])])
    return np.concatenate(chosen)


def _assign(rows: Rows, columns: Rows, distances: NDArray[np.float64]) -> Rows:
    """Return which pairs of one group are taken: most pairs first, then the least sum of distances."""
    known_rows, row = np.unique(rows, return_inverse=True)
    known_columns, column = np.unique(columns, return_inverse=True)
    n, m = len(known_rows), len(known_columns)
    # Dearer than any choice of pairs, so that no pair is given up to bring others closer.
    nothing = (min(n, m) + 1) * (float(distances.max()) + 1)
    if n * m > DENSE:
        return _assign_sparse(row, column, distances, (n, m), nothing)
    cost = np.full((n, m), nothing)
    cost[row, column] = distances
    edge = np.full((n, m), -1, np.intp)
    edge[row, column] = np.arange(len(rows))
    taken = edge[linear_sum_assignment(cost)]
    return taken[taken >= 0]


def _assign_sparse(row: Rows, column: Rows, distances: NDArray[np.float64], shape: tuple[int, int], nothing: float) -> Rows:
    """The same where the table would be too large; each row may also take a partner of its own, who stands for none."""
    n, m = shape
    # Costs of 0 would read as no pair at all: 1 more for each row changes no choice.
    costs = np.r_[distances + 1, np.full(n, nothing + 1)]
    places = (np.r_[row, np.arange(n)], np.r_[column, m + np.arange(n)])
    matched = min_weight_full_bipartite_matching(csr_array((costs, places), shape=(n, m + n)))
    real = matched[1] < m
    return np.flatnonzero(np.isin(row * m + column, matched[0][real] * m + matched[1][real]))
