"""A model folder as a classifier, whichever kind it holds: one network, or several that are put together."""

from __future__ import annotations

from pathlib import Path

from classifiers.base import Classifier
from classifiers.card import ModelCard
from classifiers.folder import read_card

ENSEMBLE = "ensemble"  # the name of the "network" of a card whose folder holds members instead of weights


def open_model(folder: Path, device: str = "auto", batch_size: int | str = "auto", precision: str = "auto") -> Classifier:
    """Read a model folder; raises ClassifierError where weights or members are missing, altered or do not fit."""
    if is_ensemble(read_card(folder)):
        from classifiers.ensembles.classifier import EnsembleClassifier

        return EnsembleClassifier.load(folder, device, batch_size, precision)
    from classifiers.torch_classifier import TorchClassifier

    return TorchClassifier.load(folder, device, batch_size, precision)


def is_ensemble(card: ModelCard) -> bool:
    """Whether a card is that of several models put together."""
    return card.network.get("name") == ENSEMBLE
