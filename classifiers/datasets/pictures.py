"""Which files of a tree are pictures, and how large they are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from classifiers.datasets.base import DatasetError

ENDINGS = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff"})


def find_pictures(root: Path) -> Iterator[Path]:
    """Yield the pictures below `root`, sorted; hidden files are none (archives from a Mac hold one beside each picture)."""
    yield from (path for path in sorted(root.rglob("*")) if path.suffix.lower() in ENDINGS and not path.name.startswith("."))


def folders(root: Path) -> list[Path]:
    """Return the folders in `root`, sorted, without hidden ones and what a Mac's archive adds."""
    return [each for each in sorted(root.iterdir()) if each.is_dir() and not each.name.startswith((".", "__"))]


def size_of(path: Path) -> tuple[int, int]:
    """Return width and height as a picture's header says them."""
    try:
        with Image.open(path) as picture:
            return picture.size
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise DatasetError(f"{path} is no picture that can be read: {error}. Repair or remove it.") from error
