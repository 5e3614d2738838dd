"""comparison.csv, one row a slide, and cells.csv, one row a cell.

comparison.csv: columns that end in _a and _b are of one report each, `difference` is B minus A. `compared` says how far
it went: cells (cell by cell), fractions, or none, with the reason beside. An empty field is a number that cannot be
said: 0 is 0.

cells.csv, sorted by slide and place:

| column | meaning |
|---|---|
| slide | as report A has it |
| where | both, only A, only B |
| id_a, id_b | the cell in the cells.csv of each report |
| x, y | its centre in level-0 pixels; of a matched cell as A has it |
| distance_px | between the two centres |
| called_a, called_b | the class it was called |
| blast_a, blast_b | 1: called blast |
| score_a, score_b | P(blast) |
| left_out_a, left_out_b | why that report does not count what it has in this place, empty where it has nothing |
| truth | what the cell is known to be |
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from detectors import boxes
from smearscan.compare.comparison import Comparison, Side, SlideCells, SlideComparison
from smearscan.compare.report_folder import CellColumns
from smearscan.compare.truth import Hits
from smearscan.reports.spreadsheet import ends, fraction, number, path, plain, to_csv, whole
from smearscan.results import NOTICE

BOTH, ONLY_A, ONLY_B = "both", "only A", "only B"
PLACE_DIGITS: Final = 1
SCORE_DIGITS: Final = 6
# fmt: off
SIDE: Final = (
    "status", "cells", "blasts", "fraction", "wilson_low", "wilson_high", "adjusted", "seconds", "crops", "crops_per_cell", "pixels",
)
PAIR: Final = (
    "matched", "only_a", "only_b", "matched_within_half_diameter", "left_out_by_a", "left_out_by_b", "both_blast", "only_a_blast",
    "only_b_blast", "neither_blast", "agreement", "agreement_low", "agreement_high", "kappa", "mcnemar_p", "difference",
)
TRUTH: Final = (
    "true_cells", "true_blasts", "cells_found", "cells_missed", "cells_false", "recall", "precision", "f1", "blasts_found",
    "blasts_missed", "blasts_false", "blast_recall", "blast_precision", "blast_f1",
)
CELLS: Final = (
    "slide", "where", "id_a", "id_b", "x", "y", "distance_px", "called_a", "called_b", "blast_a", "blast_b", "score_a", "score_b",
    "left_out_a", "left_out_b", "truth", NOTICE,
)
# fmt: on


def comparison_csv(comparison: Comparison) -> str:
    """Return the table of all slides."""
    thresholds = sorted({each for slide in comparison.slides for side in (slide.a, slide.b) for each in side.verdicts})
    truth = TRUTH if comparison.truth_a or comparison.truth_b else ()
    columns = ["slide", "specimen", "compared", "reason", *(f"{name}_{side}" for name in SIDE for side in "ab"), *PAIR]
    columns += [f"verdict_{100 * each:g}_{side}" for each in thresholds for side in "ab"] + ["verdict_changes"]
    columns += [f"{name}_{side}" for name in truth for side in "ab"]
    return to_csv([*columns, "notice"], (_slide_row(slide, bool(truth)) for slide in comparison.slides))


def _slide_row(slide: SlideComparison, with_truth: bool) -> dict[str, str]:
    found = slide.pair.a or slide.pair.b
    row = {
        "slide": path(slide.key),
        "specimen": plain(str(found.record.get("specimen") or "")) if found else "",
        "compared": slide.level,
        "reason": plain(slide.reason),
        "difference": fraction(slide.difference),
        "verdict_changes": whole(len(slide.verdict_changes)) if slide.level != "none" else "",
        "notice": NOTICE,
        **_pair_columns(slide),
    }
    for name, side in (("a", slide.a), ("b", slide.b)):
        columns = {**_side_columns(side), **(_truth_columns(side) if with_truth else {})}
        row |= {f"{column}_{name}": value for column, value in columns.items()}
        row |= {f"verdict_{100 * threshold:g}_{name}": verdict for threshold, verdict in side.verdicts.items()}
    return row


def _side_columns(side: Side) -> dict[str, str]:
    count, cost = side.count, side.cost
    return {
        "status": side.status,
        "cells": whole(side.cells),
        "blasts": whole(side.blasts),
        "fraction": fraction(side.fraction),
        **ends("wilson", count["wilson"] if count else None),
        "adjusted": fraction(count["adjusted"]["fraction"] if count else None),
        "seconds": number(cost.seconds, 1),
        "crops": whole(cost.crops),
        "crops_per_cell": number(cost.crops_per_cell, 2),
        "pixels": number(cost.pixels, 0),
    }


def _pair_columns(slide: SlideComparison) -> dict[str, str]:
    calls = slide.calls
    if calls is None:
        return {}
    interval = calls.agreement_interval
    return {
        "matched": whole(slide.matched),
        "only_a": whole(slide.only_a),
        "only_b": whole(slide.only_b),
        "matched_within_half_diameter": whole(slide.within_half_diameter),
        "left_out_by_a": whole(slide.left_out_by_a),
        "left_out_by_b": whole(slide.left_out_by_b),
        "both_blast": whole(calls.both_blast),
        "only_a_blast": whole(calls.only_a_blast),
        "only_b_blast": whole(calls.only_b_blast),
        "neither_blast": whole(calls.neither_blast),
        "agreement": fraction(calls.agreement),
        **ends("agreement", {"low": interval.low, "high": interval.high} if interval else None),
        "kappa": fraction(calls.kappa),
        "mcnemar_p": "" if calls.mcnemar_p is None else f"{calls.mcnemar_p:.6g}",
    }


def _truth_columns(side: Side) -> dict[str, str]:
    truth = side.truth
    if truth is None:
        return {}
    return {
        "true_cells": whole(truth.true_cells),
        "true_blasts": whole(truth.true_blasts),
        **(_hits("cells", "", truth.cells) if truth.cells else {}),
        **_hits("blasts", "blast_", truth.blasts),
    }


def _hits(what: str, prefix: str, hits: Hits) -> dict[str, str]:
    return {
        f"{what}_found": whole(hits.hit),
        f"{what}_missed": whole(hits.missed),
        f"{what}_false": whole(hits.false),
        f"{prefix}recall": fraction(hits.recall),
        f"{prefix}precision": fraction(hits.precision),
        f"{prefix}f1": fraction(hits.f1),
    }


class CellRows:
    """Writes cells.csv, a slide at a time."""

    def __init__(self, file: Any) -> None:
        self._writer = csv.writer(file, lineterminator="\n")
        self._writer.writerow(CELLS)

    def add(self, slide: SlideComparison, cells: SlideCells) -> None:
        """Write the cells of one slide."""
        self._writer.writerows(cell_rows(slide.key, cells))


def cell_rows(key: str, cells: SlideCells) -> Iterator[Sequence[str]]:
    """Yield the rows of a slide's cells, sorted by place."""
    pairs = cells.pairs
    a, b, slide = pairs.a, pairs.b, path(key)
    partner, other = pairs.matching.of_first(len(a)), pairs.matching.of_second(len(b))
    of_a, of_b = _texts(a), _texts(b)
    places_a, places_b = boxes.centres(a.boxes), boxes.centres(b.boxes)
    distance = np.zeros(len(a))
    distance[pairs.matching.first] = pairs.matching.distances
    nothing = ("", "", "", "")
    for from_a, row in _in_order(places_a, places_b[other < 0], np.flatnonzero(other < 0)):
        x, y = (f"{value:.{PLACE_DIGITS}f}" for value in (places_a if from_a else places_b)[row].tolist())
        if from_a:
            mate = int(partner[row])
            first, second = of_a[row], of_b[mate] if mate >= 0 else nothing
            where, apart = (BOTH, f"{distance[row]:.{PLACE_DIGITS}f}") if mate >= 0 else (ONLY_A, "")
            left_out = ("", plain(pairs.left_out_by_b[row]))
            truth = cells.labels_a[row] or (cells.labels_b[mate] if mate >= 0 else "")
        else:
            first, second, where, apart = nothing, of_b[row], ONLY_B, ""
            left_out, truth = (plain(pairs.left_out_by_a[row]), ""), cells.labels_b[row]
        mixed = [each for both in zip(first[1:], second[1:], strict=True) for each in both]
        yield (slide, where, first[0], second[0], x, y, apart, *mixed, *left_out, plain(truth), "")


def _texts(cells: CellColumns) -> list[tuple[str, str, str, str]]:
    """Return id, class, blast and score of each cell as they are written."""
    names = [plain(name) for name in cells.names]
    called = [names[code] for code in cells.called.tolist()]
    flags = ["1" if flag else "0" for flag in cells.blast.tolist()]
    scores = [f"{score:.{SCORE_DIGITS}f}" for score in cells.scores.tolist()]
    return list(zip(cells.ids, called, flags, scores, strict=True))


def _in_order(a: NDArray[np.float64], b: NDArray[np.float64], rows_b: NDArray[np.intp]) -> Iterator[tuple[bool, int]]:
    """Yield every cell of A and those of B, by their tops, then their lefts: whether it is A's, and its row."""
    places = np.concatenate([a, b])
    rows = np.concatenate([np.arange(len(a)), rows_b])
    order = np.lexsort((places[:, 0], places[:, 1]))
    return zip((order < len(a)).tolist(), rows[order].tolist(), strict=True)
