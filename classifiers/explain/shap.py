"""Kernel SHAP: what each superpixel adds to the score, on average over all orders in which superpixels could appear.

That is a linear regression over variations drawn by Shapley's kernel, with a weight near infinity on the crop as it is and
on nothing but hidden superpixels; so the coefficients add up to the difference between these two scores. captum's
`KernelShap` draws half of the variations and gives the weights and the regression. The other half are the opposites of the
first, which are as likely, and cancel part of the chance (Covert and Lee, 2021).
"""

from __future__ import annotations

import numpy as np
import torch
from captum._utils.models.linear_model import SkLearnLinearModel, SkLearnLinearRegression
from captum.attr import KernelShap
from torch.distributions import Categorical

from classifiers.explain.perturbations import Keep
from classifiers.explain.surrogates import Floats, SurrogateExplainer


class ShapExplainer(SurrogateExplainer):
    """Shapley values of superpixels."""

    _captum = KernelShap(lambda _: None)  # is asked for variations and weights alone

    def _draw(self, pieces: int, count: int, seed: int) -> Keep:
        if pieces == 1:  # shown or hidden is all there is
            return np.zeros((0, 1), bool)
        shown = torch.arange(1, pieces)
        distribution = Categorical(torch.cat([torch.zeros(1), 1 / (shown * (pieces - shown))]))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            drawing = self._captum.kernel_shap_perturb_generator(
                torch.zeros(1), num_select_distribution=distribution, num_interp_features=pieces
            )
            ends = [next(drawing), next(drawing)]  # captum's first two are the ends, which are there already
            drawn = torch.cat([*ends, *(next(drawing) for _ in range(-(-count // 2)))])[len(ends) :].numpy().astype(bool)
        return np.stack([drawn, ~drawn], axis=1).reshape(-1, pieces)[:count]

    def _weigh(self, keep: Keep) -> Floats:
        ends = keep.all(axis=1) | ~keep.any(axis=1)
        return np.where(ends, self._captum.inf_weight, 1.0)

    def _model(self) -> SkLearnLinearModel:
        return SkLearnLinearRegression()
