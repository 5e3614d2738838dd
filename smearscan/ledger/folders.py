"""From a slide's key to the folder that holds its results, on every file system the same.

A key is the slide's path below the input, with `/`. Its folder has the same path wherever it can. What Windows or a
network share would refuse is written as in a URL (`:` is `%3A`); the result does not depend on the machine, so that a
report made on one can be copied to another.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from pathlib import PurePosixPath

from smearscan.errors import OutputError

REFUSED = re.compile(r'[<>:"\\|?*%\x00-\x1f\x7f\ud800-\udfff]')
RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)
LONGEST = 200  # bytes of one name; file systems allow 255


def slide_folders(keys: Iterable[str]) -> dict[str, PurePosixPath]:
    """Return the folder of every key, relative to `slides/`.

    Keys that would meet in one folder where case does not count, and a key that is a folder on the way to another's
    (a DICOM series with a TIFF inside), get eight digits of their SHA-256 appended; which ones does not depend on
    the order of the keys.
    """
    plain = {key: safe_path(key) for key in keys}
    folded = {key: _folded(folder) for key, folder in plain.items()}
    times = Counter(folded.values())
    on_the_way = {parent for each in folded.values() for parent in each.parents}
    crowded = {key for key, each in folded.items() if times[each] > 1 or each in on_the_way}
    return {key: folder.with_name(_marked(folder.name, key)) if key in crowded else folder for key, folder in plain.items()}


def safe_path(key: str) -> PurePosixPath:
    """Return a relative path that every file system takes; different keys give different paths."""
    parts = key.split("/")
    if not key or "\0" in key or not {"", ".", ".."}.isdisjoint(parts):
        raise OutputError(f"{key!r} cannot name a slide's results: a key is a relative path without '..', such as 'monday/blood.tif'.")
    return PurePosixPath(*(safe_name(part) for part in parts))


def safe_name(name: str) -> str:
    """Return one part of a path with everything percent-encoded that some file system refuses."""
    safe = REFUSED.sub(lambda found: _percent(found[0]), name)
    if safe[-1] in ". ":
        safe = safe[:-1] + _percent(safe[-1])
    if RESERVED.fullmatch(safe):
        safe = _percent(safe[0]) + safe[1:]
    return safe if len(safe.encode()) <= LONGEST else _marked(safe, name)


def _percent(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))


def _marked(name: str, key: str) -> str:
    """Append digits of the key's digest, shortening the name from its end where it is too long."""
    mark = "~" + hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    return name.encode()[: LONGEST - len(mark)].decode(errors="ignore").rstrip(". ") + mark


def _folded(folder: PurePosixPath) -> PurePosixPath:
    return PurePosixPath(unicodedata.normalize("NFC", folder.as_posix()).casefold())
