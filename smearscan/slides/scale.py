"""How large a pixel is: per-slide CSV before the file before --mpp, and only what can be true.

What the file says is not used where no microscope has such a scale (72 dpi): then --mpp holds, and without it the slide
has no scale as far as this goes. `smearscan.red_cells` may find one in its pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

from smearscan.config import PLAUSIBLE_MPP
from smearscan.errors import ConfigError, MissingResolution

TOLERANCE = 0.05  # two statements that differ by more than this are a question to a person

INCH_UM = 25400.0
LENGTH_UM = {
    "m": 1e6,
    "meter": 1e6,
    "metre": 1e6,
    "cm": 1e4,
    "centimeter": 1e4,
    "centimetre": 1e4,
    "mm": 1e3,
    "millimeter": 1e3,
    "millimetre": 1e3,
    "um": 1.0,
    "µm": 1.0,
    "μm": 1.0,
    "\\u00b5m": 1.0,  # ImageJ writes the escape itself
    "micron": 1.0,
    "microns": 1.0,
    "micrometer": 1.0,
    "micrometre": 1.0,
    "nm": 1e-3,
    "nanometer": 1e-3,
    "nanometre": 1e-3,
    "å": 1e-4,
    "angstrom": 1e-4,
    "in": INCH_UM,
    "inch": INCH_UM,
}


@dataclass(frozen=True)
class Scale:
    """What was settled, and what was decided on the way."""

    mpp: float | None
    source: str | None  # "slides-csv", "file" or "--mpp"
    notes: tuple[str, ...] = ()


def is_plausible(mpp: float) -> bool:
    return PLAUSIBLE_MPP[0] <= mpp <= PLAUSIBLE_MPP[1]


def require_plausible(mpp: float, where: str) -> float:
    """Return `mpp`, or refuse what a person wrote at `where` if no microscope has such a scale."""
    if not is_plausible(mpp):
        low, high = PLAUSIBLE_MPP
        raise ConfigError(f"{where} says {mpp:g} um per pixel; a microscope slide has {low:g} to {high:g}. Correct it.")
    return mpp


def settle_scale(
    name: str,
    claimed: tuple[float, float] | None,
    *,
    mpp: float | None,
    csv_mpp: float | None,
    needed: bool,
) -> Scale:
    """Choose between what the table, the file and the command line say of a slide's microns per pixel."""
    if csv_mpp is not None:
        require_plausible(csv_mpp, f"The --slides-csv row of {name}")
    if mpp is not None:
        require_plausible(mpp, "--mpp")
    file_mpp, notes = _weigh_claim(claimed)
    said = [(source, value) for source, value in (("slides-csv", csv_mpp), ("file", file_mpp), ("--mpp", mpp)) if value is not None]
    if not said:
        if needed:
            raise MissingResolution(say_missing(name, claimed))
        return Scale(None, None, notes)
    (source, chosen), *others = said
    for other_source, other in others:
        if abs(other - chosen) > TOLERANCE * chosen:
            notes += (f"{other_source} says {other:.4g} um per pixel, {source} says {chosen:.4g}: {source} is used",)
    return Scale(chosen, source, notes)


def _weigh_claim(claimed: tuple[float, float] | None) -> tuple[float | None, tuple[str, ...]]:
    if claimed is None:
        return None, ()
    across, down = claimed
    if not (is_plausible(across) and is_plausible(down)):
        low, high = PLAUSIBLE_MPP
        return None, (f"the file says {_spell(claimed)} um per pixel, which is implausible ({low:g} to {high:g}): it is not used",)
    mean = (across + down) / 2
    if abs(across - down) > TOLERANCE * mean:
        return mean, (f"the file says {across:.4g} um per pixel across and {down:.4g} down: their mean {mean:.4g} is used",)
    return mean, ()


def say_missing(name: str, claimed: tuple[float, float] | None, red_cells: str = "") -> str:
    """Say that a slide has no scale, and what to do; `red_cells` is why theirs does not serve, as a clause."""
    ask = "Give it with --mpp or in --slides-csv."
    why = f", and {red_cells}" if red_cells else ""
    if claimed is None:
        return f"{name} does not say its microns per pixel{why}. {ask}"
    said = f"{name} says {_spell(claimed)} um per pixel, which is implausible for a microscope slide"
    return f"{said}{why}. {ask}" if why else f"{said}, so its scale is not known. {ask}"


def _spell(claimed: tuple[float, float]) -> str:
    across, down = claimed
    return f"{across:.4g}" if abs(across - down) <= TOLERANCE * across else f"{across:.4g} x {down:.4g}"
