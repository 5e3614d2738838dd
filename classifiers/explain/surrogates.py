"""A linear model of what a classifier does when superpixels are hidden, fitted to each crop: what LIME and SHAP share.

captum's own `Lime` and `KernelShap` take one crop at a time, score its variations by themselves, and want a function of
tensors. So only their parts are used here: how variations are drawn and weighted, and the models that are fitted. The
scores come from `perturbations`, in batches over crops and variations. That the coefficients are those that captum gives
for the same variations is tested.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import torch
from captum._utils.models.linear_model import SkLearnLinearModel
from numpy.typing import NDArray

from classifiers.base import Classifier, ClassifierError, Explainer
from classifiers.explain.access import find_column
from classifiers.explain.attribution import Attribution
from classifiers.explain.perturbations import Keep, score_hidden, shown_from
from classifiers.explain.superpixels import Hiding, Labels, colour, segment, segment_all

Scale = Literal["probability", "log-odds"]
Floats = NDArray[np.float64]

CELLS = 32  # crops whose variations are in line at once: many full batches, and progress is seen
LEAST = 8  # variations; the crop as it is and all hidden are two of them
FLAT = 1e-6  # scores that differ by less are the same, as in every file; what is fitted to them is rounding


class SurrogateExplainer(Explainer):
    """Fits a linear model to the scores of variations of each crop, and takes its coefficients for the superpixels' parts."""

    signed: ClassVar[bool] = True

    def __init__(
        self,
        classifier: Classifier,
        *,
        perturbations: int = 128,
        hiding: Hiding = "grey",
        superpixels: Mapping[str, Any] | None = None,
        scale: Scale = "probability",
        seed: int = 0,
    ) -> None:
        """`superpixels` are options of `superpixels.segment`; `seed` and a crop's pixels alone decide its variations."""
        if perturbations < LEAST:
            raise ClassifierError(f"{perturbations} perturbations are too few for a model of a crop. Take {LEAST} or more, 128 as a rule.")
        if scale not in get_args(Scale):
            raise ClassifierError(f"Scores cannot be explained as {scale!r}. Known: {', '.join(get_args(Scale))}.")
        self._classifier = classifier
        self._perturbations = perturbations
        self._hiding = hiding
        self._superpixels = dict(superpixels or {})
        self._scale = scale
        self._seed = seed
        self._try()

    def explain(self, crops: NDArray[np.uint8], class_name: str, show: Callable[[int], None] | None = None) -> NDArray[np.float32]:
        maps = np.zeros(crops.shape[:3], np.float32)
        for out, attribution in zip(maps, self.attribute(crops, class_name, show), strict=True):
            out[:] = attribution.map
        return maps

    def attribute(self, crops: NDArray[np.uint8], class_name: str, show: Callable[[int], None] | None = None) -> list[Attribution]:
        """Return what each superpixel of each crop adds to the score of `class_name`."""
        column = find_column(self._classifier.card, class_name)
        attributions: list[Attribution] = []
        for start in range(0, len(crops), CELLS):
            some = crops[start : start + CELLS]
            labels = segment_all(some, self._superpixels)
            keeps = [self._vary(crop, int(pieces.max()) + 1) for crop, pieces in zip(some, labels, strict=True)]
            scores = score_hidden(self._classifier, some, labels, keeps, hiding=self._hiding, show=shown_from(start, show))
            for pieces, keep, row in zip(labels, keeps, scores, strict=True):
                attributions.append(self._fit(pieces, keep, self._scaled(row[:, column])))
        return attributions

    @abstractmethod
    def _draw(self, pieces: int, count: int, seed: int) -> Keep:
        """Return `count` variations, (count, pieces): True where a superpixel stays."""

    @abstractmethod
    def _weigh(self, keep: Keep) -> Floats:
        """Return how much each variation counts in the fit."""

    @abstractmethod
    def _model(self) -> SkLearnLinearModel:
        """Return the linear model, to be fitted to one crop."""

    def _vary(self, crop: NDArray[np.uint8], pieces: int) -> Keep:
        """Return a crop's variations: as it is, with everything hidden, and those that are drawn."""
        drawn = self._draw(pieces, self._perturbations - 2, crop_seed(crop, self._seed))
        return np.concatenate([np.ones((1, pieces), bool), np.zeros((1, pieces), bool), drawn])

    def _fit(self, labels: Labels, keep: Keep, scores: Floats) -> Attribution:
        whole, hidden = float(scores[0]), float(scores[1])
        if np.ptp(scores) < FLAT:
            return Attribution(labels, np.zeros(keep.shape[1]), whole, whole, hidden, 1.0)
        weights = self._weigh(keep)
        model = self._model()
        with torch.random.fork_rng(devices=[]):  # captum makes a layer for the result, and with it draws from torch's chance
            # One batch that holds everything is all that captum wants of a data loader here.
            model.fit([tuple(torch.from_numpy(each) for each in (keep.astype(np.float64), scores, weights))])
        coefficients = model.representation().numpy().astype(np.float64).ravel()
        intercept = float(model.bias())
        # What the fit was made to meet exactly says nothing of how good it is elsewhere.
        fit = _determination(scores, keep @ coefficients + intercept, np.where(weights > 1, 0.0, weights))
        return Attribution(labels, coefficients, intercept, whole, hidden, fit)

    def _scaled(self, probabilities: Floats) -> Floats:
        if self._scale == "probability":
            return probabilities
        inside = np.clip(probabilities, FLAT, 1 - FLAT)
        return np.log(inside) - np.log1p(-inside)

    def _try(self) -> None:
        """Cut up an empty crop, so that a wrong option stops before any cell."""
        px = self._classifier.card.crop_px
        empty = np.zeros((px, px, 3), np.uint8)
        colour(empty, self._hiding)
        try:
            segment(empty, **self._superpixels)
        except TypeError as error:
            raise ClassifierError(f"Superpixels cannot be made with {self._superpixels}: {error}.") from error


def crop_seed(crop: NDArray[np.uint8], seed: int) -> int:
    """Return a number from 0 to 2³² that a crop has of its own, wherever it stands and whatever stands beside it."""
    digest = blake2b(np.ascontiguousarray(crop).tobytes(), digest_size=4, key=str(seed).encode())
    return int.from_bytes(digest.digest(), "little")


def _determination(scores: Floats, fitted: Floats, weights: Floats) -> float:
    """Return the weighted R² of a fit."""
    if weights.sum() == 0:
        return 1.0
    spread = float((weights * (scores - np.average(scores, weights=weights)) ** 2).sum())
    missed = float((weights * (scores - fitted) ** 2).sum())
    return 1 - missed / spread if spread > 0 else 1.0
