"""What a smear is to be, in numbers: everything that decides its pixels, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal, get_args

import numpy as np

from smearscan.errors import ConfigError

Layout = Literal["auto", "field", "film"]
FILM_FROM_UM = 4000.0  # a slide longer than this is a whole film with glass around it, a smaller one a piece of monolayer

NORMAL_MIXTURE: Mapping[str, float] = {
    "segmented_neutrophil": 0.58,
    "lymphocyte": 0.28,
    "monocyte": 0.08,
    "eosinophil": 0.045,
    "basophil": 0.015,
}
OTHER = "other"  # any white cell that is no blast, where a source of real ones does not tell them apart


class Stream(IntEnum):
    """What a random stream is for; every purpose, place and cell has a stream of its own."""

    FIELDS = 1
    BANK = 2
    KINDS = 3
    PLACES = 4
    CELL = 5
    RED_CELLS = 6
    SCATTER = 7
    NOISE = 8


@dataclass(frozen=True)
class SmearPlan:
    """The settings of one drawn smear. The same plan gives the same pixels, in whatever order they are asked for."""

    width: int  # level-0 pixels
    height: int
    mpp: float = 0.25
    seed: int = 0
    stain: int | None = None  # the staining's seed; None takes `seed`
    white_cells: int | None = None  # exactly so many; None: by `white_cells_per_mm2` of the area where cells can be read
    white_cells_per_mm2: float = 40.0  # a normal count gives about 15, a leukaemic one 50 to 200
    blast_fraction: float = 0.0  # of the white cells; the number of blasts is this times the count, rounded
    smudge_fraction: float = 0.03  # smudge cells for each white cell, not counted among them
    debris_per_mm2: float = 2.0  # clots of dye and dirt large enough to be taken for a cell
    layout: Layout = "auto"
    mixture: Mapping[str, float] = field(default_factory=lambda: dict(NORMAL_MIXTURE))

    def __post_init__(self) -> None:
        _within("width", self.width, 64, 500_000, "px")
        _within("height", self.height, 64, 500_000, "px")
        _within("mpp", self.mpp, 0.05, 1.0, "um/px")
        _within("seed", self.seed, 0, 2**32 - 1)
        _within("stain", self.stain or 0, 0, 2**32 - 1)
        _within("white_cells", self.white_cells or 0, 0, 5_000_000)
        _within("white_cells_per_mm2", self.white_cells_per_mm2, 0, 5000)
        _within("blast_fraction", self.blast_fraction, 0, 1)
        _within("smudge_fraction", self.smudge_fraction, 0, 2)
        _within("debris_per_mm2", self.debris_per_mm2, 0, 500)
        if self.layout not in get_args(Layout):
            raise ConfigError(f"layout is {self.layout!r}; choose one of {', '.join(get_args(Layout))}.")
        unknown = sorted(set(self.mixture) - {*NORMAL_MIXTURE, OTHER})
        if unknown:
            raise ConfigError(f"mixture names {', '.join(unknown)}; the normal kinds are {', '.join(NORMAL_MIXTURE)}.")
        if sum(self.mixture.values()) <= 0 or min(self.mixture.values()) < 0:
            raise ConfigError(f"mixture {dict(self.mixture)} must hold shares of the normal kinds, at least one of them above 0.")

    @property
    def is_film(self) -> bool:
        return self.layout == "film" or (self.layout == "auto" and max(self.width, self.height) * self.mpp >= FILM_FROM_UM)

    def stream(self, purpose: Stream, *place: int) -> np.random.Generator:
        """Return the random stream of one purpose at one place (a block, a cell); no stream depends on another."""
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(int(purpose), *place)))


def _within(name: str, value: float, least: float, most: float, unit: str = "") -> None:
    if not least <= value <= most:  # also catches nan
        raise ConfigError(f"{name} is {value:g}; a smear is drawn with {_spell(least)} to {_spell(most)} {unit}".rstrip() + ".")


def _spell(limit: float) -> str:
    return f"{limit:,}" if isinstance(limit, int) else f"{limit:g}"
