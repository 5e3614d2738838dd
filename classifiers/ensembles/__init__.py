"""Ensembles: several trained models as one classifier, each with its weight.

card = combine([Path("a"), Path("b"), Path("c")], Path("together"), method="genetic")
card = train_ensemble(samples, recipes.load("ens-average"), Path("together"), split=split)

The folder opens as any other, through `classifiers.opening.open_model`. Weights are chosen on the members' common validation
cells: equal ones, by a genetic algorithm, or by a search with Optuna.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from classifiers.ensembles.classifier import EnsembleClassifier
    from classifiers.ensembles.combining import combine
    from classifiers.ensembles.recipe_training import train_ensemble

__all__ = ["EnsembleClassifier", "combine", "train_ensemble"]


def __getattr__(name: str) -> Any:
    """Load what is asked for: to open an ensemble, nothing that trains is needed."""
    match name:
        case "EnsembleClassifier":
            from classifiers.ensembles.classifier import EnsembleClassifier

            return EnsembleClassifier
        case "combine":
            from classifiers.ensembles.combining import combine

            return combine
        case "train_ensemble":
            from classifiers.ensembles.recipe_training import train_ensemble

            return train_ensemble
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
