"""How good is a model, on which cells, and what does it get wrong?

    predictions = predict_samples(classifier, samples)
    found = evaluate(classifier.card, predictions, samples)
    found.value("balanced_accuracy"), found.spread["specificity"].worst_group

What a run of `smearscan evaluate` does with several models is `report.compare_models`; `report.write` puts it into a folder.
"""

from __future__ import annotations

from classifiers.evaluation.errors import ErrorAnalysis, analyse_errors
from classifiers.evaluation.evaluating import evaluate
from classifiers.evaluation.predicting import Scored, predict_samples, score_samples
from classifiers.evaluation.records import Answer, Evaluation, EvaluationError, Metric, Question, SubjectRow

__all__ = [
    "Answer",
    "ErrorAnalysis",
    "Evaluation",
    "EvaluationError",
    "Metric",
    "Question",
    "Scored",
    "SubjectRow",
    "analyse_errors",
    "evaluate",
    "predict_samples",
    "score_samples",
]
