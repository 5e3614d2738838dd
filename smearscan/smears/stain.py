"""The colours of one staining: what every part of a smear lets through, varied by seed as laboratories and days vary."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Density = NDArray[np.float32]  # (3,) optical density of R, G, B: light through = background * exp(-density)

# May-Gruenwald-Giemsa as RGB on white glass of 242: the middle of what public smear pictures show.
_COLOURS: dict[str, tuple[float, float, float]] = {
    "red_cell": (206, 169, 172),  # one layer, at the rim
    "chromatin": (92, 50, 142),
    "fine_chromatin": (132, 72, 164),  # blasts: less condensed, redder
    "nucleolus": (150, 118, 196),
    "smudge": (170, 100, 176),
    "neutral_cytoplasm": (229, 200, 212),
    "neutral_granule": (190, 138, 178),
    "eosin_granule": (214, 106, 92),
    "eosin_cytoplasm": (226, 172, 160),
    "basophil_granule": (58, 32, 104),
    "sky_cytoplasm": (168, 190, 226),
    "grey_cytoplasm": (172, 174, 202),
    "deep_cytoplasm": (124, 138, 196),  # blasts: basophilic
    "azure_granule": (150, 60, 140),
    "platelet": (176, 142, 196),
    "precipitate": (60, 36, 92),
    "dirt": (96, 88, 70),
}
_GLASS = 242.0
_EOSINOPHILIC = ("red_cell", "eosin_granule", "eosin_cytoplasm", "neutral_cytoplasm")


@dataclass(frozen=True)
class Stain:
    """The glass's colour and the optical density of every dyed part."""

    seed: int
    background: NDArray[np.float32]  # (3,) RGB of bare glass, 0-255
    densities: dict[str, Density]

    def density(self, part: str) -> Density:
        return self.densities[part]

    @classmethod
    def from_seed(cls, seed: int) -> Stain:
        """Return a staining: seed 0 is the textbook one, others differ in strength, in blue against red, and in the light."""
        rng = np.random.default_rng([seed, 0x57A1])
        spread = 0.0 if seed == 0 else 1.0
        azure = float(np.exp(spread * rng.normal(0, 0.12)))  # strength of the blue-purple dye
        eosin = float(np.exp(spread * rng.normal(0, 0.14)))
        redness = spread * rng.normal(0, 0.10)  # an acid buffer reddens nuclei, an alkaline one blues them
        tint = np.array([1.0, -0.1, -1.0]) * spread * rng.normal(0, 4.0)  # warm or cold lamp
        background = np.array([238.0, 235.0, 234.0]) + tint + spread * rng.normal(0, 2.0)
        densities: dict[str, Density] = {}
        for part, colour in _COLOURS.items():
            strength = eosin if part in _EOSINOPHILIC else azure
            lean = np.array([-redness, 0.25 * redness, redness]) * (0.4 if part in _EOSINOPHILIC else 1.0)
            own = np.exp(spread * rng.normal(0, 0.03, 3))
            plain = np.log(_GLASS / np.asarray(colour, np.float64))
            densities[part] = np.asarray(plain * strength * (1 + lean) * own, np.float32)
        return cls(seed, np.clip(background, 205, 246).astype(np.float32), densities)
