"""What a TIFF says of its microns per pixel: OME-XML, ImageJ, Aperio, or the resolution tags."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

from smearscan.slides.scale import INCH_UM, LENGTH_UM

RESOLUTION_UNIT_UM = {2: INCH_UM, 3: 1e4}  # 1 is "no absolute unit": a ratio of sides, no scale


def claimed_mpp(tiff: Any, keyframe: Any) -> tuple[float, float] | None:
    """Return microns per pixel across and down as the file has them, plausible or not; None where it says nothing."""
    if tiff.is_ome and tiff.ome_metadata:
        said = _from_ome(tiff.ome_metadata)
        if said is not None:
            return said
    if tiff.is_imagej and tiff.imagej_metadata:
        return _from_tags(keyframe, LENGTH_UM.get(str(tiff.imagej_metadata.get("unit", "")).lower()))
    aperio = re.search(r"\|\s*MPP\s*=\s*([0-9.]+)", str(keyframe.description))
    if aperio:
        mpp = float(aperio.group(1))
        return (mpp, mpp) if mpp > 0 else None
    unit = keyframe.tags.valueof(296)
    return _from_tags(keyframe, RESOLUTION_UNIT_UM.get(int(unit) if isinstance(unit, int) else 2))


def _from_tags(keyframe: Any, unit_um: float | None) -> tuple[float, float] | None:
    across, down = (_pixels_per_unit(keyframe.tags.valueof(code)) for code in (282, 283))
    if unit_um is None or across is None or down is None:
        return None
    return unit_um / across, unit_um / down


def _pixels_per_unit(value: Any) -> float | None:
    if not isinstance(value, tuple) or len(value) != 2 or not value[0] or not value[1]:
        return None
    ratio = float(value[0]) / float(value[1])
    return ratio if ratio > 0 else None


def _from_ome(xml: str) -> tuple[float, float] | None:
    root = ElementTree.fromstring(xml)
    pixels = next((element for element in root.iter() if element.tag.rsplit("}", 1)[-1] == "Pixels"), None)
    if pixels is None:
        return None
    across, down = (_length_um(pixels, f"PhysicalSize{axis}") for axis in "XY")
    return None if across is None or down is None else (across, down)


def _length_um(pixels: ElementTree.Element, name: str) -> float | None:
    value = pixels.get(name)
    unit_um = LENGTH_UM.get(pixels.get(f"{name}Unit", "µm").lower())
    if value is None or unit_um is None:
        return None
    length = float(value) * unit_um
    return length if length > 0 else None
