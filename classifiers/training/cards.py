"""The model card of a trained network: calibrated on one part of the cells, measured on another, and saying which."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from classifiers import calibration
from classifiers.base import ClassifierError
from classifiers.card import ModelCard, SubjectCounts
from classifiers.datasets import Samples
from classifiers.evaluation.intervals import with_intervals
from classifiers.evaluation.records import Metric, Question
from classifiers.splits import PARTS, Split

LEAKY = "leaky: random split of cells"
LEAKY_OTHERWISE = "leaky: subjects on both sides of the split"
VERSIONS = ("numpy", "opencv-python-headless", "scikit-learn", "timm", "torch", "torchvision")
SAME_SCALE = 0.02  # share by which two scales of one set may differ
SCALE_ROWS = 200  # pictures that are opened to learn how large they are
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Scale:
    """What a crop covers; at most one is given. `mpp` is that of the pictures as they are published."""

    mpp: float | None = None
    crop_um: float | None = None
    crop_diameters: float | None = None

    def __post_init__(self) -> None:
        given = [value for value in (self.mpp, self.crop_um, self.crop_diameters) if value is not None]
        if len(given) > 1 or min(given, default=1.0) <= 0:
            raise ClassifierError("Give one of mpp, crop_um and crop_diameters, a number above 0.")

    def of(self, samples: Samples) -> tuple[float | None, float | None, str]:
        """Return crop_um, crop_diameters and a sentence that says where they come from."""
        if self.crop_um is not None:
            if samples.mpp is not None and abs(samples.mpp * picture_px(samples) / self.crop_um - 1) > SAME_SCALE:
                raise ClassifierError(
                    f"The pictures of {samples.name} cover {samples.mpp * picture_px(samples):.3g} um, not {self.crop_um:g}. "
                    "Leave crop_um out, or give another mpp."
                )
            return self.crop_um, None, f"A crop covers {self.crop_um:g} um, as was said."
        if self.crop_diameters is not None:
            return None, self.crop_diameters, f"A crop covers {self.crop_diameters:g} diameters of the box, as was said."
        side = picture_px(samples)
        mpp = self.mpp or samples.mpp
        if mpp is not None:
            source = "as was said" if self.mpp else "as the set says"
            return round(mpp * side, 4), None, f"A crop covers {mpp * side:.4g} um: {side:g} px of {mpp:g} um, {source}."
        if samples.cell_px is not None and len(samples.cell_px):
            diameters = round(side / float(np.median(samples.cell_px)), 4)
            return None, diameters, f"A crop covers {diameters:.3g} diameters of the box, as in the set: the median of its cells."
        return None, None, "The set says no scale: a crop is taken as pixels of the slide, whatever they measure."


def picture_px(samples: Samples) -> float:
    """Return the side of the square that a picture is fitted in, in its own pixels: the median over the set."""
    if samples.frame is not None:
        return float(samples.frame.px)
    if samples.boxes is not None:
        sides = samples.boxes[:, 2:] - samples.boxes[:, :2]
        return float(np.median(sides.max(axis=1)))
    rows = np.unique(np.linspace(0, len(samples) - 1, min(SCALE_ROWS, len(samples))).astype(int))
    return float(np.median([max(samples.read(int(row)).shape[:2]) for row in rows]))


@dataclass(frozen=True)
class Scored:
    """Cells that were not learnt from, with what the network says of them."""

    samples: Samples
    labels: NDArray[np.int64]  # of all samples, in the order of the network's outputs
    rows: NDArray[np.intp]  # of the samples, ascending
    logits: Floats  # of each row

    def of(self, rows: NDArray[np.intp]) -> Floats:
        """Return the logits of some of these rows."""
        return self.logits[np.searchsorted(self.rows, rows)]

    def judge(self, card: ModelCard, rows: NDArray[np.intp]) -> Judged:
        """Return what the card makes of the logits of some of these rows."""
        predicted = calibration.probabilities(self.of(rows), card.activation, card.temperature)
        return Judged(self.samples, self.labels, rows, predicted, call_blasts(card, predicted))


@dataclass(frozen=True)
class Judged:
    """Cells with their probabilities, and whether each was called blast."""

    samples: Samples
    labels: NDArray[np.int64]  # of all samples
    rows: NDArray[np.intp]
    predicted: Floats
    called: NDArray[np.bool_]

    @property
    def truth(self) -> NDArray[np.int64]:
        return self.labels[self.rows]

    @property
    def groups(self) -> list[str]:
        return [self.samples.groups[row] for row in self.rows]


def calibrate(card: ModelCard, split: Split, scored: Scored, rule: str) -> ModelCard:
    """Return the card with temperature, threshold, counts by subject and the numbers of its test.

    What is held back for neither is left to whoever asked for such a split.
    """
    fitted_on, rows = part_or_validation(split, "calibration")
    if len(rows):
        card = fit(card, scored.of(rows), scored.labels[rows], rule)
        said = {"on": fitted_on, "threshold_rule": rule, **sizes(scored.samples, rows)}
        card = replace(card, extra={**card.extra, "calibration": said})
    tested_on, tested = part_or_validation(split, "test")
    if not len(tested):
        return card
    judged = scored.judge(card, tested)
    card = replace(card, extra={**card.extra, "test": {"on": tested_on, **measure(card, judged)}})
    known = split.leaky or tested_on != "test"  # to the network: they say nothing of a subject it never saw
    return replace(card, subjects=() if known else count_subjects(card, judged))


def fit(card: ModelCard, logits: Floats, truth: NDArray[np.int64], rule: str) -> ModelCard:
    """Return the card with the temperature and the threshold that these cells ask for."""
    card = replace(card, temperature=calibration.temperature(logits, truth))
    scores = card.blast_probability(calibration.probabilities(logits, card.activation, card.temperature))
    is_blast, counted = roles_of(card, truth)
    return replace(card, threshold=calibration.threshold(scores[counted], is_blast[counted], rule))


def roles_of(card: ModelCard, truth: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which cells are blasts, and which count at all."""
    return np.isin(truth, card.columns("blast")), ~np.isin(truth, card.columns("excluded"))


