"""A report as tables of plain values, so that others can recompute every number of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from classifiers.evaluation.metrics import class_names, overall_names
from classifiers.evaluation.records import DIGITS, Answer, Floats, Metric
from classifiers.evaluation.report import Judged, Report

Value = str | int | float | bool | None


@dataclass(frozen=True)
class Table:
    """Columns by name and rows of values; None is a missing one."""

    columns: tuple[str, ...]
    rows: Sequence[Sequence[Value]]


def tables(report: Report) -> dict[str, Table]:
    """Return every table by the name of its file."""
    return {
        "metrics.csv": metrics_table(report),
        "subjects.csv": subjects_table(report),
        "confusion.csv": confusion_table(report),
        "predictions.csv": predictions_table(report),
        "errors.csv": errors_table(report),
    }


def answers_of(model: Judged) -> dict[str, Answer]:
    """Return what a model answered, by question; a grouping is a question of its own."""
    found = {"blast": model.evaluation.blast}
    if model.evaluation.classes is not None:
        found["classes"] = model.evaluation.classes
    return {**found, **{f"grouped: {name}": answer for name, answer in model.evaluation.grouped.items()}}


def metrics_table(report: Report) -> Table:
    """One row a number: model, question, metric, class, value and 95 % interval."""
    rows = [
        (model.key, name, kind, label, metric.value, metric.low, metric.high, metric.note)
        for model in report.models
        for name, answer in answers_of(model).items()
        for kind, label, metric in _metrics(answer)
    ]
    return Table(("model", "question", "metric", "class", "value", "low", "high", "note"), rows)


def subjects_table(report: Report) -> Table:
    """One row a model and subject."""
    # fmt: off
    columns = (
        "model", "group", "subjects", "cells", "blasts", "blasts_called", "sensitivity", "sensitivity_low", "sensitivity_high",
        "others", "others_called", "specificity", "specificity_low", "specificity_high", "auc", "mean_probability", "brier", "ece",
    )
    # fmt: on
    rows = [
        (
            *(model.key, row.group, " ".join(row.subjects), row.cells),
            *(row.blasts, row.blasts_called, row.sensitivity.value, row.sensitivity.low, row.sensitivity.high),
            *(row.others, row.others_called, row.specificity.value, row.specificity.low, row.specificity.high),
            *(row.auc, row.mean_probability, row.brier, row.ece),
        )
        for model in report.models
        for row in model.evaluation.subjects
    ]
    return Table(columns, rows)


def confusion_table(report: Report) -> Table:
    """One row a field of a confusion matrix: the cells, and their share of the true class."""
    rows = [
        (model.key, name, true, called, int(count), int(count) / int(counts.sum()) if counts.sum() else None)
        for model in report.models
        for name, answer in answers_of(model).items()
        for true, counts in zip(answer.question.classes, answer.question.confusion, strict=True)
        for called, count in zip(answer.question.classes, counts, strict=True)
    ]
    return Table(("model", "question", "is", "called", "cells", "share"), rows)


def predictions_table(report: Report) -> Table:
    """One row a model and cell: what it is, what the model saw of it in training, and what it said."""
    classes = tuple(dict.fromkeys(name for model in report.models for name in model.card.classes))
    columns = (*_cell_columns(report), "model", "role", "training_part", "blast_probability", "called_blast", "called_class")
    rows = [(*cell, *said) for model in report.models for cell, said in zip(_cells(report), _said(model, report, classes), strict=True)]
    return Table((*columns, *(f"p_{name}" for name in classes)), rows)


def errors_table(report: Report) -> Table:
    """One row a cell that at least one model gets wrong, in the question that the models are compared by."""
    answers = [_compared(model, report) for model in report.models]
    wrong = np.zeros((len(answers), len(report.samples)), np.bool_)
    called: list[dict[int, str]] = []
    for index, question in enumerate(answer.question for answer in answers):
        wrong[index, question.rows] = question.called != question.truth
        called.append({row: question.classes[each] for row, each in zip(question.rows.tolist(), question.called.tolist(), strict=True)})
    blast = [blast_probabilities(model) for model in report.models]
    missed = wrong.sum(axis=0)
    rows = []
    for row, cell in enumerate(_cells(report)):
        if missed[row]:
            said = [value for index in range(len(answers)) for value in (called[index].get(row), float(blast[index][row]))]
            rows.append((*cell, int(missed[row]), len(answers), *said))
    said_columns = (f"{kind}_{model.key}" for model in report.models for kind in ("called", "blast_probability"))
    return Table((*_cell_columns(report), "missed_by", "models", *said_columns), rows)


def _compared(model: Judged, report: Report) -> Answer:
    """Return the answer to the question that models are compared by; of one model that of classes, where it has one."""
    by_classes = report.errors is None or report.errors.question == "classes"
    return model.evaluation.classes if by_classes and model.evaluation.classes else model.evaluation.blast


def _metrics(answer: Answer) -> Iterator[tuple[str, str, Metric]]:
    for name in overall_names(answer.question):
        yield name, "", answer.metrics[name]
    for label in answer.question.classes:
        for kind in class_names(answer.question):
            yield kind, label, answer.metrics[f"{kind}_{label}"]


def _cell_columns(report: Report) -> tuple[str, ...]:
    boxes = ("left", "top", "right", "bottom") if report.samples.boxes is not None else ()
    return ("file", *boxes, "label", "subject", "group")


def _cells(report: Report) -> Iterator[tuple[Value, ...]]:
    samples = report.samples
    for row, file in enumerate(samples.files):
        box = () if samples.boxes is None else tuple(samples.boxes[row].tolist())
        yield (file, *box, samples.classes[samples.labels[row]], samples.subjects[row], samples.groups[row])


def _said(model: Judged, report: Report, classes: Sequence[str]) -> Iterator[tuple[Value, ...]]:
    probabilities = rounded_probabilities(model)
    blast = blast_probabilities(model)
    question = model.evaluation.blast.question
    called = dict(zip(question.rows.tolist(), question.called.tolist(), strict=True))
    column = {name: index for index, name in enumerate(model.card.classes)}
    roles = [each.role for each in model.evaluation.matches]
    for row, values in enumerate(probabilities):
        answer = called.get(row)
        # Of two classes the threshold decides; of more the greatest probability.
        top = question.classes[answer] if len(column) == 2 and answer is not None else model.card.classes[int(values.argmax())]
        given = tuple(float(values[column[name]]) if name in column else None for name in classes)
        role, part = roles[report.samples.labels[row]], _training_part(model, row)
        yield (model.key, role, part, float(blast[row]), None if answer is None else bool(answer), top, *given)


def _training_part(model: Judged, row: int) -> str:
    """Return what the model saw of a cell when it was trained; "" where nothing, "unknown" where its folder does not say."""
    leak = model.leak
    if not leak.known:
        return "unknown"
    return "train" if leak.trained[row] else "selection" if leak.chosen[row] else "its subject" if leak.related[row] else ""


def rounded_probabilities(model: Judged) -> Floats:
    """Return a model's probabilities as the files carry them."""
    return np.asarray(model.predictions.probabilities, np.float64).round(DIGITS)


def blast_probabilities(model: Judged) -> Floats:
    """Return P(blast) of every cell as the files carry it."""
    return model.card.blast_probability(rounded_probabilities(model)).round(DIGITS)
