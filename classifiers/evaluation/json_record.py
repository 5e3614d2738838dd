"""A report as one record of plain values, for programs and for the page; everything but the single cells, which tables hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from classifiers.base import NOTICE
from classifiers.evaluation.evaluating import accuracy_of_the_commonest
from classifiers.evaluation.galleries import Choice
from classifiers.evaluation.intervals import FEWEST_GROUPS
from classifiers.evaluation.plots import plots
from classifiers.evaluation.records import DIGITS, Answer, Metric, Question
from classifiers.evaluation.reliability import BINS
from classifiers.evaluation.report import Judged, Report
from classifiers.evaluation.tables import answers_of, blast_probabilities


def record(report: Report) -> dict[str, Any]:
    """Return everything but single cells as plain values, for JSON and for the page."""
    samples, options = report.samples, report.options
    counts = np.bincount(samples.labels, minlength=len(samples.classes)).tolist()
    return {
        "notice": NOTICE,
        "data": {
            "name": samples.name,
            "digest": report.digest or None,
            "licence": samples.licence,
            "citation": samples.citation,
            "cells_given": report.given,
            "cells": len(samples),
            "part": options.part,
            "groups": len(set(samples.groups)),
            "subjects": len(set(samples.subjects) - {""}),
            "unreadable": list(report.unreadable),
            "classes": [
                {"name": name, "role": samples.roles[name], "cells": count} for name, count in zip(samples.classes, counts, strict=True)
            ],
        },
        "settings": {
            "interval": f"95 %, percentiles of {options.draws} bootstrap draws of groups, seed {options.seed}",
            "fewest_groups": FEWEST_GROUPS,
            "ece": f"{BINS} bins of equal mass",
            "class_map": dict(options.class_map),
            "grouping": {name: list(members) for name, members in options.grouping.items()},
        },
        "models": [_model(each, report) for each in report.models],
        "errors": _errors(report),
        "plots": [
            {
                "files": plot.files,
                "kind": plot.kind,
                "model": plot.model,
                "question": plot.question,
                "text": plot.text,
                "size": list(plot.size),
            }
            for plot in plots(report)
        ],
    }


def _model(model: Judged, report: Report) -> dict[str, Any]:
    card, evaluation = model.card, model.evaluation
    return {
        "key": model.key,
        "name": card.name,
        "summary": card.summary,
        "sha256": card.sha256,
        "classes": list(card.classes),
        "roles": dict(card.roles),
        "positive_class": card.positive_class,
        "threshold": card.threshold,
        "training_data": card.training_data,
        "leak": {
            "known": model.leak.known,
            "leaky": model.leak.leaky,
            "same_data": model.leak.same_data,
            "trained": sum(model.leak.trained),
            "related": sum(model.leak.related),
            "chosen": sum(model.leak.chosen),
            "sentences": list(model.leak.sentences),
        },
        "matches": [asdict(each) for each in evaluation.matches],
        "notes": list(evaluation.notes),
        "answers": {name: _answer(answer) for name, answer in answers_of(model).items()},
        "subjects_known": evaluation.subjects_known,
        "subjects": [_plain(asdict(row) | {"others": row.others}) for row in evaluation.subjects],
        "spread": {name: _plain(asdict(each)) for name, each in evaluation.spread.items()},
        "sizes": None if evaluation.sizes is None else _plain(asdict(evaluation.sizes)),
        "heat_maps": model.heat_maps,
        "galleries": {name: _gallery(choice, evaluation.blast.question, report) for name, choice in model.choices.items()},
    }


def _answer(answer: Answer) -> dict[str, Any]:
    question = answer.question
    return {
        "rule": question.rule,
        "classes": list(question.classes),
        "roles": list(question.roles),
        "cells": len(question),
        "groups": len(set(question.groups.tolist())),
        "support": question.confusion.sum(axis=1).tolist(),
        "confusion": question.confusion.tolist(),
        "commonest": _rounded_value(accuracy_of_the_commonest(question)),
        "called_excluded": answer.called_excluded,
        "metrics": {name: _metric(metric) for name, metric in answer.metrics.items()},
        "bins": [_plain(asdict(each)) for each in answer.bins],
        "mean_probability": _rounded_value(float(question.scores[:, 1].mean())) if question.binary else None,
    }


def _gallery(choice: Choice, question: Question, report: Report) -> dict[str, Any]:
    def shown(places: Sequence[int]) -> list[dict[str, Any]]:
        rows = question.rows[list(places)].tolist()
        return [
            {
                "row": row,
                "file": report.samples.files[row],
                "subject": report.samples.subjects[row] or report.samples.groups[row],
                "class": report.samples.classes[report.samples.labels[row]],
                "p_blast": _rounded_value(float(question.scores[place, 1])),
            }
            for place, row in zip(places, rows, strict=True)
        ]

    return {"total": choice.total, "surest": shown(choice.surest.tolist()), "by_chance": shown(choice.by_chance.tolist())}


def _errors(report: Report) -> dict[str, Any] | None:
    found = report.errors
    if found is None:
        return None
    rows = found.rows[found.missed_by_all].tolist()
    blast = [blast_probabilities(each) for each in report.models]
    together = [report.samples.groups[row] for row in rows]
    subjects = sorted(set(together), key=lambda each: (-together.count(each), each))
    return {
        "question": found.question,
        "cells": found.cells,
        "missed_by": list(found.missed_by),
        "all_miss": dict(found.all_miss),
        "all_miss_groups": [{"group": each, "cells": together.count(each)} for each in subjects],
        "alone_right": dict(found.alone_right),
        "alone_wrong": dict(found.alone_wrong),
        "pairs": [asdict(pair) | {"difference": _metric(pair.difference)} for pair in found.pairs],
        "shown": [
            {
                "row": row,
                "file": report.samples.files[row],
                "subject": report.samples.subjects[row] or report.samples.groups[row],
                "class": report.samples.classes[report.samples.labels[row]],
                "p_blast": [float(values[row]) for values in blast],
            }
            for row in (picture.row for picture in report.missed)
        ],
    }


def _rounded_value(value: float) -> float:
    return round(value, DIGITS)


def _metric(metric: Metric) -> Mapping[str, Any]:
    return _plain(asdict(metric))


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record with its numbers rounded as in all files."""
    return {
        name: _plain(value) if isinstance(value, dict) else round(value, DIGITS) if isinstance(value, float) else value
        for name, value in values.items()
    }