def call_blasts(card: ModelCard, predicted: Floats) -> NDArray[np.bool_]:
    """Return which cells are called blast; one whose most probable class is excluded is not, as it is left out of a count."""
    excluded = np.isin(predicted.argmax(axis=1), card.columns("excluded"))
    called: NDArray[np.bool_] = (card.blast_probability(predicted) >= card.threshold) & ~excluded
    return called


def measure(card: ModelCard, judged: Judged) -> dict[str, Any]:
    """Return the few numbers that a card carries, each as {value, low, high}; `smearscan evaluate` has all.

    Accuracy, balanced accuracy and weighted F1 are of the most probable class, which for two classes is a threshold of 0.5, as
    papers have it; sensitivity and specificity of blasts are at the card's threshold. Intervals draw groups.
    """
    groups = np.unique(judged.groups, return_inverse=True)[1].astype(np.int64)
    classes = Question(
        name="classes",
        classes=card.classes,
        roles=tuple(card.roles[name] for name in card.classes),
        rule="the most probable class",
        rows=judged.rows,
        truth=judged.truth,
        called=judged.predicted.argmax(axis=1).astype(np.int64),
        scores=judged.predicted,
        groups=groups,
    )
    is_blast, counted = roles_of(card, judged.truth)
    scores = card.blast_probability(judged.predicted)[counted]
    blasts = Question(
        name="blast",
        classes=("other", "blast"),
        roles=("other", "blast"),
        rule="the card's threshold",
        rows=judged.rows[counted],
        truth=is_blast[counted].astype(np.int64),
        called=judged.called[counted].astype(np.int64),
        scores=np.stack([1 - scores, scores], axis=1),
        groups=groups[counted],
    )
    of_classes, of_blasts = (with_intervals(question)[0] for question in (classes, blasts))
    found = {name: of_classes[name] for name in ("accuracy", "balanced_accuracy", "weighted_f1")}
    found |= {"sensitivity": of_blasts["recall_blast"], "specificity": of_blasts["recall_other"]}
    found |= {name: of_blasts[name] for name in ("auc", "ece", "brier")}
    return {**sizes(judged.samples, judged.rows), **{name: _rounded(metric) for name, metric in found.items()}}


