"""Why this call? Maps of where a classifier looked, by the name of the method.

    explainer = build_explainer("gradcam++", classifier)
    maps = explainer.explain(crops, classifier.card.positive_class)  # (n, height, width) in [0, 1]

Each family of methods is a file: `cams` makes class activation maps, of one layer; `lime`, `shap` and `gradient_shap` make
signed maps, in [-1, 1]. `activations` shows what a layer answers to a crop. The libraries are loaded when an explainer is built.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from classifiers.base import Classifier, ClassifierError, Explainer

__all__ = ["build_explainer", "layer_names", "names"]

SIGNED = ("lime", "shap", "gradient-shap")  # whose maps also show what speaks against the class


def names(signed: bool | None = None) -> tuple[str, ...]:
    """Return every name that `build_explainer` takes, the usual one first; or only those of signed methods, or of the others."""
    if signed:
        return SIGNED
    from classifiers.explain import cams

    return tuple(cams.METHODS) if signed is False else (*cams.METHODS, *SIGNED)


def build_explainer(name: str, classifier: Classifier, layer: str | None = None, **options: Any) -> Explainer:
    """Return the explainer of that name for `classifier`.

    `layer` is for class activation maps: the layer they are made of, in place of the one that the card names. `options` are
    those of the method's class, as `perturbations` of LIME. The explainer is tried on an empty crop, so that an unknown
    name or option, a classifier without a network to look into, or a layer that cannot be explained stops the run before
    any slide, with a ClassifierError.
    """
    from classifiers.ensembles.classifier import EnsembleClassifier
    from classifiers.explain import cams
    from classifiers.explain.ensembles import EnsembleExplainer

    if name not in names():
        raise ClassifierError(f"There is no heat map method named {name!r}. Known: {', '.join(names())}.")
    factory: Callable[..., Explainer]
    if name in cams.METHODS:
        factory, given = cams.CamExplainer, {"method": name, "classifier": classifier, "layer": layer, **options}
        if isinstance(classifier, EnsembleClassifier):
            factory, given = EnsembleExplainer, {"build": cams.CamExplainer, **given}
    else:
        if layer is not None:
            raise ClassifierError(f"{name} looks at no layer; {layer!r} is for {', '.join(cams.METHODS)}.")
        factory, given = _signed(name), {"classifier": classifier, **options}
    try:
        inspect.signature(factory).bind(**given)
    except TypeError as error:
        known = ", ".join(each for each in inspect.signature(factory).parameters if each not in {"method", "classifier"})
        raise ClassifierError(f"{name} cannot be built with {options}: {error}. It knows {known}.") from error
    return factory(**given)


def _signed(name: str) -> Callable[..., Explainer]:
    if name == "lime":
        from classifiers.explain.lime import LimeExplainer

        return LimeExplainer
    if name == "shap":
        from classifiers.explain.shap import ShapExplainer

        return ShapExplainer
    from classifiers.explain.gradient_shap import GradientShapExplainer

    return GradientShapExplainer


def layer_names(classifier: Classifier) -> tuple[str, ...]:
    """Return the last layer of each stage of a classifier's network, from its input on: what maps are compared between."""
    from classifiers.explain import access, layers

    with access.gradients():
        return layers.candidate_layers(*access.copy_network(access.require_network(classifier, "a list of layers")))
