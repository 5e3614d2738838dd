"""The research-use line inside a picture's file, where a picture of 64 pixels has no room to show it.

A PNG has it as a comment (a tEXt chunk before the pixels), a JPEG as its comment. Viewers show it under the picture's
properties, and it stays when a file is sent on alone. No time and no program's name stand there: the same bytes always.
"""

from __future__ import annotations

import zlib
from typing import Final

from PIL.PngImagePlugin import PngInfo

from smearscan.results import NOTICE

KEYWORD: Final = "Comment"
AFTER_HEADER: Final = 33  # bytes of a PNG's signature and of its first chunk, IHDR, which both have one length


def png_info() -> PngInfo:
    """Return what Pillow puts into a PNG that it saves with `pnginfo`."""
    info = PngInfo()
    info.add_text(KEYWORD, NOTICE)
    return info


def with_notice(png: bytes) -> bytes:
    """Return an encoded PNG with the notice in it, for encoders that take no text."""
    body = b"tEXt" + f"{KEYWORD}\0{NOTICE}".encode("latin-1")
    chunk = (len(body) - 4).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
    return png[:AFTER_HEADER] + chunk + png[AFTER_HEADER:]
