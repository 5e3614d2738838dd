"""The few words of a DICOM file's header that say which files make one slide.

OpenSlide reads the slide; this only groups files, a folder of thousands of them quickly, without opening any.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from smearscan.slides.damage import Damaged, library_call

WHOLE_SLIDE_CLASS = "1.2.840.10008.5.1.4.1.1.77.1.6"
HEAD_BYTES = 1 << 20
PREAMBLE = 128
IMPLICIT_LITTLE = "1.2.840.10008.1.2"
SOP_CLASS, TRANSFER_SYNTAX = (0x0002, 0x0002), (0x0002, 0x0010)
IMAGE_TYPE, SERIES = (0x0008, 0x0008), (0x0020, 0x000E)
ITEM, ITEM_END, SEQUENCE_END = (0xFFFE, 0xE000), (0xFFFE, 0xE00D), (0xFFFE, 0xE0DD)
UNDEFINED = 0xFFFFFFFF
LONG_FORMS = (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")


@dataclass(frozen=True)
class DicomHeader:
    """What a file says it is."""

    sop_class: str
    series: str
    image_type: tuple[str, ...]

    @property
    def is_whole_slide(self) -> bool:
        return self.sop_class == WHOLE_SLIDE_CLASS

    @property
    def is_volume(self) -> bool:
        """Whether it holds a level of the pyramid, not the label, the overview or a thumbnail."""
        return "VOLUME" in self.image_type


def is_dicom(head: bytes) -> bool:
    return head[PREAMBLE : PREAMBLE + 4] == b"DICM"


def read_dicom_header(path: Path) -> DicomHeader:
    """Read a DICOM file's kind and series; raises `Damaged` where it has none."""
    with library_call("it cannot be read"), path.open("rb") as file:
        data = file.read(HEAD_BYTES)
    if not is_dicom(data):
        raise Damaged("it is no DICOM file")
    try:
        found = _collect(data)
    except (struct.error, IndexError, RecursionError) as error:
        raise Damaged("its DICOM header is damaged") from error
    if SERIES not in found:
        raise Damaged("its DICOM header names no series")
    image_type = tuple(part.strip() for part in found.get(IMAGE_TYPE, "").split("\\"))
    return DicomHeader(found.get(SOP_CLASS, ""), found[SERIES], image_type)


def _collect(data: bytes) -> dict[tuple[int, int], str]:
    """Walk over the elements up to the series, which comes early: DICOM sorts them by tag."""
    position = PREAMBLE + 4
    found: dict[tuple[int, int], str] = {}
    while position + 8 <= len(data):
        (group,) = struct.unpack_from("<H", data, position)
        explicit = group == 2 or found.get(TRANSFER_SYNTAX) != IMPLICIT_LITTLE
        tag, start, length = _element(data, position, explicit)
        if tag > SERIES:
            break
        if length == UNDEFINED:
            position = _skip_sequence(data, start, explicit)
            continue
        if tag in (SOP_CLASS, TRANSFER_SYNTAX, IMAGE_TYPE, SERIES):
            found[tag] = data[start : start + length].decode("ascii", "replace").strip("\0 ")
        position = start + length
    return found


def _element(data: bytes, position: int, explicit: bool) -> tuple[tuple[int, int], int, int]:
    """Return an element's tag, where its value starts, and its length."""
    group, number = struct.unpack_from("<HH", data, position)
    if group == 0xFFFE or not explicit:
        (length,) = struct.unpack_from("<I", data, position + 4)
        return (group, number), position + 8, length
    if data[position + 4 : position + 6] in LONG_FORMS:
        (length,) = struct.unpack_from("<I", data, position + 8)
        return (group, number), position + 12, length
    (length,) = struct.unpack_from("<H", data, position + 6)
    return (group, number), position + 8, length


def _skip_sequence(data: bytes, position: int, explicit: bool) -> int:
    """Return where a sequence or item of undefined length ends; sequences nest."""
    while True:
        tag, start, length = _element(data, position, explicit)
        if tag in (SEQUENCE_END, ITEM_END):
            return start
        position = _skip_sequence(data, start, explicit) if length == UNDEFINED else start + length
