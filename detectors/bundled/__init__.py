"""The detectors that ship: a detector folder each, whose name is the folder's. A new one needs no code."""

from __future__ import annotations

from pathlib import Path

from detectors.base import DetectorError

HERE = Path(__file__).parent


def names() -> list[str]:
    """Return the name of every detector that ships, sorted."""
    return sorted(card.parent.name for card in HERE.glob("*/card.json"))


def folder(name: str) -> Path:
    """Return the folder of a detector that ships."""
    if name not in names():
        raise DetectorError(f"No detector named {name!r} ships. Those that do: {', '.join(names()) or 'none'}.")
    return HERE / name
