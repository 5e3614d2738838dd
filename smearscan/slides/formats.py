"""What a file is, told from its name and its first bytes; nothing is opened here."""

from __future__ import annotations

from enum import Enum
from pathlib import Path

from smearscan.slides.dicom_header import is_dicom
from smearscan.slides.side_files import HAMAMATSU, MIRAX

HEAD_BYTES = 132  # a DICOM file says so at byte 128

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".jp2", ".j2k", ".jpx", ".j2c", ".jpf", ".webp")
SLIDE_SUFFIXES = (".svs", ".tif", ".tiff", ".btf", ".tf8", ".ndpi", MIRAX, ".scn", ".bif", *HAMAMATSU, ".svslide", ".czi", ".dcm")
# Slides that somebody will put into the folder one day: they are named with what to do, not passed over.
OTHER_SLIDES = {
    ".nd2": "Nikon ND2",
    ".lif": "Leica LIF",
    ".vsi": "Olympus VSI",
    ".oir": "Olympus OIR",
    ".oib": "Olympus OIB",
    ".isyntax": "Philips iSyntax",
    ".kfb": "KFBio KFB",
    ".sdpc": "Sqray SDPC",
    ".tmap": "UNIC TMAP",
    ".mds": "Motic MDS",
    ".mdsx": "Motic MDSX",
    ".heic": "HEIC",
    ".heif": "HEIF",
    ".avif": "AVIF",
    ".gif": "GIF",
}
UNFINISHED_SUFFIXES = (".partial", ".part", ".tmp", ".crdownload")
ZARR_FILES = ("zarr.json", ".zattrs", ".zgroup", ".zarray")

TIFF_HEADS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
PICTURE_HEADS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"\0\0\0\x0cjP  ", b"\xff\x4f\xff\x51")


class Kind(Enum):
    """The families of files that are opened alike."""

    TIFF = "TIFF"
    DICOM = "DICOM"
    PICTURE = "picture"
    ZARR = "Zarr"
    VENDOR = "vendor"  # neither: only OpenSlide can tell
    UNKNOWN = "unknown"


def read_head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HEAD_BYTES)


def kind_of(path: Path, head: bytes) -> Kind:
    """Tell a file's kind by what it holds; the name only decides for formats that look like another."""
    if path.suffix.lower() in (MIRAX, *HAMAMATSU):
        return Kind.VENDOR  # an MRXS begins like a JPEG, a VMS like any text
    if is_dicom(head):
        return Kind.DICOM
    if head.startswith(TIFF_HEADS):
        return Kind.TIFF
    if is_picture(head):
        return Kind.PICTURE
    return Kind.VENDOR if head.startswith((b"SQLite format 3", b"ZISRAWFILE")) else Kind.UNKNOWN


def is_picture(head: bytes) -> bool:
    is_bmp = head[:2] == b"BM" and head[6:10] == bytes(4)  # two letters are little proof; the reserved bytes are zero
    is_webp = head[:4] == b"RIFF" and head[8:12] == b"WEBP"
    return is_bmp or is_webp or head.startswith(PICTURE_HEADS)


def is_zarr(folder: Path) -> bool:
    return folder.suffix.lower() == ".zarr" or any((folder / name).is_file() for name in ZARR_FILES)


def describe_head(head: bytes) -> str:
    """Return what an unknown file is, for a sentence to whoever named it like a slide."""
    printable = head.decode("ascii", "replace")
    if all(letter.isprintable() or letter in "\r\n\t" for letter in printable) and "�" not in printable:
        words = " ".join(printable.split())
        return f"it is a text that begins {words[:24]!r}"
    return f"it begins with the bytes {head[:8].hex(' ')}"
