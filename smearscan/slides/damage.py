"""Turn what libraries raise on a damaged file into data.

Damaged input makes the decoding libraries raise almost anything: a flipped byte in a TIFF tag is a `KeyError` here, an
`OverflowError` there. The list below was collected by flipping and cutting bytes of real files (tests/slides/test_damage.py
goes on doing it). It is wide, so it may only stand around calls into a library, never around our own code: an error of
our own keeps its traceback.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

LIBRARY_FAILURES: tuple[type[Exception], ...] = (
    OSError,  # the file system; Pillow's UnidentifiedImageError
    ValueError,  # tifffile's TiffFileError, zarr, numpy
    RuntimeError,  # every codec of imagecodecs, numcodecs, NotImplementedError
    LookupError,
    ArithmeticError,  # OverflowError of sizes, ZeroDivisionError of resolutions
    TypeError,  # a tag of the wrong type
    AttributeError,  # a tag that should be there
    AssertionError,
    EOFError,
    MemoryError,  # a size that is nonsense
    SyntaxError,  # Pillow's PNG reader; a broken OME-XML (ParseError)
    struct.error,
    zlib.error,
)


class Damaged(Exception):
    """A library could not open or decode; the text is the reason, without the file's name."""


def describe(error: BaseException) -> str:
    """Return an error of a library as the end of a sentence."""
    lines = str(error).strip().splitlines()
    text = lines[0].strip().rstrip(".") if lines else ""
    if isinstance(error, OSError) and error.strerror:
        text = error.strerror
    if isinstance(error, LookupError | MemoryError) or not text:
        # A bare key or nothing at all says little: its kind says more.
        text = f"{type(error).__name__} {text}".strip()
    return text[:200]


@contextmanager
def library_call(what: str, *more: type[Exception]) -> Iterator[None]:
    """Raise `Damaged` for whatever the library inside raises.

    `what` says in plain words what that means ("its header is damaged"); the library's own words follow in brackets. `more`
    are exceptions of the library that are no relatives of the built-in ones.
    """
    try:
        yield
    except (*LIBRARY_FAILURES, *more) as error:
        # The file system's errors speak for themselves: nothing is known of damage.
        from_system = isinstance(error, OSError) and error.errno is not None
        raise Damaged(describe(error) if from_system else f"{what} ({describe(error)})") from error
