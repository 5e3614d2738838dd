"""What every detector offers: pictures in, boxes out; it knows nothing of slides."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray


class DetectorError(Exception):
    """A detector cannot be built or cannot work on what it was given."""


@dataclass(frozen=True)
class Proposals:
    """Places that may hold a white cell, in pixels of the picture they were found in."""

    boxes: NDArray[np.float32]  # (n, 4): left, top, right, bottom; right and bottom exclusive
    scores: NDArray[np.float32]  # (n,) in [0, 1]

    def __len__(self) -> int:
        return len(self.boxes)

    @classmethod
    def none(cls) -> Proposals:
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))


class Detector(ABC):
    """Proposes cells on any RGB uint8 picture.

    A whole slide is shown in overlapping pieces. So that the same cell comes out of every piece that
    holds it, what is proposed at a point may depend only on the pixels within `reach` of it, on the
    point's place on the slide (through `origin`), and on what `tuned` learned from a coarse look.
    """

    name: str
    needs_scale: bool = False  # True: `mpp` must be given
    guesses_scale: bool = False  # True: where `mpp` is None, `tuned` takes a scale from what the coarse picture shows
    digest: str = ""  # sha256 of the weights; empty where there are none

    @abstractmethod
    def propose(self, picture: NDArray[np.uint8], mpp: float | None = None, origin: tuple[int, int] = (0, 0)) -> Proposals:
        """Return proposals in the picture's pixels; `origin` is the x, y of its first pixel on the slide."""

    def propose_many(self, pictures: Sequence[NDArray[np.uint8]], mpp: float | None, origins: Sequence[tuple[int, int]]) -> list[Proposals]:
        """Propose on several pictures at once; a detector that gains from batches overrides this."""
        return [self.propose(picture, mpp, origin) for picture, origin in zip(pictures, origins, strict=True)]

    @abstractmethod
    def reach(self, mpp: float | None) -> int:
        """Return how many pixels around a cell's centre can change what is proposed there."""

    def grid(self, mpp: float | None) -> int:
        """Return the multiple of pixels, counted from the slide's corner, on which pieces must begin."""
        return 1

    def field(self, mpp: float | None) -> int | None:
        """Return the side of the core it wants to see at once, if the answer depends on it; a multiple of `grid`."""
        return None

    def tuned(self, coarse: NDArray[np.uint8], coarse_mpp: float | None, downsample: float = 1.0) -> Self:
        """Return a copy set to one slide's stain, learned from a coarse picture of all of it.

        `downsample` says how many slide pixels one of its pixels spans, which a slide without a scale does not tell by `coarse_mpp`.
        """
        return self

    @abstractmethod
    def settings(self) -> Mapping[str, object]:
        """Return every setting that changes what is proposed, as JSON values, for the report and for resume."""
