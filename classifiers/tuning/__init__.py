"""Tuning: a recipe trained with many values, judged by its validation cells.

tuned = tune(samples, recipes.load("marrow-tuned"), Path("tuning"), split=split, refit=True)
tuned.recipe                # with the best values, also in tuning/best.toml
"""

from __future__ import annotations

from classifiers.tuning.course import TuningProgress
from classifiers.tuning.table import TrialRow
from classifiers.tuning.tuning import Tuned, tune

__all__ = ["TrialRow", "Tuned", "TuningProgress", "tune"]
