"""The classifiers that ship: a model folder each, whose name is the folder's. A new one needs no code."""

from __future__ import annotations

from pathlib import Path

from classifiers.base import Classifier, ClassifierError

HERE = Path(__file__).parent


def names() -> list[str]:
    """Return the name of every classifier that ships, sorted."""
    return sorted(card.parent.name for card in HERE.glob("*/card.json"))


def folder(name: str) -> Path:
    """Return the model folder of a classifier that ships."""
    if name not in names():
        raise ClassifierError(f"No classifier named {name!r} ships. Those that do: {', '.join(names())}.")
    return HERE / name


def open_bundled(name: str, device: str = "auto", batch_size: int | str = "auto", precision: str = "auto") -> Classifier:
    """Return a classifier that ships."""
    from classifiers.opening import open_model

    return open_model(folder(name), device=device, batch_size=batch_size, precision=precision)
