"""What is this cell? Crops in, probabilities out; knows nothing of slides or of smearscan."""

from classifiers.base import Classifier, ClassifierError, Compute, Explainer, Predictions
from classifiers.card import ModelCard, SubjectCounts

__all__ = ["Classifier", "ClassifierError", "Compute", "Explainer", "ModelCard", "Predictions", "SubjectCounts"]
