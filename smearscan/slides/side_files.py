"""Which files belong to one slide: some formats are a small file beside a folder of large ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from smearscan.slides.damage import Damaged
from smearscan.slides.dicom_header import is_dicom, read_dicom_header

MIRAX = ".mrxs"
HAMAMATSU = (".vms", ".vmu")
INDEX_BYTES = 1 << 20  # a VMS index is a page of text


def files_of(path: Path) -> tuple[Path, ...]:
    """Return every file that a slide consists of, sorted, the one it is known by first."""
    if path.is_dir():
        return tuple(_below(path))
    return (path, *sorted(side_files(path)))


def side_files(path: Path) -> set[Path]:
    """Return the files beside `path` that are part of it and no slides of their own."""
    suffix = path.suffix.lower()
    if suffix == MIRAX:
        return set(_below(path.with_suffix("")))
    if suffix in HAMAMATSU:
        return _named_in(path)
    return _same_series(path)


def bytes_on_disk(path: Path) -> int:
    """Return how much room a slide takes, with all its files."""
    return sum(file.stat().st_size for file in files_of(path))


def _below(folder: Path) -> Iterator[Path]:
    # Path.rglob does not follow links to folders, so a loop cannot hold it up.
    return (file for file in sorted(folder.rglob("*")) if file.is_file())


def _named_in(index: Path) -> set[Path]:
    """Return the files that a Hamamatsu VMS or VMU index names and that lie beside it."""
    with index.open("rb") as file:
        text = file.read(INDEX_BYTES).decode("utf-8", "replace")
    names = (value.strip() for _, found, value in (line.partition("=") for line in text.splitlines()) if found)
    candidates = (index.parent / name for name in names if name and "\0" not in name and "/" not in name and len(name) < 256)
    return {candidate for candidate in candidates if candidate.is_file() and candidate != index}


def _same_series(path: Path) -> set[Path]:
    """Return the other files of the DICOM series that `path` is one of; nothing where it is no DICOM file."""
    with path.open("rb") as file:
        if not is_dicom(file.read(132)):
            return set()
    try:
        series = read_dicom_header(path).series
    except Damaged:
        return set()
    return {other for other in path.parent.iterdir() if other != path and _series_of(other) == series}


def _series_of(path: Path) -> str | None:
    try:
        return read_dicom_header(path).series if path.is_file() else None
    except Damaged:
        return None
