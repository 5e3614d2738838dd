"""Plain pictures (JPEG, PNG, BMP, JPEG 2000, WebP), through Pillow: a microscope field is a small slide.

These formats can only be decoded whole. That is done once for a slide, at the first read, whatever thread asks.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from smearscan.results import Box, Level, Picture, SlideInfo
from smearscan.slides.base import Slide
from smearscan.slides.colours import lay_on_white, widen
from smearscan.slides.damage import Damaged, library_call
from smearscan.slides.orientation import Orientation, orientation_of
from smearscan.slides.scale import INCH_UM

if TYPE_CHECKING:
    from PIL.Image import Image

PICTURE_LIMIT_PX = 500_000_000  # 1.5 GB when decoded; larger ones belong into a tiled TIFF
FORMATS = ("JPEG", "PNG", "BMP", "JPEG2000", "WEBP")  # a JPEG with more than one picture calls itself MPO once open
PILLOW_LIMIT = threading.Lock()  # Pillow's own limit is a global of its module
ORIENTATION_TAG = 0x0112


class PictureSlide(Slide):
    """A plain picture: one level, no tiles."""

    def __init__(self, path: Path) -> None:
        with _open(path) as image:
            _refuse(image)
            with library_call("its header is damaged"):
                self._orientation = _read_orientation(image)
                self.claimed_mpp = _claimed_mpp(image)
            width, height = self._orientation.shown_size(image.width, image.height)
            frames = int(getattr(image, "n_frames", 1))
            note = f"the file holds {frames} pictures: the first is used"
        super().__init__(
            SlideInfo(
                path=path,
                reader="pillow",
                width=width,
                height=height,
                mpp=None,
                mpp_source=None,
                levels=(Level(0, width, height, 1.0),),
                notes=(note,) if frames > 1 else (),
                bytes_on_disk=path.stat().st_size,
            )
        )

    def _prepare(self) -> None:
        super()._prepare()
        self._decoding = threading.Lock()
        self._decoded: Picture | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in super().__getstate__().items() if name not in ("_decoding", "_decoded")}

    def _open_handle(self) -> Any:
        with self._decoding:
            if self._decoded is None:
                self._decoded = self._decode()
            return self._decoded

    @staticmethod
    def _close_handle(handle: Any) -> None:
        """Nothing stays open: the handle is the decoded picture."""

    def _read_inside(self, handle: Any, box: Box, level: int) -> Picture:
        left, top, right, bottom = box
        part: NDArray[np.uint8] = handle[top:bottom, left:right]
        return part.copy()

    def close(self) -> None:
        super().close()
        self._decoded = None

    def _decode(self) -> Picture:
        with _open(self.info.path) as image:
            _refuse(image)
            with library_call("its pixels are damaged"):
                image.load()
                shown = self._orientation.turn(_to_rgb(image))
        if shown.shape != (self.info.height, self.info.width, 3):
            raise Damaged(f"it decodes to {shown.shape[1]} x {shown.shape[0]} pixels, not {self.info.width} x {self.info.height}")
        return np.ascontiguousarray(shown)


@contextmanager
def _open(path: Path) -> Iterator[Image]:
    from PIL import Image, UnidentifiedImageError

    with library_call("it cannot be read"):
        file = path.open("rb")
    with file:
        with library_call("its header is damaged"), PILLOW_LIMIT, warnings.catch_warnings():
            # Pillow warns of odd metadata on stderr; what cannot be decoded is raised. Its limit on sizes is replaced by
            # one that fits slides and says what to do (`_refuse`).
            warnings.simplefilter("ignore")
            before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            try:
                image = Image.open(file, formats=FORMATS)
            except UnidentifiedImageError:
                raise Damaged("its header is damaged") from None  # Pillow's words name a file object and nothing else
            finally:
                Image.MAX_IMAGE_PIXELS = before
        yield image


def _read_orientation(image: Image) -> Orientation:
    from PIL.Image import Exif

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd metadata, again
        if image.format != "PNG":
            return orientation_of(image.getexif().get(ORIENTATION_TAG))
        # `getexif` of a PNG decodes all of it, in case that EXIF comes last. Nobody writes it there.
        exif = Exif()
        exif.load(image.info.get("exif", b""))
        return orientation_of(exif.get(ORIENTATION_TAG))


def _refuse(image: Image) -> None:
    """Refuse what would need a decision that nobody here can make; raises `Damaged` with the reason."""
    pixels = image.width * image.height
    if pixels > PICTURE_LIMIT_PX:
        raise Damaged(
            f"its {pixels / 1e6:,.0f} megapixels are too many for a format that can only be decoded whole "
            f"(the limit is {PICTURE_LIMIT_PX / 1e6:,.0f}): save it as a tiled TIFF"
        )
    with library_call("its header is damaged"):
        depth = _bits(image)
    if depth > 8:
        raise Damaged(f"its pixels are {depth}-bit numbers; only 8-bit pictures are read: save it as 8-bit RGB")
    if image.mode in ("CMYK", "LAB", "HSV", "YCbCr"):
        raise Damaged(f"its colours are {image.mode}, which have no one meaning in RGB: save it as RGB")
    if image.mode not in ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX"):
        raise Damaged(f"its pixels are of the kind {image.mode}; only 8-bit grey and RGB are read: save it as 8-bit RGB")
    frames = int(getattr(image, "n_frames", 1))
    if frames > 1 and image.format != "MPO":
        # MPO is what phones write: a JPEG with a preview or a depth map behind it. Anything else is a film.
        raise Damaged(f"it is a film of {frames} pictures: save the one to scan")


def _bits(image: Image) -> int:
    """Return how many bits a channel has in the file: Pillow opens deep PNG and JPEG 2000 as 8 bits without a word."""
    if image.mode.startswith("I;16"):
        return 16
    if image.format == "JPEG2000":
        return _jpeg2000_bits(image)
    tiles: Any = getattr(image, "tile", [])
    raw_modes = [tile[3] if isinstance(tile[3], str) else (tile[3] or ("",))[0] for tile in tiles if len(tile) > 3]
    return 16 if any(";16" in str(mode) for mode in raw_modes) else 8


def _jpeg2000_bits(image: Image) -> int:
    """Return the depth that the codestream's SIZ marker states."""
    file: Any = getattr(image, "fp")  # noqa: B009 - only files that were opened have it
    position = file.tell()
    file.seek(0)
    head: bytes = file.read(1 << 16)
    file.seek(position)
    start = head.find(b"\xff\x4f\xff\x51")
    depth = start + 4 + 2 + 2 + 8 * 4 + 2  # after SOC and SIZ: length, capabilities, eight sizes, number of components
    if start < 0 or depth >= len(head):
        raise Damaged("its header does not say how deep its pixels are")
    return (head[depth] & 0x7F) + 1


def _to_rgb(image: Image) -> Picture:
    if image.mode in ("P", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
    pixels = np.asarray(image)
    if image.mode == "1":
        pixels = pixels.astype(np.uint8) * np.uint8(255)
    if image.mode in ("1", "L"):
        return widen(pixels)
    if image.mode == "LA":
        return lay_on_white(widen(pixels[..., 0]), pixels[..., 1])
    return lay_on_white(pixels[..., :3], pixels[..., 3]) if image.mode == "RGBA" else pixels[..., :3]


def _claimed_mpp(image: Image) -> tuple[float, float] | None:
    across, down = (float(value) for value in image.info.get("dpi", (0, 0)))
    return (INCH_UM / across, INCH_UM / down) if across > 0 and down > 0 else None
