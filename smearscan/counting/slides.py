"""Called cells -> everything a report states of a slide, and the same for the slides of one specimen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from classifiers.card import ModelCard
from smearscan.counting.adjusting import adjust
from smearscan.counting.calling import Called, blast_probability
from smearscan.counting.windows import add_windows
from smearscan.intervals import (
    COUNTS_ONLY_BELOW,
    cells_band,
    clopper_pearson,
    design_effect,
    halves_ratio,
    limit_of_blank,
    sum_tiles,
    upper_limit_of_none_seen,
    verdict,
    wilson,
    wilson_effective,
)
from smearscan.results import Adjusted, Cells, ClassCount, Interval, SlideCount, TileSums, Verdict, WindowCount

THRESHOLDS: Final = (0.01, 0.05, 0.10, 0.20)
DEFF_UNAVAILABLE: Final = "deff_unavailable"
TOO_FEW: Final = "insufficient"


@dataclass(frozen=True)
class _Totals:
    """What was counted, before anything is concluded from it."""

    proposals: int
    duplicates: int
    excluded: Mapping[str, int]
    by_class: Mapping[str, int]
    tiles: TileSums
    deff: float | None
    heterogeneity: float | None
    probability_sum: float
    windows: WindowCount | None


def count_cells(
    cells: Cells,
    called: Called,
    card: ModelCard,
    *,
    proposals: int,
    duplicates: int,
    counting_tile_px: int,
    thresholds: Sequence[float] = THRESHOLDS,
    windows: WindowCount | None = None,
) -> SlideCount:
    """State the numbers of one slide.

    Clusters are looked for in a fixed grid of `counting_tile_px`, which has nothing to do with the tiles that
    were read: the numbers must not depend on those.
    """
    if not len(cells) == len(called.classes) == len(called.excluded) == len(called.blast):
        raise ValueError(f"{len(cells)} cells and {len(called.classes)} calls do not belong together.")
    counted = np.array([not reason for reason in called.excluded], dtype=bool)
    n_tile, x_tile = _per_tile(cells.boxes[counted], called.blast[counted], counting_tile_px)
    tiles = sum_tiles(n_tile, x_tile)
    totals = _Totals(
        proposals=proposals,
        duplicates=duplicates,
        excluded=Counter(reason for reason in called.excluded if reason),
        by_class=Counter(name for name, kept in zip(called.classes, counted, strict=True) if kept),
        tiles=tiles,
        deff=design_effect(tiles),
        heterogeneity=halves_ratio(n_tile, x_tile),
        probability_sum=float(blast_probability(cells, card)[counted].sum()),
        windows=windows,
    )
    return _state(totals, card, thresholds)


def sum_counts(counts: Sequence[SlideCount], card: ModelCard) -> SlideCount:
    """State the numbers of a specimen from those of its slides: one pool of cells, one classifier behaviour.

    The design effect takes all their tiles, or the slides themselves where there are ten or more: whichever is
    larger. D6's pair of rates is drawn once for the specimen, since its slides share patient and stain.
    """
    if not counts:
        raise ValueError("A specimen without a slide has no count.")
    thresholds = tuple(each.threshold for each in counts[0].verdicts)
    tiles = _add_tiles([each.tiles for each in counts])
    slides = sum_tiles(np.array([each.cells for each in counts]), np.array([each.blasts for each in counts]))
    effects = [effect for effect in (design_effect(tiles), design_effect(slides)) if effect is not None]
    totals = _Totals(
        proposals=sum(each.proposals for each in counts),
        duplicates=sum(each.duplicates for each in counts),
        excluded=sum((Counter(each.excluded) for each in counts), Counter[str]()),
        by_class=sum((Counter({one.name: one.cells for one in each.classes}) for each in counts), Counter[str]()),
        tiles=tiles,
        deff=max(effects, default=None),
        heterogeneity=None,
        probability_sum=sum(each.mean_probability * each.cells for each in counts if each.mean_probability is not None),
        windows=add_windows([each.windows for each in counts]),
    )
    return _state(totals, card, thresholds)


def _per_tile(boxes: NDArray[np.float32], blast: NDArray[np.bool_], side: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the cells and the blasts in each tile of the counting grid that holds a cell's centre."""
    if side < 1:
        raise ValueError(f"Counting tiles need a side of at least one pixel, not {side}.")
    centres = (boxes[:, :2].astype(np.float64) + boxes[:, 2:]) / 2
    _, tile = np.unique(np.floor(centres / side).astype(np.int64), axis=0, return_inverse=True)
    cells = np.bincount(tile.ravel())
    return cells.astype(np.int64), np.bincount(tile.ravel()[blast], minlength=len(cells)).astype(np.int64)


