"""Whether a slide's file is still the one that was scanned.

Up to 64 MiB the whole content is hashed; of a single file the result is what `sha256sum` prints. A larger slide would
cost minutes of reading just to find out that nothing is to be done, so of it only the size and 32 places of 1 MiB,
evenly spaced from the first byte to the last, are hashed. That notices another slide under the same name, a copy that
broke off and a rewritten file, also one of the same size. It does not notice a few bytes changed between the places:
`--overwrite` is for that. The digest says by its prefix which of the two it is. Dates play no part: a copy is the same.

A slide of several files is all of them, end to end in the order of their names; their names, their sizes, and the
whole of their small descriptions (`Slidedat.ini`, `zarr.json`) count too.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path

from smearscan.errors import UnreadableSlide

WHOLE_BYTES = 64 * 2**20
PLACE_BYTES = 2**20
PLACES = 32
DESCRIPTIONS = {".json", ".zattrs", ".zarray", ".zgroup", ".zmetadata", ".ini", ".xml", ".vms", ".vmu", ".mrxs"}


def input_digest(path: Path, files_of: Callable[[Path], Iterable[Path]] | None = None) -> str:
    """Return the digest of a slide; `files_of` knows the files of formats that have several side by side."""
    try:
        files = sorted((files_of or file_or_files_below)(path))
        sizes = [file.stat().st_size for file in files]
        if files == [path] and sizes[0] <= WHOLE_BYTES:
            with path.open("rb") as content:
                return "sha256:" + hashlib.file_digest(content, "sha256").hexdigest()
        return _digest_of_several(path, files, sizes)
    except OSError as error:
        raise UnreadableSlide(f"{path.name} cannot be read: {error.strerror or error}.") from error


def _digest_of_several(path: Path, files: Sequence[Path], sizes: Sequence[int]) -> str:
    base = path if path.is_dir() else path.parent
    names = [os.path.relpath(file, base).replace(os.sep, "/") for file in files]
    # The name of a single file is the user's to change; in a folder the names say what the files are.
    facts = [[name if len(files) > 1 else "", size] for name, size in zip(names, sizes, strict=True)]
    digest = hashlib.sha256(json.dumps(facts).encode())
    whole = sum(sizes) <= WHOLE_BYTES
    if not whole and len(files) > 1:
        for file in files:
            if (file.suffix.lower() or file.name.lower()) in DESCRIPTIONS:
                digest.update(file.read_bytes())
    spans = [(0, sum(sizes))] if whole else _places(sum(sizes))
    for piece in _read(files, sizes, spans):
        digest.update(piece)
    return ("sha256-of-files:" if whole else "sha256-of-samples:") + digest.hexdigest()


def file_or_files_below(path: Path) -> list[Path]:
    """Return the file, or all files below the folder."""
    if not path.is_dir():
        return [path]

    def stop(error: OSError) -> None:
        raise error

    return [file for where, _, names in os.walk(path, onerror=stop) for name in names if (file := Path(where) / name).is_file()]


def _places(total: int) -> list[tuple[int, int]]:
    """Return where to sample, as (start, end) of the files laid end to end."""
    starts = [number * (total - PLACE_BYTES) // (PLACES - 1) for number in range(PLACES)]
    return [(start, start + PLACE_BYTES) for start in starts]


def _read(files: Sequence[Path], sizes: Sequence[int], spans: Sequence[tuple[int, int]]) -> Iterator[bytes]:
    """Yield the bytes of the spans; spans and files are in order, and each file is opened once at most."""
    ends = list(accumulate(sizes))
    for file, size, end in zip(files, sizes, ends, strict=True):
        begin = end - size
        wanted = [(max(first, begin), min(last, end)) for first, last in spans if first < end and last > begin]
        if wanted:
            with file.open("rb") as content:
                for first, last in wanted:
                    content.seek(first - begin)
                    left = last - first
                    while piece := content.read(min(PLACE_BYTES, left)):
                        left -= len(piece)
                        yield piece
