"""Training: labelled cells and a recipe in, a model folder out.

card = train(samples, recipe, Path("model"), split=split_samples(samples, "subject", recipe.data.shares, seed=0))
card = cross_validate(samples, recipe, Path("model"), folds=5)      # every subject tested once, then a model of all
"""

from __future__ import annotations

from classifiers.training.cards import Scale, read_predictions
from classifiers.training.folds import cross_validate
from classifiers.training.model import train
from classifiers.training.progress import Epoch, Progress, TrainingDiverged, TrainingStopped

__all__ = ["Epoch", "Progress", "Scale", "TrainingDiverged", "TrainingStopped", "cross_validate", "read_predictions", "train"]