def _add_tiles(sums: Sequence[TileSums]) -> TileSums:
    # A slide without cells has no tile that could be the fullest.
    fullest = max(sums, key=lambda each: (each.tiles > 0, each.fullest_blasts, -each.fullest_cells))
    return TileSums(
        tiles=sum(each.tiles for each in sums),
        cells=sum(each.cells for each in sums),
        blasts=sum(each.blasts for each in sums),
        cells_squared=sum(each.cells_squared for each in sums),
        blasts_squared=sum(each.blasts_squared for each in sums),
        cells_times_blasts=sum(each.cells_times_blasts for each in sums),
        fullest_cells=fullest.fullest_cells,
        fullest_blasts=fullest.fullest_blasts,
    )


def _state(totals: _Totals, card: ModelCard, thresholds: Sequence[float]) -> SlideCount:
    n, x = totals.tiles.cells, totals.tiles.blasts
    if n < COUNTS_ONLY_BELOW:
        return _state_counts_only(totals, card, thresholds)
    fraction = x / n
    n_eff = n if totals.deff is None else n / totals.deff
    clustered = None if totals.deff is None else wilson_effective(fraction, n_eff)
    adjusted, chances = adjust(fraction * n_eff, n_eff, card, thresholds)
    plain = wilson(x, n)
    basis, decisive = _decisive(adjusted, clustered, plain)
    limit, limit_note = limit_of_blank(card.blank_fractions)
    return SlideCount(
        proposals=totals.proposals,
        duplicates=totals.duplicates,
        cells=n,
        excluded=dict(sorted(totals.excluded.items())),
        blasts=x,
        classes=_classes(totals, card, n),
        band=cells_band(n),
        fraction=fraction,
        wilson=plain,
        exact=clopper_pearson(x, n),
        deff=totals.deff,
        deff_note=DEFF_UNAVAILABLE if totals.deff is None else "",
        clustered=clustered,
        adjusted=adjusted,
        limit_of_blank=limit,
        limit_of_blank_note=limit_note,
        below_limit_of_blank=None if limit is None else fraction <= limit,
        verdicts=tuple(Verdict(each, verdict(decisive, each), chances.get(each)) for each in thresholds),
        verdict_basis=basis,
        no_blast_upper=upper_limit_of_none_seen(n) if x == 0 else None,
        mean_probability=totals.probability_sum / n,
        heterogeneity=totals.heterogeneity,
        tiles=totals.tiles,
        windows=totals.windows,
    )


def _state_counts_only(totals: _Totals, card: ModelCard, thresholds: Sequence[float]) -> SlideCount:
    """State a slide of no or too few cells: what was counted, and no percentage of any kind."""
    n = totals.tiles.cells
    limit, limit_note = limit_of_blank(card.blank_fractions)
    return SlideCount(
        proposals=totals.proposals,
        duplicates=totals.duplicates,
        cells=n,
        excluded=dict(sorted(totals.excluded.items())),
        blasts=totals.tiles.blasts,
        classes=_classes(totals, card, None),
        band=cells_band(n),
        fraction=None,
        wilson=None,
        exact=None,
        deff=None,
        deff_note=DEFF_UNAVAILABLE,
        clustered=None,
        adjusted=Adjusted(None, None, f"none: {n} cells are too few" if n else "none: there are no cells"),
        limit_of_blank=limit,
        limit_of_blank_note=limit_note,
        below_limit_of_blank=None,
        verdicts=tuple(Verdict(each, TOO_FEW, None) for each in thresholds),
        verdict_basis=TOO_FEW,
        no_blast_upper=None,
        mean_probability=totals.probability_sum / n if n else None,
        heterogeneity=None,
        tiles=totals.tiles,
        windows=totals.windows,
    )


def _decisive(adjusted: Adjusted, clustered: Interval | None, plain: Interval) -> tuple[str, Interval]:
    """Return the most honest interval there is, by name: it is the one that verdicts compare."""
    if adjusted.interval is not None:
        return "adjusted", adjusted.interval
    return ("clustered", clustered) if clustered is not None else ("wilson", plain)


def _classes(totals: _Totals, card: ModelCard, n: int | None) -> tuple[ClassCount, ...]:
    """Return every class of the card in its order; `n` is the denominator, None where no fraction is stated."""
    counts = []
    for name in card.classes:
        role = card.roles[name]
        found = totals.excluded.get(name, 0) if role == "excluded" else totals.by_class.get(name, 0)
        stated = n is not None and role != "excluded"
        counts.append(ClassCount(name, role, found, found / n if stated and n else None, wilson(found, n) if stated and n else None))
    return tuple(counts)
