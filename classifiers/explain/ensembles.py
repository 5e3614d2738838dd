"""Where an ensemble looked: the mean of its members' class activation maps, each with its member's weight.

LIME and SHAP ask a classifier only for scores, so they explain an ensemble as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from classifiers.base import ClassifierError, Explainer
from classifiers.ensembles.classifier import EnsembleClassifier, resize


class EnsembleExplainer(Explainer):
    """Asks the explainer of every member that has weight. Each member's map is relative to itself before it is weighed."""

    def __init__(self, classifier: EnsembleClassifier, build: Callable[..., Explainer], **options: Any) -> None:
        """`build` makes the explainer of one member, given as `classifier`, with `options`."""
        if options.get("layer") is not None:
            raise ClassifierError(
                f"{classifier.card.name!r} is an ensemble, and {options['layer']!r} is a layer of one network. Name none."
            )
        weighed = [pair for pair in zip(classifier.members, classifier.weights, strict=True) if pair[1] > 0]
        self._px = classifier.card.crop_px
        self._members = [(build(classifier=member, **options), member.card.crop_px, float(weight)) for member, weight in weighed]

    def explain(self, crops: NDArray[np.uint8], class_name: str, show: Callable[[int], None] | None = None) -> NDArray[np.float32]:
        mean = np.zeros(crops.shape[:3], np.float32)
        for number, (explainer, px, weight) in enumerate(self._members):
            tell = None if show is None else _share(show, number, len(self._members), len(crops))
            maps = explainer.explain(resize(crops, px), class_name, tell)
            for row, made in enumerate(maps):
                mean[row] += weight * (made if px == self._px else np.clip(cv2.resize(made, (self._px, self._px)), 0, 1))
        highest = mean.max((1, 2), keepdims=True, initial=0)
        np.divide(mean, highest, out=mean, where=highest > 0)
        return mean


def _share(show: Callable[[int], None], number: int, members: int, crops: int) -> Callable[[int], None]:
    """Return what turns a member's progress into that of all."""
    return lambda done: show((number * crops + done) // members)
