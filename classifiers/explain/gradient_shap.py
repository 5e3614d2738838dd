"""Gradient SHAP, per pixel, through captum: gradients at chance places on the way from a baseline to the crop.

What is explained is the logit that `access.find_target` finds. A pixel's value is what its three channels add to that logit,
on average, when the crop takes the place of a baseline: a crop of one colour, prepared as every crop is. Where the
preparation changes a crop's size or cuts a part out, values are brought back to the crop's own pixels.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar

import cv2
import numpy as np
import torch
from captum.attr import GradientShap
from numpy.typing import NDArray
from torch import Tensor

from classifiers.base import Classifier, ClassifierError, Explainer
from classifiers.explain.access import copy_network, find_target, gradients, require_network
from classifiers.explain.superpixels import Hiding, colour
from classifiers.explain.surrogates import crop_seed
from classifiers.preprocess import Preparation
from classifiers.preprocess.framing import Place, compose, scaled

ROWS = 16  # places on the way in one pass


class GradientShapExplainer(Explainer):
    """Expected gradients of each pixel; one crop at a time, many places on its way at once."""

    signed: ClassVar[bool] = True

    def __init__(
        self, classifier: Classifier, *, samples: int = 64, baselines: Sequence[Hiding] = ("black", "mean"), seed: int = 0
    ) -> None:
        """`samples` is rounded up to full passes; for each, one of the `baselines` is drawn. `seed` and the crop decide the chance."""
        if samples < 1 or not baselines:
            raise ClassifierError(f"Gradient SHAP needs one or more samples and baselines, not {samples} and {list(baselines)}.")
        self._classifier = require_network(classifier, "gradient-shap")
        self._passes = -(-samples // ROWS)
        self._baselines = tuple(baselines)
        self._seed = seed
        self._preparation = Preparation(classifier.card.preparation)
        with gradients():
            self._network, _ = copy_network(self._classifier)
        px = classifier.card.crop_px
        self._blank(np.zeros((px, px, 3), np.uint8))  # so that an unknown baseline stops before any cell

    def explain(self, crops: NDArray[np.uint8], class_name: str, show: Callable[[int], None] | None = None) -> NDArray[np.float32]:
        target = find_target(self._classifier.card, class_name)
        maps = np.zeros(crops.shape[:3], np.float32)
        for row, place in enumerate(self._preparation.places(crops)):
            with gradients(), _seeded(crop_seed(crops[row], self._seed)):
                seen = self._attribute(crops[row], lambda inputs: target(self._network(inputs)))
            lay_pixels(seen, place, maps[row])
            if show is not None:
                show(row + 1)
        largest = np.abs(maps).max((1, 2), keepdims=True, initial=0)
        np.divide(maps, largest, out=maps, where=largest > 0)
        if not np.isfinite(maps).all():
            raise ClassifierError(f"Gradient SHAP of {self._classifier.card.name!r} is no number: the network's weights are broken.")
        return maps

    def _attribute(self, crop: NDArray[np.uint8], logit: Callable[[Tensor], Tensor]) -> NDArray[np.float32]:
        """Return the value of each pixel that the network is given, (height, width)."""
        prepared, baselines = self._classifier.prepare(crop[None]), self._classifier.prepare(self._blank(crop))
        # A network may begin by writing over what it is given, which nobody may do to what gradients are asked for.
        method = GradientShap(lambda inputs: logit(inputs.clone()))
        total = torch.zeros_like(prepared)
        for _ in range(self._passes):
            total += method.attribute(prepared, baselines, n_samples=ROWS).detach()
        values: NDArray[np.float32] = (total.sum(dim=1)[0] / self._passes).float().cpu().numpy()
        return values

    def _blank(self, crop: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return np.stack([np.broadcast_to(colour(crop, each), crop.shape) for each in self._baselines])


def lay_pixels(seen: NDArray[np.float32], place: Place, out: NDArray[np.float32]) -> None:
    """Write values of what a network saw where they belong on the crop; what it did not see is zero."""
    side = seen.shape[0]
    fewer = max(1, round(side * min(1.0, float(place[0, 0]))))
    if fewer < side:  # several of the network's pixels lie in one of the crop's: each counts
        seen = cv2.resize(seen, (fewer, fewer), interpolation=cv2.INTER_AREA).astype(np.float32)
        place = compose(place, scaled(side / fewer, side / fewer))
    cv2.warpAffine(seen, place, out.shape[::-1], dst=out, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed the chance that captum draws by, NumPy's and torch's own, and leave both as they were."""
    before = np.random.get_state()
    np.random.seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            yield
        finally:
            np.random.set_state(before)
