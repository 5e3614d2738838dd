"""How the samples of a TIFF page become red, green and blue, or why they cannot."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smearscan.results import Picture
from smearscan.slides.colours import from_ycbcr, lay_on_white, widen
from smearscan.slides.damage import Damaged

MIN_IS_WHITE, MIN_IS_BLACK, RGB, PALETTE, SEPARATED, YCBCR = 0, 1, 2, 3, 5, 6
PHOTOMETRICS = {4: "a transparency mask", 5: "CMYK (print colours)", 8: "CIE Lab", 9: "ICC Lab", 10: "ITU Lab", 32803: "raw camera data"}
JPEG_COMPRESSIONS = (6, 7, 34892, 33007)  # tifffile has libjpeg turn their YCbCr into RGB
PLAIN_COMPRESSIONS = (1, 5, 8, 32773, 32946, 34925, 50000)  # bytes come back as they were: none, LZW, Deflate, PackBits, LZMA, Zstandard
# What OME says of a channel's colour, as the signed 32-bit RGBA it stores.
OME_RED_GREEN_BLUE = ("-16776961", "16711935", "65535")


@dataclass(frozen=True)
class ColourPlan:
    """What is done to decoded samples; `kind` is rgb, grey, inverted, palette or ycbcr."""

    kind: str
    alpha: str = ""  # "", "premultiplied" or "straight"; the sample after the colours
    palette: NDArray[np.uint8] | None = None  # (256, 3)
    notes: tuple[str, ...] = ()

    @property
    def colour_samples(self) -> int:
        return 3 if self.kind in ("rgb", "ycbcr") else 1

    def blank(self, samples: int) -> NDArray[np.uint8]:
        """Return the stored value, one a sample, that a tile missing from the file stands for: white glass."""
        value = np.full(samples, 255, np.uint8)
        if self.kind == "inverted":
            value[0] = 0
        elif self.kind == "ycbcr":
            value[1:3] = 128
        elif self.palette is not None:
            value[0] = int(self.palette.sum(axis=1, dtype=np.int64).argmax())
        return value

    def to_rgb(self, stored: NDArray[np.uint8]) -> Picture:
        """Return samples (height, width, n) as RGB on white."""
        grey = stored[..., 0]
        if self.kind == "rgb":
            colours = stored[..., :3]
        elif self.kind == "ycbcr":
            colours = from_ycbcr(stored)
        elif self.palette is not None:
            colours = self.palette[grey]
        else:
            colours = widen(255 - grey if self.kind == "inverted" else grey)
        if not self.alpha:
            return np.ascontiguousarray(colours)
        return lay_on_white(colours, stored[..., self.colour_samples], premultiplied=self.alpha == "premultiplied")


def plan_colours(tiff: Any, keyframe: Any, *, channel_pages: int) -> ColourPlan:
    """Decide how a page becomes RGB; raises `Damaged` with the reason where it cannot."""
    photometric, samples = int(keyframe.photometric), int(keyframe.samplesperpixel)
    _refuse_depth(keyframe)
    if photometric in PHOTOMETRICS:
        raise Damaged(f"its colours are {PHOTOMETRICS[photometric]}, which have no one meaning in RGB: save it as RGB")
    if photometric not in (MIN_IS_WHITE, MIN_IS_BLACK, RGB, PALETTE, YCBCR):
        raise Damaged(f"its colours are of a kind that is not known here (photometric interpretation {photometric}): save it as RGB")
    if channel_pages == 3:
        _refuse_stains(tiff)
        return ColourPlan("rgb", notes=("three channels are taken for red, green and blue",))
    if photometric == PALETTE:
        return ColourPlan("palette", palette=_palette(keyframe))
    if photometric == YCBCR:
        return _plan_ycbcr(keyframe, samples)
    if samples >= 3 and photometric == MIN_IS_BLACK:
        _refuse_stains(tiff)
    colours = 3 if photometric == RGB or samples >= 3 else 1
    if samples < colours or samples > colours + 1:
        raise Damaged(f"it holds {samples} channels that are no red, green and blue: save it as RGB")
    kind = "rgb" if colours == 3 else "inverted" if photometric == MIN_IS_WHITE else "grey"
    alpha, notes = _alpha(keyframe) if samples > colours else ("", ())
    return ColourPlan(kind, alpha, notes=notes)


def _refuse_depth(keyframe: Any) -> None:
    """Refuse everything but unsigned 8 bits: to press 16 bits into 8 needs a decision that nobody here can make."""
    bits, sample_format = keyframe.bitspersample, int(keyframe.sampleformat)
    if not isinstance(bits, int):
        raise Damaged(f"its channels have different depths {tuple(bits)}: save it as 8-bit RGB")
    kind = {1: "unsigned", 2: "signed", 3: "floating-point"}.get(sample_format, "other")
    if kind != "unsigned" and not (kind == "other" and sample_format == 4):  # 4 is "undefined", which readers take for unsigned
        raise Damaged(f"its pixels are {bits}-bit {kind} numbers; only 8-bit unsigned pictures are read: save it as 8-bit RGB")
    if bits != 8:
        raise Damaged(f"its pixels are {bits}-bit numbers; only 8-bit pictures are read: save it as 8-bit RGB")


def _plan_ycbcr(keyframe: Any, samples: int) -> ColourPlan:
    if samples != 3:
        raise Damaged(f"it is YCbCr with {samples} channels: save it as RGB")
    if keyframe.compression in JPEG_COMPRESSIONS:
        return ColourPlan("ycbcr" if keyframe.planarconfig == 2 else "rgb")
    if keyframe.compression not in PLAIN_COMPRESSIONS or keyframe.is_subsampled:
        raise Damaged("it is YCbCr in a form that is not read here (subsampled, or within a codec of its own): save it as RGB")
    return ColourPlan("ycbcr")


def _alpha(keyframe: Any) -> tuple[str, tuple[str, ...]]:
    extra = tuple(int(sample) for sample in keyframe.extrasamples)
    if extra[:1] == (1,):
        return "premultiplied", ()
    if extra[:1] == (2,):
        return "straight", ()
    return "", ("a further channel, of which the file does not say that it is transparency, is left out",)


def _palette(keyframe: Any) -> NDArray[np.uint8]:
    colours = np.asarray(keyframe.colormap)
    if colours.shape != (3, 256):
        raise Damaged("it is a palette picture without a palette of 256 colours")
    # TIFF stores 16-bit colours; some writers fill in 8 bits only.
    if colours.max() > 255:
        colours = colours >> 8
    return np.ascontiguousarray(colours.T.astype(np.uint8))


def _refuse_stains(tiff: Any) -> None:
    """Refuse channels whose OME colours or names say that they are single stains."""
    xml = tiff.ome_metadata
    if not xml:
        return
    channels = re.findall(r"<(?:\w+:)?Channel\b([^>]*)>", xml[: xml.find("</Image>")] if "</Image>" in xml else xml)
    colours = [found.group(1) for found in (re.search(r'\bColor="(-?\d+)"', text) for text in channels) if found]
    if len(colours) == 3 and tuple(colours) != OME_RED_GREEN_BLUE and len(set(colours)) == 3:
        raise Damaged("its three channels have colours of their own and are no red, green and blue: save it as RGB")
    if any(re.search(r"\b(?:EmissionWavelength|Fluor)=", text) for text in channels):
        raise Damaged("its channels are fluorescence stains and no red, green and blue: save it as RGB")
