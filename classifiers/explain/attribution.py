"""How much each superpixel of a crop speaks for a class, as a linear model of the classifier has it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from classifiers.explain.superpixels import Labels


@dataclass(frozen=True)
class Attribution:
    """Of one crop and one class. Scores are probabilities, or log-odds where those were asked for."""

    labels: Labels  # (height, width), the superpixel of each pixel
    coefficients: NDArray[np.float64]  # (k,), what each superpixel adds to the score: above zero it speaks for the class
    intercept: float
    score: float  # of the crop as it is
    hidden_score: float  # with every superpixel hidden
    fit: float  # weighted R² of the linear model: near 0 or below it the coefficients say little; 1 where no score differs from another

    @property
    def ranking(self) -> NDArray[np.intp]:
        """The superpixels, what speaks most for the class first; of equal ones the one with the lower number."""
        return np.argsort(-self.coefficients, kind="stable")

    @property
    def map(self) -> NDArray[np.float32]:
        """The coefficients where their superpixels lie, (height, width), as parts of the largest absolute one: in [-1, 1]."""
        largest = np.abs(self.coefficients).max(initial=0)
        scaled = self.coefficients / largest if largest > 0 else self.coefficients
        return scaled[self.labels].astype(np.float32)
