"""Slide files that no library here writes, made by hand."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from smearscan.results import Picture

VL_WHOLE_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"
JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
EXPLICIT_LITTLE = "1.2.840.10008.1.2.1"
LONG = ("OB", "SQ", "UT")


def element(group: int, number: int, kind: str, value: bytes) -> bytes:
    """Return a DICOM element in explicit little-endian form."""
    pad = b"\0" if kind in ("UI", "OB") else b" "
    value += pad * (len(value) % 2)
    head = struct.pack("<HH", group, number) + kind.encode()
    return head + (struct.pack("<HI", 0, len(value)) if kind in LONG else struct.pack("<H", len(value))) + value


def text(group: int, number: int, kind: str, value: str) -> bytes:
    return element(group, number, kind, value.encode())


def short(group: int, number: int, value: int) -> bytes:
    return element(group, number, "US", struct.pack("<H", value))


def long(group: int, number: int, value: int) -> bytes:
    return element(group, number, "UL", struct.pack("<I", value))


def sequence(group: int, number: int, item: bytes) -> bytes:
    return element(group, number, "SQ", struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item)


def dicom_frames(picture: Picture, tile: int) -> list[bytes]:
    frames = []
    for top in range(0, picture.shape[0], tile):
        for left in range(0, picture.shape[1], tile):
            part = picture[top : top + tile, left : left + tile]
            whole: NDArray[np.uint8] = np.full((tile, tile, 3), 255, np.uint8)
            whole[: part.shape[0], : part.shape[1]] = part
            frames.append(imagecodecs.jpeg8_encode(whole, level=95, subsampling="444"))
    return [frame + b"\0" * (len(frame) % 2) for frame in frames]


def write_dicom(
    path: Path,
    picture: Picture,
    *,
    series: str = "1.2.3",
    image_type: str = "ORIGINAL\\PRIMARY\\VOLUME\\NONE",
    sop_class: str = VL_WHOLE_SLIDE,
    mpp: float = 0.25,
    tile: int = 64,
) -> Path:
    """Write a JPEG tiled DICOM whole-slide image, one level."""
    height, width = picture.shape[:2]
    frames = dicom_frames(picture, tile)
    spacing = f"{mpp / 1000:.6f}\\{mpp / 1000:.6f}"
    meta = element(2, 1, "OB", b"\0\1") + text(2, 2, "UI", sop_class) + text(2, 3, "UI", f"{series}.{width}")
    meta += text(2, 0x10, "UI", JPEG_BASELINE) + text(2, 0x12, "UI", "1.2.3.4")
    measures = sequence(0x28, 0x9110, text(0x28, 0x30, "DS", spacing))
    undefined = struct.pack("<HH2sHI", 0x0008, 0x1115, b"SQ", 0, 0xFFFFFFFF)  # a nested sequence without lengths comes first
    undefined += struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF) + text(8, 0x1150, "UI", "1.2") + struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
    undefined += struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    body = [
        text(8, 8, "CS", image_type) if image_type else b"",
        text(8, 0x16, "UI", sop_class),
        text(8, 0x18, "UI", f"{series}.{width}"),
        text(8, 0x60, "CS", "SM"),
        undefined,
        text(0x20, 0x0D, "UI", "1.2.3.9"),
        text(0x20, 0x0E, "UI", series),
        text(0x20, 0x13, "IS", "1"),
        text(0x20, 0x52, "UI", "1.2.3.8"),
        text(0x20, 0x9311, "CS", "TILED_FULL"),
        short(0x28, 2, 3),
        text(0x28, 4, "CS", "YBR_FULL_422"),
        short(0x28, 6, 0),
        text(0x28, 8, "IS", str(len(frames))),
        short(0x28, 0x10, tile),
        short(0x28, 0x11, tile),
        short(0x28, 0x100, 8),
        short(0x28, 0x101, 8),
        short(0x28, 0x102, 7),
        short(0x28, 0x103, 0),
        long(0x48, 6, width),
        long(0x48, 7, height),
        text(0x48, 0x0010, "CS", "YES"),
        sequence(0x5200, 0x9229, measures),
    ]
    offsets, position = [], 0
    for frame in frames:
        offsets.append(position)
        position += len(frame) + 8
    table = struct.pack(f"<{len(offsets)}I", *offsets)
    pixels = struct.pack("<HH2sHI", 0x7FE0, 0x10, b"OB", 0, 0xFFFFFFFF) + struct.pack("<HHI", 0xFFFE, 0xE000, len(table)) + table
    pixels += b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(frame)) + frame for frame in frames) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    path.write_bytes(b"\0" * 128 + b"DICM" + long(2, 0, len(meta)) + meta + b"".join(body) + pixels)
    return path


def write_aperio(path: Path, levels: Sequence[Picture], *, mpp: float = 0.25, **options: object) -> Path:
    """Write an SVS: tiled levels, and after the first a striped thumbnail, at the end a label and a macro image."""
    height, width = levels[0].shape[:2]
    about = f"Aperio Image Library v11.2.1 \r\n{width}x{height} (64x64) JPEG/RGB Q=90|AppMag = 40|MPP = {mpp:.4f}"
    settings = {"photometric": "rgb", "compression": "jpeg", "compressionargs": {"level": 90}, "metadata": None} | options
    with tifffile.TiffWriter(path) as writer:
        writer.write(levels[0], tile=(64, 64), description=about, **settings)
        writer.write(levels[0][::4, ::4], rowsperstrip=16, description="Aperio Image Library v11.2.1 \r\nthumbnail", **settings)
        for level in levels[1:]:
            writer.write(level, tile=(64, 64), description=about, **settings)
        for name, subfiletype in (("label", 1), ("macro", 9)):
            extra = np.full((40, 60, 3), 90, np.uint8)
            description = f"Aperio Image Library v11.2.1 \r\n{name} 60x40"
            writer.write(extra, rowsperstrip=40, description=description, subfiletype=subfiletype, **settings)
    return path


@pytest.fixture(scope="session")
def dicom_writer() -> Callable[..., Path]:
    return write_dicom


@pytest.fixture(scope="session")
def aperio_writer() -> Callable[..., Path]:
    return write_aperio


@pytest.fixture(scope="session")
def drawn() -> Picture:
    """A smooth picture without symmetry, odd-sized, that survives JPEG."""
    y, x = np.mgrid[:201, :307]
    channels = [x * 255 / 307, y * 255 / 201, 127 + 120 * np.sin(x / 23 + y / 17)]
    picture: Picture = np.stack(channels, axis=-1).astype(np.uint8)
    return picture
