"""Do two methods show the same places? MR-SSIM, rank correlation and overlap of two sets of maps of the same cells.

MR-SSIM is the mean over cells of the structural similarity (SSIM) of the Grad-CAM and the Score-CAM map of a cell, by one
model. It comes from Di Giammarco and others, "Reliable Leukemia diagnosis and localization through Explainable Deep
Learning" (2024), whose Table II states it for two models and two classes. The paper gives neither the window nor the data
range of its SSIM, nor whether maps or their pictures in colour were compared; its networks see 224 x 224 pixels. Here maps
themselves are compared, brought to 224 x 224 pixels, with what the authors of SSIM recommend (Wang and others, 2004): a
Gaussian window of sigma 1.5 (11 x 11 pixels), K1 = 0.01, K2 = 0.03, and the range that maps can have, 1 for [0, 1] and 2
for signed maps in [-1, 1].

SSIM of smooth maps is high by itself, for within a window both hardly change. So beside each number stands what the same
maps reach when each cell's map is compared with the map of another cell of its class: agreement begins above that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr
from skimage.metrics import structural_similarity

from classifiers.base import Classifier, ClassifierError
from classifiers.explain import build_explainer

SIDE_PX: Final = 224  # at which maps are compared, whatever their crops' size, so that a window means the same for every model
SIGMA: Final = 1.5  # of SSIM's window
TOP: Final = 0.2  # share of a map's pixels that count as its top; two maps without anything in common share a fifth of theirs
PUBLISHED: Final[Mapping[tuple[str, str], float]] = {  # Table II: model and class of C-NMC, hem being healthy and all leukaemic
    ("MobileNet", "hem"): 0.888,
    ("MobileNet", "all"): 0.892,
    ("DenseNet", "hem"): 0.948,
    ("DenseNet", "all"): 0.945,
}

Maps = NDArray[np.float32]  # (n, height, width)
Column = NDArray[np.float64]  # (n,)


@dataclass(frozen=True)
class Agreement:
    """How alike two methods' maps of each cell are; not a number where there is nothing to compare."""

    ssim: Column  # -1 to 1; nothing to compare where both maps are empty
    rank: Column  # Spearman's correlation of the pixels; none where a map is the same everywhere
    top: Column  # overlap of both maps' top fifth, as Dice has it: 1 all, 0.2 by chance; none where both are empty


@dataclass(frozen=True)
class Row:
    """One line of Table II: a model's maps of one class."""

    model: str
    class_name: str
    cells: int
    ssim: float  # MR-SSIM: the mean over the cells
    rank: float
    top: float
    other_cell_ssim: float  # the same, each map being compared with one of another cell of the class
    empty: int  # cells of which a map shows nothing


def agree(maps_a: Maps, maps_b: Maps) -> Agreement:
    """Compare the maps of the same cells by two methods."""
    if maps_a.shape != maps_b.shape or maps_a.ndim != 3:
        raise ClassifierError(
            f"Two sets of maps are compared when both have one a cell and one size, not {maps_a.shape} and {maps_b.shape}."
        )
    pairs = list(zip(_resized(maps_a), _resized(maps_b), strict=True))
    span = 2.0 if min(maps_a.min(initial=0), maps_b.min(initial=0)) < 0 else 1.0
    return Agreement(
        ssim=np.array([_similarity(a, b, span) for a, b in pairs], np.float64),
        rank=np.array([rank_correlation(a, b) for a, b in pairs], np.float64),
        top=np.array([_overlap(a, b) for a, b in pairs], np.float64),
    )


