"""Cells seen by several methods, and by one method at several layers: what is put side by side.

    wishes = list_wishes(classifier, ["gradcam++", "lime"], layers=["features.2", "features.5"])
    for view in make_views(open_wishes(classifier, wishes, options), crops, class_names): ...

Everything is opened, and so tried, before the first map is made: a wrong layer ends no work of hours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from classifiers.base import Classifier, ClassifierError, Explainer
from classifiers.ensembles.classifier import EnsembleClassifier
from classifiers.explain import build_explainer, layer_names, names
from classifiers.explain.access import Explainable
from classifiers.explain.perturbations import shown_from
from classifiers.explain.surrogates import SurrogateExplainer

WITHOUT_NETWORK: Final = ("lime", "shap")  # what asks a classifier for scores alone
CLASSLESS: Final = ("eigencam",)  # whose maps are the same whatever the class

Column = NDArray[np.float64]  # (n,)


@dataclass(frozen=True)
class Wish:
    """One method, and for a class activation map the layer it is made of; None is the one that the card names."""

    method: str
    layer: str | None = None

    @property
    def key(self) -> str:
        """What it is called in a file: "gradcam++", "gradcam++@features.2"."""
        return self.method if self.layer is None else f"{self.method}@{self.layer}"


@dataclass(frozen=True)
class View:
    """The maps of all cells by one method at one layer."""

    wish: Wish
    layer: str  # the maps are made of, also where the card named it; "" of methods that look at no layer
    signed: bool
    maps: NDArray[np.float32]  # (n, height, width), each relative to itself
    largest: Column  # what a map's 1 is, in the score; not a number where maps are relative to themselves alone
    fit: Column  # weighted R² of LIME's and SHAP's linear model; not a number for other methods
    hidden: Column  # the score with every superpixel hidden; not a number for other methods


def possible_methods(classifier: Classifier) -> tuple[str, ...]:
    """Return the methods that can explain this classifier, the usual one first."""
    if isinstance(classifier, Explainable):
        return names()
    if isinstance(classifier, EnsembleClassifier):
        return (*names(signed=False), *WITHOUT_NETWORK)
    return WITHOUT_NETWORK


def list_wishes(
    classifier: Classifier, methods: Sequence[str] = (), layers: Sequence[str] = (), *, all_layers: bool = False
) -> tuple[Wish, ...]:
    """Return what to make: each method, the class activation maps at each layer; without a method the usual one.

    Raises ClassifierError, listing what there is, for a method that this classifier cannot have, or a layer without use.
    """
    possible = possible_methods(classifier)
    chosen = tuple(dict.fromkeys(methods)) or possible[:1]
    for method in chosen:
        if method not in names():
            raise ClassifierError(f"There is no method {method!r}. For {classifier.card.name!r} there are {', '.join(possible)}.")
        if method not in possible:
            raise ClassifierError(
                f"{classifier.card.name!r} has no one network to look into, which {method} needs. Take {_either(possible)}."
            )
    mapped = set(chosen) & set(names(signed=False))
    if (layers or all_layers) and not mapped:
        raise ClassifierError(
            f"{', '.join(chosen)} look{'s' if len(chosen) == 1 else ''} at no layer. Layers are for {', '.join(names(signed=False))}."
        )
    if (layers or all_layers) and not isinstance(classifier, Explainable):
        raise ClassifierError(f"{classifier.card.name!r} is an ensemble: a layer is one network's. Name none, or explain a member.")
    wanted: tuple[str | None, ...] = tuple(dict.fromkeys(layers))
    if all_layers:
        wanted = tuple(dict.fromkeys((*layer_names(classifier), *layers)))
    return tuple(Wish(method, layer) for method in chosen for layer in (wanted if method in mapped and wanted else (None,)))


def open_wishes(classifier: Classifier, wishes: Sequence[Wish], options: Mapping[str, Mapping[str, Any]]) -> list[tuple[Wish, Explainer]]:
    """Build the explainer of each wish; `options` has for a method those of its class."""
    opened = []
    for wish in wishes:
        try:
            opened.append((wish, build_explainer(wish.method, classifier, wish.layer, **options.get(wish.method, {}))))
        except ClassifierError as error:
            if wish.layer is None:
                raise
            raise ClassifierError(f"{error} Layers that end a stage: {', '.join(layer_names(classifier))}.") from error
    return opened


def make_views(
    opened: Sequence[tuple[Wish, Explainer]],
    crops: NDArray[np.uint8],
    class_names: Sequence[str],
    show: Callable[[int], None] | None = None,
) -> Iterator[View]:
    """Yield the maps of each wish; `class_names` has the class that each cell's maps are for.

    `show` is told how many maps are done, over all wishes.
    """
    if len(crops) != len(class_names):
        raise ClassifierError(f"{len(crops)} crops need as many classes to explain, not {len(class_names)}.")
    for number, (wish, explainer) in enumerate(opened):
        empty = np.full(len(crops), np.nan)
        layer = str(getattr(explainer, "layer", ""))
        view = View(wish, layer, explainer.signed, np.zeros(crops.shape[:3], np.float32), empty, empty.copy(), empty.copy())
        done = number * len(crops)
        for name in dict.fromkeys(class_names):
            rows = np.flatnonzero(np.asarray(class_names) == name)
            _fill(view, explainer, crops, rows=rows, name=name, show=shown_from(done, show))
            done += len(rows)
        yield view


def _fill(
    view: View, explainer: Explainer, crops: NDArray[np.uint8], *, rows: NDArray[np.intp], name: str, show: Callable[[int], None] | None
) -> None:
    """Write the maps of the cells of which one class is explained."""
    if not isinstance(explainer, SurrogateExplainer):
        view.maps[rows] = explainer.explain(crops[rows], name, show)
        return
    for row, found in zip(rows, explainer.attribute(crops[rows], name, show), strict=True):
        view.maps[row] = found.map
        view.largest[row] = np.abs(found.coefficients).max(initial=0)
        view.fit[row], view.hidden[row] = found.fit, found.hidden_score


def _either(choices: Sequence[str]) -> str:
    return " or ".join((", ".join(choices[:-1]), choices[-1])) if len(choices) > 1 else choices[0]
