"""The page of an evaluation: how good each model is, for whom not, and which cells it gets wrong."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from smearscan.percentages import percent
from smearscan.reports.evaluation_files import MISSED, crop_file, heat_file
from smearscan.reports.pages.templating import render

FILES: Final = {
    "evaluation.json": "everything on this page, for programs",
    "metrics.csv": "every number with its interval",
    "subjects.csv": "every subject",
    "confusion.csv": "what the cells of each class were called",
    "predictions.csv": "what was said of each cell, to recompute the rest from",
    "errors.csv": "every cell that at least one model gets wrong",
}
LABELS: Final = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "macro_precision": "Precision, mean of the classes",
    "weighted_precision": "Precision, weighted by cells",
    "macro_f1": "F1, mean of the classes",
    "weighted_f1": "F1, weighted by cells",
    "auc": "Area under the ROC curve (AUC)",
    "weighted_auc": "AUC, weighted by cells",
    "average_precision": "Average precision",
    "ece": "Calibration error (ECE)",
    "brier": "Brier score",
    "nll": "Negative log-likelihood",
}
KINDS: Final = {"precision": "Precision", "recall": "Recall", "specificity": "Specificity", "f1": "F1", "auc": "AUC"}
SHARES: Final = {
    "accuracy",
    "balanced_accuracy",
    "macro_precision",
    "weighted_precision",
    "precision",
    "recall",
    "specificity",
}  # in percent
COMPARED: Final = ("recall", "specificity", "balanced_accuracy", "auc", "weighted_f1", "ece", "brier")
OUTCOMES: Final = {  # pairs that are looked at side by side
    "TP": "called blast (true positives)",
    "FN": "missed (false negatives)",
    "TN": "not called blast (true negatives)",
    "FP": "called blast (false positives)",
}
HOW: Final = {"given": "as --map says", "name": "by its name", "role": "by its role", "unknown": "not known to the model"}
SPREADS: Final = {"sensitivity": "Sensitivity", "specificity": "Specificity", "brier": "Brier score", "ece": "Calibration error"}


def evaluation_page(record: Mapping[str, Any]) -> str:
    """Return index.html of an evaluation from its record, as evaluation.json holds it."""
    models = record["models"]
    return render(
        "evaluation.html.j2",
        "evaluation.js",
        {},
        more_style="evaluation.css",
        record=record,
        models=models,
        single=len(models) == 1,
        title=models[0]["name"] if len(models) == 1 else f"{len(models)} models",
        plots={(plot["model"], plot["kind"], plot["question"]): plot for plot in record["plots"]},
        files=FILES,
        labels=LABELS,
        kinds=KINDS,
        compared=COMPARED,
        outcomes=OUTCOMES,
        how=HOW,
        spreads=SPREADS,
        heat_maps=any(model["heat_maps"] for model in models),
        number=number,
        ends=ends,
        counted=counted,
        blast_metric=blast_metric,
        signed=signed,
        crop_file=crop_file,
        heat_file=heat_file,
        missed=MISSED,
    )


def number(name: str, value: float | None) -> str:
    """Write the value of a metric: shares of cells in percent, everything else with three digits."""
    if value is None:
        return ""
    return f"{_percent(value)} %" if _kind(name) in SHARES else f"{value:.3f}"


def ends(name: str, metric: Mapping[str, Any]) -> str:
    """Write the interval of a metric, "" where it has none."""
    if metric["low"] is None:
        return ""
    if _kind(name) in SHARES:
        return f"{_percent(metric['low'])}-{_percent(metric['high'])} %"
    return f"{metric['low']:.3f}-{metric['high']:.3f}"


def signed(value: float) -> str:
    """Write a difference of two shares in points of percent."""
    return f"{100 * value:+.1f}"


def counted(name: str, answer: Mapping[str, Any]) -> str:
    """Write what a share is a share of: "812 of 900 cells"; "" for numbers that are no share of cells."""
    confusion, classes = answer["confusion"], answer["classes"]
    right = [row[index] for index, row in enumerate(confusion)]
    cells = sum(map(sum, confusion))
    if name == "accuracy":
        return f"{sum(right):,} of {cells:,} cells"
    kind, _, label = name.partition("_")
    if label not in classes or kind not in {"precision", "recall", "specificity"}:
        return ""
    index = classes.index(label)
    called, held = sum(row[index] for row in confusion), sum(confusion[index])
    part, whole = {
        "recall": (right[index], held),
        "precision": (right[index], called),
        "specificity": (cells - held - (called - right[index]), cells - held),
    }[kind]
    return f"{part:,} of {whole:,}"


def blast_metric(name: str, answer: Mapping[str, Any]) -> str:
    """Return how a metric of the blast question is called in its record: its recall is that of blasts."""
    return f"{name}_{answer['classes'][1]}" if name in KINDS and name != "auc" else name


def _percent(share: float) -> str:
    """Write a share in percent, and no certainty that comes of rounding: near 100 as many digits as near 0."""
    return f"{100 - float(percent(1 - share)):g}" if 0.995 <= share < 1 else percent(share)


def _kind(name: str) -> str:
    """Return a metric's name without the class that it is about."""
    if name in LABELS:
        return name
    return next((kind for kind in KINDS if name == kind or name.startswith(f"{kind}_")), name)
