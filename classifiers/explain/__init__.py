"""Why this call? Maps of where a classifier looked, by the name of the method.

    explainer = build_explainer("gradcam++", classifier)
    maps = explainer.explain(crops, classifier.card.positive_class)  # (n, height, width) in [0, 1]

Each family of methods is a file: `cams` makes class activation maps. Their libraries are loaded when an explainer is built.
"""

from __future__ import annotations

from classifiers.base import Classifier, ClassifierError, Explainer

__all__ = ["build_explainer", "names"]


def names() -> tuple[str, ...]:
    """Return every name that `build_explainer` takes, the usual one first."""
    from classifiers.explain import cams

    return tuple(cams.METHODS)


def build_explainer(name: str, classifier: Classifier) -> Explainer:
    """Return the explainer of that name for `classifier`.

    It is tried on an empty crop, so that an unknown name, a classifier without a network to look into, or a layer that
    cannot be explained stops the run before any slide, with a ClassifierError.
    """
    from classifiers.explain import cams

    if name not in cams.METHODS:
        raise ClassifierError(f"There is no heat map method named {name!r}. Known: {', '.join(cams.METHODS)}.")
    return cams.CamExplainer(name, classifier)
