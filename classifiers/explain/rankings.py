"""The superpixels of a crop in the order in which an explanation finds them important, or by chance.

LIME and SHAP give each superpixel a number of its own. Of any other method's map the mean in a superpixel is taken. The
order by chance is the control: an explanation that does no better than that explains nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from classifiers.base import Classifier
from classifiers.explain import build_explainer
from classifiers.explain.superpixels import Hiding, Labels, segment
from classifiers.explain.surrogates import SurrogateExplainer, crop_seed

RANDOM: Final = "random"
SURROGATES: Final = ("lime", "shap")  # whose options are those of hidden superpixels


@dataclass(frozen=True)
class Ranking:
    """The superpixels of one crop, and their order."""

    labels: Labels  # (height, width), the superpixel of each pixel
    order: NDArray[np.intp]  # the numbers of the superpixels, the most important first

    @property
    def pieces(self) -> int:
        return len(self.order)

    def keep_first(self, counts: Sequence[int]) -> NDArray[np.bool_]:
        """Return a row for each count: True for so many of the first superpixels."""
        places = np.argsort(self.order)  # of each superpixel in the order
        return places[None, :] < np.asarray(counts, np.int64)[:, None]


def rank_superpixels(
    method: str,
    classifier: Classifier,
    crops: NDArray[np.uint8],
    class_names: Sequence[str],
    *,
    superpixels: Mapping[str, Any] | None = None,
    hiding: Hiding = "grey",
    perturbations: int = 128,
    seed: int = 0,
) -> list[Ranking]:
    """Rank each crop's superpixels by how much they speak for the class that `class_names` has for it.

    `method` is a name that `build_explainer` knows, or "random". `hiding`, `perturbations` and `seed` are for LIME and SHAP.
    """
    options = dict(superpixels or {})
    if method == RANDOM:
        pieces = [segment(crop, **options) for crop in crops]
        return [Ranking(each, _shuffled(crop, each, seed)) for crop, each in zip(crops, pieces, strict=True)]
    given: dict[str, Any] = {"hiding": hiding, "perturbations": perturbations, "superpixels": options, "seed": seed}
    explainer = build_explainer(method, classifier, **(given if method in SURROGATES else {}))
    found: dict[int, Ranking] = {}
    for name in dict.fromkeys(class_names):
        rows = [row for row, each in enumerate(class_names) if each == name]
        if isinstance(explainer, SurrogateExplainer):
            attributions = explainer.attribute(crops[rows], name)
            found |= {row: Ranking(each.labels, each.ranking) for row, each in zip(rows, attributions, strict=True)}
        else:
            maps = explainer.explain(crops[rows], name)
            found |= {row: rank_by_map(segment(crops[row], **options), each) for row, each in zip(rows, maps, strict=True)}
    return [found[row] for row in range(len(crops))]


def rank_by_map(labels: Labels, values: NDArray[np.float32]) -> Ranking:
    """Rank superpixels by the mean of a map in each; of equal ones the one with the lower number comes first."""
    sums = np.bincount(labels.ravel(), values.ravel().astype(np.float64))
    means = sums / np.bincount(labels.ravel())
    return Ranking(labels, np.argsort(-means, kind="stable"))


def _shuffled(crop: NDArray[np.uint8], labels: Labels, seed: int) -> NDArray[np.intp]:
    return np.random.default_rng(crop_seed(crop, seed)).permutation(int(labels.max()) + 1).astype(np.intp)