def _rounded(metric: Metric) -> dict[str, float | str | None]:
    ends = {name: None if value is None else round(value, 6) for name, value in vars(metric).items() if name != "note"}
    return {**ends, **({"note": metric.note} if metric.note else {})}


def count_subjects(card: ModelCard, judged: Judged) -> tuple[SubjectCounts, ...]:
    """Return how each subject's cells were called; identical pictures make one subject of two."""
    return calibration.subject_counts(judged.groups, [card.roles[card.classes[label]] for label in judged.truth], judged.called)


def part_or_validation(split: Split, part: str) -> tuple[str, NDArray[np.intp]]:
    """Return a part's name and rows; the validation cells where the split has no such part."""
    rows = split.rows(part)
    return (part, rows) if len(rows) else ("validation", split.rows("validation"))


def held_out(split: Split) -> NDArray[np.intp]:
    """Return the rows that are not learnt from, ascending."""
    return np.flatnonzero(split.parts != PARTS.index("train"))


def describe_split(samples: Samples, split: Split) -> dict[str, Any]:
    """Return what the card says of a split."""
    parts = {part: sizes(samples, split.rows(part)) for part in PARTS}
    return {"kind": split.kind, "leaky": split.leaky, "warning": leak_warning(split), "note": split.note, "parts": parts}


def leak_warning(split: Split) -> str:
    """Return what must stand wherever numbers of this split do; nothing where it is clean."""
    if not split.leaky:
        return ""
    return LEAKY if split.kind == "random" else LEAKY_OTHERWISE


def summarise(card: ModelCard, title: str) -> str:
    """Return the card's one line: what it is, what it rests on, and how it did, from what its `extra` holds."""
    split, test, trained = card.extra["split"], card.extra["test"], card.extra["split"]["parts"]["train"]
    accuracy = test["accuracy"]
    interval = "" if accuracy["low"] is None else f" ({accuracy['low']:.3f}-{accuracy['high']:.3f})"
    number = f"accuracy {accuracy['value']:.3f}{interval} on {test['cells']} {test['on']} cells"
    if split["leaky"]:
        number = f"{split['warning']}, so its numbers are those of subjects it knows: {number}"
    elif test["on"] == "validation":
        number = f"{number}, by which its weights were chosen"
    else:
        number = f"{number} of {test['groups']} subjects it had not seen"
    learnt = f"Trained on {trained['cells']} cells of {trained['groups']} subjects of {card.training_data}"
    return f"{title}. {learnt}; {number}. {card.extra['scale']}"


def sizes(samples: Samples, rows: NDArray[np.intp]) -> dict[str, int]:
    """Return how many cells these are, and of how many groups."""
    return {"cells": len(rows), "groups": len({samples.groups[row] for row in rows})}


def versions() -> dict[str, str]:
    """Return the versions of what the weights depend on."""
    return {name: version(name) for name in VERSIONS}


def write_predictions(path: Path, card: ModelCard, judged: Judged, parts: Sequence[str]) -> None:
    """Write one line for each cell: where it is from, its part (of `parts`, one for each sample), its class, the probabilities."""
    samples = judged.samples
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["row", "file", "subject", "group", "part", "label", *(f"p_{name}" for name in card.classes)])
        for row, label, probabilities in zip(judged.rows.tolist(), judged.truth, judged.predicted, strict=True):
            place = (row, samples.files[row], samples.subjects[row], samples.groups[row], parts[row], card.classes[label])
            writer.writerow([*place, *(f"{value:.9g}" for value in probabilities)])


def read_predictions(path: Path, classes: Sequence[str]) -> tuple[NDArray[np.intp], Floats]:
    """Return the rows and the probabilities that `write_predictions` wrote."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            lines = list(csv.DictReader(file))
        rows = np.array([int(line["row"]) for line in lines], np.intp)
        return rows, np.array([[float(line[f"p_{name}"]) for name in classes] for line in lines], np.float64).reshape(-1, len(classes))
    except (OSError, KeyError, ValueError) as error:
        raise ClassifierError(f"{path} does not hold the predictions of this model: {error}. Train it again.") from error
