"""What a trial is judged by: one number of the validation cells, from what training wrote of them."""

from __future__ import annotations

import csv
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import numpy as np

from classifiers.base import ClassifierError
from classifiers.card import ModelCard
from classifiers.evaluation.metrics import measure
from classifiers.evaluation.records import Question
from classifiers.recipes import RecipeError
from classifiers.training import Epoch

Direction = Literal["maximize", "minimize"]
METRICS: MappingProxyType[str, Direction] = MappingProxyType(  # names of classifiers.evaluation, over all classes
    {
        "accuracy": "maximize",
        "balanced_accuracy": "maximize",
        "macro_f1": "maximize",
        "weighted_f1": "maximize",
        "auc": "maximize",
        "brier": "minimize",
        "nll": "minimize",
    }
)


def direction_of(metric: str) -> Direction:
    """Return whether more or less is better; refuses a metric that is not known."""
    if metric not in METRICS:
        raise RecipeError(f"[tuning] metric = {metric!r} is not known. Known: {', '.join(METRICS)}.")
    return METRICS[metric]


def judge(metric: str, card: ModelCard, predictions: Path) -> float:
    """Return a trained model's metric on its validation cells."""
    with predictions.open(newline="", encoding="utf-8") as file:
        lines = [line for line in csv.DictReader(file) if line["part"] == "validation"]
    labels = np.array([card.classes.index(line["label"]) for line in lines], np.int64)
    predicted = np.array([[float(line[f"p_{name}"]) for name in card.classes] for line in lines], np.float64)
    question = Question(
        name="classes",
        classes=card.classes,
        roles=tuple(card.roles[name] for name in card.classes),
        rule="the most probable class",
        rows=np.arange(len(labels)),
        truth=labels,
        called=predicted.argmax(axis=1).astype(np.int64),
        scores=predicted,
        groups=np.zeros(len(labels), np.int64),
    )
    value = measure(question)[metric]
    if not np.isfinite(value):
        raise ClassifierError(f"The validation cells have no {metric}: they lack cells of a class. Take another split or metric.")
    return value


def halfway(metric: str, epoch: Epoch) -> float:
    """Return the number after an epoch that tells best whether a trial is worth going on with, better in the metric's direction."""
    assert epoch.validation_accuracy is not None and epoch.validation_loss is not None, "every trial has validation cells"
    return epoch.validation_accuracy if METRICS[metric] == "maximize" else epoch.validation_loss
