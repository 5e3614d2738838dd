"""What is known of the cells against what a report found: recall, precision, F1, and which cells were missed.

A place in a truth table is found where a counted cell lies within half its diameter, each cell one place at most.
Smudge cells and debris in a table are neither hit nor miss. A table of labels by cell id, as a reviewer writes one,
knows only cells that a report has found: of those it says how many were called right, and nothing of the missed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from classifiers.card import ModelCard
from detectors.boxes import centres
from smearscan.compare.matching import match
from smearscan.compare.report_folder import CellColumns
from smearscan.intervals import wilson
from smearscan.labels import Labels
from smearscan.results import Interval
from smearscan.smears.truth import NOT_WHITE_CELLS

SIZES_UM: Final = (0.0, 8.0, 10.0, 12.0, 14.0, 16.0, float("inf"))  # ends of the classes of size
BOOTSTRAP_SLIDES: Final = 5  # from so many on, slides are drawn and not cells
Sizes: TypeAlias = tuple[tuple[int, int], ...]
DRAWS: Final = 2000
SEED: Final = 0


@dataclass(frozen=True)
class Hits:
    """What was found (true positives), missed and found in error, and the rates that follow."""

    hit: int = 0
    missed: int = 0
    false: int = 0

    def __add__(self, other: Hits) -> Hits:
        return Hits(self.hit + other.hit, self.missed + other.missed, self.false + other.false)

    @property
    def recall(self) -> float | None:
        return _share(self.hit, self.hit + self.missed)

    @property
    def precision(self) -> float | None:
        return _share(self.hit, self.hit + self.false)

    @property
    def f1(self) -> float | None:
        return _share(2 * self.hit, 2 * self.hit + self.missed + self.false)


@dataclass(frozen=True)
class TruthTally:
    """One slide of one report against the truth, or the sum of several slides."""

    cells: Hits | None = None  # white cells found at all; None of labels that know only found cells
    blasts: Hits = field(default_factory=Hits)  # blasts found and called so
    true_cells: int = 0
    true_blasts: int = 0
    missed_by_size: Sizes = ()  # (missed, all) of each class of SIZES_UM; empty without sizes

    def __add__(self, other: TruthTally) -> TruthTally:
        sizes = [one for one in (self.missed_by_size, other.missed_by_size) if one]
        summed = tuple((sum(each[0] for each in pair), sum(each[1] for each in pair)) for pair in zip(*sizes, strict=True))
        found = [one for one in (self.cells, other.cells) if one is not None]
        return TruthTally(
            cells=sum(found, Hits()) if found else None,
            blasts=self.blasts + other.blasts,
            true_cells=self.true_cells + other.true_cells,
            true_blasts=self.true_blasts + other.true_blasts,
            missed_by_size=summed,
        )

    @property
    def true_fraction(self) -> float | None:
        """Blasts among the white cells; None where the labels do not know every cell."""
        return None if self.cells is None else _share(self.true_blasts, self.true_cells)


@dataclass(frozen=True)
class SlideTruth:
    """What is known of one slide, ready to be held against any report of it."""

    places: NDArray[np.float64]  # (n, 2) of every labelled place; none where labels go by cell id
    reach: NDArray[np.float64]  # half a diameter; not a number where none is given
    labels: tuple[str, ...]


def slide_truth(labels: Labels | None, key: str) -> SlideTruth | None:
    """Return the labelled places of a slide; None where there is no table of places."""
    places = labels.places(key) if labels else None
    if places is None:
        return None
    return SlideTruth(np.column_stack([places.x, places.y]).reshape(-1, 2), np.array(places.reach), tuple(places.labels))


@dataclass(frozen=True)
class FoundCells:
    """The counted cells of one slide in one report, as they are held against the truth."""

    cells: CellColumns
    reach: NDArray[np.float64]  # of each, and what is added for places known no better: as in `match`
    allowance: float
    card: ModelCard
    mpp: float | None


def tally_places(truth: SlideTruth, found: FoundCells) -> tuple[TruthTally, tuple[str, ...]]:
    """Hold cells against labelled places; also return the label of each cell, "" where no place is.

    A place that says its diameter reaches half of that, any other as far as the cell does.
    """
    cells = found.cells
    own = np.where(np.isnan(truth.reach), np.inf, truth.reach)
    wide = np.full(len(cells), np.inf) if np.isfinite(own).all() else found.reach
    matching = match(truth.places, centres(cells.boxes), own, wide, found.allowance)
    partner, place = matching.of_first(len(truth.labels)), matching.of_second(len(cells))
    roles = np.array([role_of(label, found.card) for label in truth.labels])
    tally = replace(_tally(roles, partner, place, cells), missed_by_size=_sizes(roles, truth.reach, partner, found.mpp))
    return tally, tuple("" if row < 0 else truth.labels[row] for row in place.tolist())


def tally_labels(known: Sequence[str], found: FoundCells) -> TruthTally:
    """Hold the calls of cells against labels that a person gave them; "" is a cell without a label."""
    called = found.cells.blast
    is_known = np.array([bool(label) for label in known], np.bool_)
    is_blast = np.array([role_of(label, found.card) == "blast" for label in known], np.bool_)
    blasts = Hits(
        hit=int((is_blast & called).sum()), missed=int((is_blast & ~called).sum()), false=int((is_known & ~is_blast & called).sum())
    )
    return TruthTally(None, blasts, int(is_known.sum()), int(is_blast.sum()))


def role_of(label: str, card: ModelCard) -> str:
    """Return what a label counts as: blast, other or excluded; a label that the card does not know is another white cell."""
    folded = label.casefold()
    if folded in NOT_WHITE_CELLS:
        return "excluded"
    return {name.casefold(): str(role) for name, role in card.roles.items()}.get(folded, "blast" if folded == "blast" else "other")


def _tally(roles: NDArray[np.str_], partner: NDArray[np.intp], place: NDArray[np.intp], cells: CellColumns) -> TruthTally:
    """Count hits; `partner` is each place's cell and `place` each cell's place, -1 where there is none."""
    white, blast, found = roles != "excluded", roles == "blast", partner >= 0
    called = np.zeros(len(roles), np.bool_)
    called[found] = cells.blast[partner[found]]
    nowhere, false_blast = place < 0, cells.blast & (place < 0)
    false_blast[~nowhere] = cells.blast[~nowhere] & (roles[place[~nowhere]] == "other")
    return TruthTally(
        cells=Hits(int((white & found).sum()), int((white & ~found).sum()), int(nowhere.sum())),
        blasts=Hits(int((blast & called).sum()), int((blast & ~called).sum()), int(false_blast.sum())),
        true_cells=int(white.sum()),
        true_blasts=int(blast.sum()),
    )


def _sizes(roles: NDArray[np.str_], reach: NDArray[np.float64], partner: NDArray[np.intp], mpp: float | None) -> Sizes:
    if mpp is None or np.isnan(reach).any():
        return ()
    white = roles != "excluded"
    size = np.digitize(2 * reach * mpp, SIZES_UM) - 1
    classes = [white & (size == each) for each in range(len(SIZES_UM) - 1)]
    return tuple((int((each & (partner < 0)).sum()), int(each.sum())) for each in classes)


@dataclass(frozen=True)
class Rate:
    """A rate with its interval, and how that was made."""

    value: float | None
    interval: Interval | None
    method: str  # "wilson", "slides drawn", or "" without an interval


def rates(slides: Sequence[Hits]) -> dict[str, Rate]:
    """Return recall, precision and F1 of all slides together.

    From five slides on the interval is that of slides drawn with replacement, seeded: cells of a slide are alike, and
    an interval that takes them for strangers is too narrow. With fewer it is Wilson's, of F1 by way of hits among all
    that is either true or found, of which F1 is a rising function.
    """
    total = sum(slides, Hits())
    if len(slides) >= BOOTSTRAP_SLIDES:
        drawn = _draw(slides)
        return {name: _drawn_rate(getattr(total, name), values) for name, values in drawn.items()}
    union = total.hit + total.missed + total.false
    ends = wilson(total.hit, union) if union else None
    f1_ends = Interval(*(2 * end / (1 + end) for end in (ends.low, ends.high))) if ends else None
    return {
        "recall": _wilson_rate(total.hit, total.hit + total.missed),
        "precision": _wilson_rate(total.hit, total.hit + total.false),
        "f1": Rate(total.f1, f1_ends, "wilson" if ends else ""),
    }


def _draw(slides: Sequence[Hits]) -> dict[str, NDArray[np.float64]]:
    table = np.array([[each.hit, each.missed, each.false] for each in slides], np.float64)
    rng = np.random.default_rng(SEED)
    hit, missed, false = table[rng.integers(0, len(table), (DRAWS, len(table)))].sum(axis=1).T
    with np.errstate(invalid="ignore"):  # no true cell in a draw: no rate, left out below
        return {"recall": hit / (hit + missed), "precision": hit / (hit + false), "f1": 2 * hit / (2 * hit + missed + false)}


def _drawn_rate(value: float | None, draws: NDArray[np.float64]) -> Rate:
    known = draws[~np.isnan(draws)]
    if value is None or not len(known):
        return Rate(value, None, "")
    low, high = np.percentile(known, [2.5, 97.5])
    return Rate(value, Interval(float(low), float(high)), "slides drawn")


def _wilson_rate(x: int, n: int) -> Rate:
    return Rate(_share(x, n), wilson(x, n) if n else None, "wilson" if n else "")


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