def table(model: str, maps_a: Maps, maps_b: Maps, labels: Sequence[str], classes: Sequence[str]) -> list[Row]:
    """Return a model's lines of Table II, one a class in the order of `classes`; `labels` are the cells' classes."""
    found = agree(maps_a, maps_b)
    empty = (maps_a == 0).all((1, 2)) | (maps_b == 0).all((1, 2))
    rows = []
    for name in classes:
        own = np.flatnonzero(np.asarray(labels) == name)
        if len(own):
            others = agree(maps_a[own], maps_b[np.roll(own, 1)]).ssim if len(own) > 1 else np.array([np.nan])
            ssim, rank, top = (_mean(column[own]) for column in (found.ssim, found.rank, found.top))
            rows.append(Row(model, name, len(own), ssim, rank, top, _mean(others), int(empty[own].sum())))
    return rows


def table_two(
    models: Sequence[tuple[str, Classifier, NDArray[np.uint8]]],
    labels: Sequence[str],
    methods: tuple[str, str] = ("gradcam", "scorecam"),
    show: Callable[[int], None] | None = None,
    *,
    options: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[Row]:
    """Return Table II for some models: MR-SSIM of two methods, by model and class.

    Each model comes with its name and the cells cut at its card's size; `labels` are the classes of the cells, the same
    cells for every model. Of each cell its own class is explained. `show` is told how many cells are done, over all models;
    `options` has for a method those of its class.
    """
    done, rows = 0, []
    for name, classifier, crops in models:
        if len(crops) != len(labels):
            raise ClassifierError(f"{name} is given {len(crops)} crops of {len(labels)} cells.")
        classes = [each for each in classifier.card.classes if each in set(labels)]
        if unknown := sorted(set(labels) - set(classes)):
            raise ClassifierError(f"{name} has no class {', '.join(unknown)}; its classes are {', '.join(classifier.card.classes)}.")
        maps = [explain_own_class(classifier, method, crops, labels, (options or {}).get(method)) for method in methods]
        rows += table(name, maps[0], maps[1], labels, classes)
        done += len(crops)
        if show is not None:
            show(done)
    return rows


def explain_own_class(
    classifier: Classifier, method: str, crops: NDArray[np.uint8], labels: Sequence[str], options: Mapping[str, Any] | None = None
) -> Maps:
    """Return the map of each cell for the class that `labels` names."""
    explainer = build_explainer(method, classifier, **(options or {}))
    maps = np.zeros(crops.shape[:3], np.float32)
    for name in dict.fromkeys(labels):
        own = np.flatnonzero(np.asarray(labels) == name)
        maps[own] = explainer.explain(crops[own], name)
    return maps


def _resized(maps: Maps) -> Maps:
    if maps.shape[1:] == (SIDE_PX, SIDE_PX):
        return maps
    resized = np.empty((len(maps), SIDE_PX, SIDE_PX), np.float32)
    for each, out in zip(maps, resized, strict=True):
        method = cv2.INTER_AREA if min(each.shape) > SIDE_PX else cv2.INTER_LINEAR
        cv2.resize(np.asarray(each, np.float32), (SIDE_PX, SIDE_PX), dst=out, interpolation=method)
    return resized


def _similarity(a: NDArray[np.float32], b: NDArray[np.float32], span: float) -> float:
    if not a.any() and not b.any():
        return np.nan
    found = structural_similarity(  # type: ignore[no-untyped-call]
        a.astype(np.float64), b.astype(np.float64), data_range=span, gaussian_weights=True, sigma=SIGMA, use_sample_covariance=False
    )
    return float(found)


def rank_correlation(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Return how alike two maps order their places; not a number where one is the same everywhere."""
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return np.nan
    return float(spearmanr(a, b, axis=None).statistic)


def _overlap(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    first, second = _top(a), _top(b)
    both = int(first.sum()) + int(second.sum())
    return 2 * int((first & second).sum()) / both if both else np.nan


def _top(values: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return the top fifth of a map's pixels; what shows nothing is never part of it, however little the map shows."""
    limit = np.quantile(values, 1 - TOP)
    top: NDArray[np.bool_] = (values >= limit) & (values > 0)
    return top


def _mean(values: Column) -> float:
    """Return the mean of what there is to compare; not a number where that is nothing."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else np.nan
