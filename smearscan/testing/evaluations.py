"""Sets of made-up cells and of what models said of them, small enough to count by hand: for tests of evaluations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from classifiers.base import Classifier, Compute, Predictions
from classifiers.card import ModelCard, Role
from classifiers.datasets.base import Samples

TWO: Mapping[str, Role] = {"normal": "other", "blast": "blast"}
FOUR: Mapping[str, Role] = {"NGB": "other", "NGS": "other", "BLA": "blast", "ART": "excluded"}


def make_card(roles: Mapping[str, Role] = TWO, threshold: float = 0.5, name: str = "made up") -> ModelCard:
    """Return a card of a model that was never trained."""
    return ModelCard(
        name=name,
        summary="for tests",
        classes=tuple(roles),
        roles=roles,
        positive_class=next(each for each, role in roles.items() if role == "blast"),
        activation="softmax",
        network={"name": "none"},
        crop_px=16,
        threshold=threshold,
    )


def make_samples(
    labels: Sequence[int], groups: Sequence[str] | None = None, roles: Mapping[str, Role] = TWO, root: Path = Path("nowhere")
) -> Samples:
    """Return labelled cells; without groups the data names no subjects."""
    files = tuple(f"{row}.png" for row in range(len(labels)))
    return Samples(
        name="made up",
        root=root,
        classes=tuple(roles),
        roles=roles,
        positive_class=next(each for each, role in roles.items() if role == "blast"),
        files=files,
        labels=np.asarray(labels, np.int64),
        subjects=tuple(groups) if groups else ("",) * len(labels),
        groups=tuple(groups) if groups else files,
        parts=("",) * len(labels),
    )


def make_predictions(blast: Sequence[float] | NDArray[np.float64]) -> Predictions:
    """Return what a model of two classes said: P(blast) of each cell."""
    chances = np.asarray(blast, np.float64)
    return Predictions(np.stack([1 - chances, chances], axis=1).astype(np.float32), tuple(TWO))


class Redness(Classifier):
    """P(blast) is how red a crop is; counts what it is given."""

    def __init__(self, card: ModelCard | None = None, batch_size: int = 4) -> None:
        self.card = card or make_card()
        self.compute = Compute("cpu", "fp32", batch_size)
        self.given: list[int] = []

    def predict(self, crops: NDArray[np.uint8]) -> Predictions:
        self.given.append(len(crops))
        chances = crops[:, :, :, 0].mean(axis=(1, 2)) / 255
        return Predictions(np.stack([1 - chances, chances], axis=1).astype(np.float32), self.card.classes)


def drawn_set(cells: int = 600, groups: int = 12, seed: int = 0) -> tuple[Samples, Predictions]:
    """Return cells of subjects that differ, and what a fair model said of them."""
    rng = np.random.default_rng(seed)
    of = rng.integers(groups, size=cells)
    labels = (rng.random(cells) < np.where(of % 2, 0.8, 0.3)).astype(int)
    leaning = rng.normal(0, 0.8, groups)[of]
    chances = 1 / (1 + np.exp(-(2.4 * labels - 1.2 + leaning + rng.normal(0, 1, cells))))
    return make_samples(labels.tolist(), [f"S{each}" for each in of]), make_predictions(chances)
