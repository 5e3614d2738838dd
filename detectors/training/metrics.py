"""How good are boxes? Average precision, recall at a precision, miss rate, by size of the cell; plain numpy.

A detection hits a true cell when their IoU reaches a limit; detections are taken from the surest to the least sure, each takes
the free cell that it overlaps most, and each cell is hit once (as in PASCAL VOC and COCO).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.boxes import Boxes, as_boxes, diameters, iou

USUAL_IOU = 0.5
STRICT_IOUS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
RECALL_STEPS = np.linspace(0.0, 1.0, 101)
FALSE_ALARMS_PER_PICTURE = np.logspace(-2.0, 0.0, 9)

HIT, FALSE, ASIDE = 1, 0, -1  # aside: neither right nor wrong


@dataclass(frozen=True)
class Seen:
    """One picture: where its cells are, and what was found."""

    truth: Boxes
    boxes: Boxes
    scores: NDArray[np.float64]


@dataclass(frozen=True)
class Matched:
    """All detections of many pictures, the surest first, and whether each was right."""

    scores: NDArray[np.float64]
    hits: NDArray[np.bool_]
    cells: int
    pictures: int

    def __post_init__(self) -> None:
        assert (np.diff(self.scores) <= 0).all()

    @property
    def recalls(self) -> NDArray[np.float64]:
        """Return the recall if the list were cut after each detection."""
        return np.asarray(np.cumsum(self.hits) / max(self.cells, 1), np.float64)

    @property
    def precisions(self) -> NDArray[np.float64]:
        return np.asarray(np.cumsum(self.hits) / np.arange(1, len(self.hits) + 1), np.float64)


@dataclass(frozen=True)
class AtConfidence:
    """What comes of keeping detections that are at least so sure."""

    confidence: float
    precision: float
    recall: float
    f1: float


def match(seen: Sequence[Seen], limit: float = USUAL_IOU, across: tuple[float, float] | None = None) -> Matched:
    """Return which detections hit a cell. `across` looks at cells from so many pixels wide (to below so many) alone.

    Cells of other sizes are then neither asked for nor false alarms where hit; a false alarm counts if it is of that size itself.
    """
    scores, verdicts, cells = [], [], 0
    for picture in seen:
        truth, boxes = as_boxes(picture.truth), as_boxes(picture.boxes)
        asked, sized = _within(truth, across), _within(boxes, across)
        order = np.argsort(-picture.scores, kind="stable")
        verdict = _verdicts(iou(boxes[order], truth), asked, limit)
        verdict[(verdict == FALSE) & ~sized[order]] = ASIDE
        scores.append(picture.scores[order])
        verdicts.append(verdict)
        cells += int(asked.sum())
    all_scores = np.concatenate(scores) if scores else np.zeros(0)
    told = np.concatenate(verdicts) if verdicts else np.zeros(0, np.int8)
    order = np.argsort(-all_scores[told != ASIDE], kind="stable")
    return Matched(all_scores[told != ASIDE][order], (told[told != ASIDE] == HIT)[order], cells, len(seen))


def _within(boxes: Boxes, across: tuple[float, float] | None) -> NDArray[np.bool_]:
    if across is None:
        return np.ones(len(boxes), np.bool_)
    wide = diameters(boxes)
    return np.asarray((wide >= across[0]) & (wide < across[1]), np.bool_)


def _verdicts(overlap: NDArray[np.float64], asked: NDArray[np.bool_], limit: float) -> NDArray[np.int8]:
    """Judge the detections of one picture, surest first: a cell that is asked for is taken before one that is not."""
    verdicts = np.full(len(overlap), FALSE, np.int8)
    free = np.ones(overlap.shape[1], np.bool_)
    for row, shares in enumerate(overlap):
        for wanted, verdict in ((asked, HIT), (~asked, ASIDE)):
            candidates = np.where(free & wanted & (shares >= limit), shares, -1.0)
            if len(candidates) and candidates.max() >= 0:
                free[int(candidates.argmax())] = False
                verdicts[row] = verdict
                break
    return verdicts


def average_precision(matched: Matched) -> float:
    """Return the mean over 101 recalls (0, 0.01 .. 1) of the best precision at that recall or a higher one, as COCO does."""
    if not matched.cells:
        return float("nan")
    best = np.maximum.accumulate(matched.precisions[::-1])[::-1]
    place = np.searchsorted(matched.recalls, RECALL_STEPS - 1e-12, side="left")
    reached = np.append(best, 0.0)[np.minimum(place, len(best))]
    return float(reached.mean())


def recall_at_precision(matched: Matched, precision: float = 0.95) -> float:
    """Return the highest recall that any confidence reaches with at least this precision; 0 where none does."""
    kept = matched.recalls[_ends(matched) & (matched.precisions >= precision)]
    return float(kept.max(initial=0.0)) if matched.cells else float("nan")


def log_average_miss_rate(matched: Matched) -> float:
    """Return the geometric mean of the miss rate at nine numbers of false alarms a picture, from 0.01 to 1 in even logarithmic steps.

    The miss rate is 1 - recall with as many false alarms as are allowed; where even the surest detections make more than that,
    it is 1. It is held to at least 1e-4, so that a perfect detector has a logarithm (Dollar et al., PAMI 2012).
    """
    if not matched.cells or not matched.pictures:
        return float("nan")
    alarms = np.cumsum(~matched.hits) / matched.pictures
    ends = _ends(matched)
    missed = [1.0 - matched.recalls[ends & (alarms <= allowed + 1e-12)].max(initial=0.0) for allowed in FALSE_ALARMS_PER_PICTURE]
    return float(np.exp(np.log(np.maximum(missed, 1e-4)).mean()))


def at_confidence(matched: Matched, confidence: float) -> AtConfidence:
    """Return precision, recall and F1 of the detections that are at least so sure; precision is 1 where there is none."""
    kept = matched.scores >= confidence
    hits = int(matched.hits[kept].sum())
    precision = hits / int(kept.sum()) if kept.any() else 1.0
    recall = hits / matched.cells if matched.cells else float("nan")
    f1 = 2 * hits / (int(kept.sum()) + matched.cells) if matched.cells else float("nan")
    return AtConfidence(confidence, precision, recall, f1)


def best_confidence(matched: Matched) -> float:
    """Return the confidence with the highest F1.

    It lies midway between the last detection that is kept and the first that is not.
    """
    if not matched.cells or not matched.hits.any():
        return 0.25
    f1 = 2 * np.cumsum(matched.hits) / (np.arange(1, len(matched.hits) + 1) + matched.cells)
    f1[~_ends(matched)] = -1.0
    last = int(np.flatnonzero(f1 == f1.max())[-1])
    following = float(matched.scores[last + 1]) if last + 1 < len(matched.scores) else 0.0
    return round(float(np.clip((matched.scores[last] + following) / 2, 0.01, 0.99)), 3)


def _ends(matched: Matched) -> NDArray[np.bool_]:
    """Mark the last of each run of equal scores: a confidence keeps all of them or none."""
    return np.append(np.diff(matched.scores) < 0, True)[: len(matched.scores)]


def mean_average_precisions(seen: Sequence[Seen], across: tuple[float, float] | None = None) -> tuple[float, float]:
    """Return mAP50 and mAP50-95; with one class of cells these are its average precisions."""
    found = [average_precision(match(seen, limit, across)) for limit in STRICT_IOUS]
    return found[0], float(np.mean(found))


def summarise(seen: Sequence[Seen], confidence: float, across: tuple[float, float] | None = None) -> dict[str, float | int | None]:
    """Return every figure at once, by the names they have in `metrics.json`; None where there is no cell to find."""
    usual = match(seen, USUAL_IOU, across)
    chosen = at_confidence(usual, confidence)
    map50, strict = mean_average_precisions(seen, across)
    figures = {
        "map50": map50,
        "map50_95": strict,
        "recall_at_precision_95": recall_at_precision(usual, 0.95),
        "log_average_miss_rate": log_average_miss_rate(usual),
        "precision": chosen.precision,
        "recall": chosen.recall,
        "f1": chosen.f1,
    }
    told = {name: None if np.isnan(value) else round(value, 4) for name, value in figures.items()}
    return {"pictures": usual.pictures, "cells": usual.cells, **told}
