"""Several models as one classifier: the weighted mean of their calibrated probabilities, calibrated once more."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from classifiers.base import Classifier, ClassifierError, Compute, Predictions
from classifiers.calibration import probabilities
from classifiers.card import ModelCard
from classifiers.ensembles.folder import read_ensemble
from classifiers.ensembles.mixing import Floats, check_weights, logits, mix
from classifiers.opening import open_model


class EnsembleClassifier(Classifier):
    """Scores crops with every member that has weight. A row's bits depend on the rows beside it no more than the members' do."""

    def __init__(self, card: ModelCard, members: Sequence[Classifier], weights: Sequence[float] | Floats) -> None:
        self.card = card
        self.members = tuple(members)
        self.weights = check_weights(list(weights), len(self.members))
        self._columns = [columns_of(member.card, card.classes) for member in self.members]
        first = self.members[0].compute
        events = [f"{member.card.name}: {event}" for member in self.members for event in member.compute.events]
        self.compute = Compute(first.device, first.precision, max(member.compute.batch_size for member in self.members), events)

    @classmethod
    def load(cls, folder: Path, device: str = "auto", batch_size: int | str = "auto", precision: str = "auto") -> Self:
        """Read an ensemble's folder; raises ClassifierError where a member is missing or altered."""
        found = read_ensemble(folder)
        return cls(found.card, [open_model(each, device, batch_size, precision) for each in found.members], found.weights)

    def predict(self, crops: NDArray[np.uint8]) -> Predictions:
        mixed = mix(self.member_probabilities(crops), self.weights)
        calibrated = probabilities(logits(mixed), "softmax", self.card.temperature)
        return Predictions(calibrated.astype(np.float32), self.card.classes)

    def member_probabilities(self, crops: NDArray[np.uint8]) -> list[NDArray[np.float32]]:
        """Return what each member says of `crops`, with its columns in the ensemble's order; zeros of one without weight."""
        self._check(crops)
        said = []
        for member, columns, weight in zip(self.members, self._columns, self.weights, strict=True):
            if weight == 0:
                said.append(np.zeros((len(crops), len(self.card.classes)), np.float32))
                continue
            before = len(member.compute.events)
            said.append(member.predict(resize(crops, member.card.crop_px)).probabilities[:, columns])
            self.compute.events += [f"{member.card.name}: {event}" for event in member.compute.events[before:]]
        self.compute.batch_size = max(member.compute.batch_size for member in self.members)
        return said

    def _check(self, crops: NDArray[np.uint8]) -> None:
        px = self.card.crop_px
        if crops.dtype != np.uint8 or crops.ndim != 4 or crops.shape[1:] != (px, px, 3):
            raise ClassifierError(
                f"{self.card.name!r} takes crops of shape (n, {px}, {px}, 3) and type uint8; these are {crops.shape} and {crops.dtype}."
            )


def columns_of(card: ModelCard, classes: Sequence[str]) -> list[int]:
    """Return the column of each of `classes` in a member's probabilities."""
    if set(card.classes) != set(classes):
        raise ClassifierError(f"{card.name!r} has the classes {', '.join(card.classes)}, the ensemble {', '.join(classes)}.")
    return [card.classes.index(name) for name in classes]


def resize(crops: NDArray[np.uint8], px: int) -> NDArray[np.uint8]:
    """Return the same fields at a member's size, crop by crop."""
    if crops.shape[1] == px:
        return crops
    method = cv2.INTER_AREA if px < crops.shape[1] else cv2.INTER_CUBIC
    resized = np.empty((len(crops), px, px, 3), np.uint8)
    for row, crop in enumerate(crops):
        resized[row] = cv2.resize(crop, (px, px), interpolation=method)
    return resized
