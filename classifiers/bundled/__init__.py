"""The classifiers that ship: a folder each, with card and weights, and here a function each that loads it."""

from __future__ import annotations

from pathlib import Path

from classifiers.base import Classifier

HERE = Path(__file__).parent


def drawn_cells(device: str = "auto", batch_size: int | str = "auto", precision: str = "auto") -> Classifier:
    """Return the classifier for drawn smears: for the demo and the tests, means nothing on real slides."""
    from classifiers.torch_classifier import TorchClassifier

    return TorchClassifier.load(HERE / "drawn-cells", device=device, batch_size=batch_size, precision=precision)
