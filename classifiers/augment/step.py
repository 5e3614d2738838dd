"""What a random step that changes pixels, and not where they lie, offers to an augmentation."""

from __future__ import annotations

from abc import ABC, abstractmethod

from numpy.random import Generator

from classifiers.preprocess.framing import Crop


class Change(ABC):
    """Changes what a crop's pixels look like."""

    @abstractmethod
    def __call__(self, crop: Crop, rng: Generator) -> Crop:
        """Return a changed crop of the same size, or `crop` itself where `rng` says so; never write into `crop`."""
