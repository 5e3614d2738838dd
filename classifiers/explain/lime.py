"""LIME: which superpixels a weighted ridge regression makes responsible for the score.

Each superpixel is hidden in half of the variations; a variation counts the more, the more of the crop it shows: by the
cosine between it and the crop, as vectors of ones and zeros, under a Gaussian of width 0.25. That, the ridge's penalty of 1
and a model of all superpixels at once is what the `lime` package does by default for pictures, and it is captum's
`get_exp_kernel_similarity_function("cosine", 0.25)` on those vectors.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from captum._utils.models.linear_model import SkLearnLinearModel, SkLearnRidge

from classifiers.base import Classifier, ClassifierError
from classifiers.explain.perturbations import Keep
from classifiers.explain.superpixels import Hiding
from classifiers.explain.surrogates import Floats, Scale, SurrogateExplainer

PENALTY = 1.0  # of the ridge, on the squares of the coefficients


class LimeExplainer(SurrogateExplainer):
    """Local interpretable model-agnostic explanations of crops; 128 perturbations are quick, 1,000 are steady."""

    def __init__(
        self,
        classifier: Classifier,
        *,
        perturbations: int = 128,
        hiding: Hiding = "grey",
        superpixels: Mapping[str, Any] | None = None,
        kernel_width: float = 0.25,
        scale: Scale = "probability",
        seed: int = 0,
    ) -> None:
        if kernel_width <= 0:
            raise ClassifierError(f"kernel_width {kernel_width} must be above 0; 0.25 is usual.")
        super().__init__(classifier, perturbations=perturbations, hiding=hiding, superpixels=superpixels, scale=scale, seed=seed)
        self._kernel_width = kernel_width

    def _draw(self, pieces: int, count: int, seed: int) -> Keep:
        return np.random.default_rng(seed).random((count, pieces)) < 0.5

    def _weigh(self, keep: Keep) -> Floats:
        cosine = np.sqrt(keep.mean(axis=1))  # of a vector of ones and zeros with the vector of ones alone
        return np.asarray(np.exp(-((1 - cosine) ** 2) / (2 * self._kernel_width**2)), np.float64)

    def _model(self) -> SkLearnLinearModel:
        return SkLearnRidge(alpha=PENALTY)
