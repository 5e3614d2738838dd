"""Aperio SVS: OpenSlide says what the slide is, tifffile decodes it where both give the same bytes.

Both use libjpeg-turbo on the same tiles, so the pixels are equal; imagecodecs is several times as fast because it skips
OpenSlide's detour over premultiplied ARGB (benchmarks/slide_readers.py). OpenSlide keeps what it does better: JPEG 2000
tiles, and tiles of length 0, which it fills from another level.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from smearscan.slides.base import Slide
from smearscan.slides.damage import Damaged
from smearscan.slides.openslide_reader import OpenSlideSlide
from smearscan.slides.orientation import UPRIGHT
from smearscan.slides.tiff_layout import TiffLayout, TiffLevel, read_layout
from smearscan.slides.tifffile_reader import TiffSlide


def open_aperio(path: Path, vendor: str) -> Slide:
    """Open an SVS with the faster of the two readers that read it alike."""
    described = OpenSlideSlide(path, vendor)
    try:
        layout = read_layout(path)
    except Damaged:
        # OpenSlide has opened it: what tifffile does not understand is no reason to refuse the slide.
        return described
    if not _reads_alike(described, layout):
        return described
    slide = TiffSlide(path, layout, reader=f"tifffile ({vendor})")
    seen = described.info
    slide.info = replace(
        slide.info,
        levels=tuple(replace(level, downsample=other.downsample) for level, other in zip(slide.info.levels, seen.levels, strict=True)),
        bounds_left=seen.bounds_left,
        bounds_top=seen.bounds_top,
    )
    slide.claimed_mpp = described.claimed_mpp
    described.close()
    return slide


def _reads_alike(described: Slide, layout: TiffLayout) -> bool:
    sizes = [(level.width, level.height) for level in described.info.levels]
    if layout.orientation != UPRIGHT or sizes != [(level.width, level.height) for level in layout.levels]:
        return False
    return all(_is_plain_jpeg(level) for level in layout.levels)


def _is_plain_jpeg(level: TiffLevel) -> bool:
    is_jpeg = all("jpegtables" in plane.decode_arguments for plane in level.planes)
    return is_jpeg and level.is_tiled and all(0 not in plane.byte_counts for plane in level.planes)
