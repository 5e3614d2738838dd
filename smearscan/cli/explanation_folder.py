"""The folder of an explanation, filled beside its place and moved there when it is whole."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from smearscan.errors import ConfigError, OutputError
from smearscan.reports.explanation_files import RECORD


def check_target(out: Path, overwrite: bool) -> None:
    """Refuse a place where something stands; with `overwrite` an earlier explanation is replaced, and nothing else ever."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not (out / RECORD).is_file():
        raise ConfigError(f"{out} is there already and is no explanation. Give another folder with --out.")
    if not overwrite:
        raise ConfigError(f"{out} holds an explanation. Give another folder with --out, or replace it with --overwrite.")


def publish(out: Path, overwrite: bool, fill: Callable[[Path], None]) -> None:
    """Let `fill` write into a new folder, and put that at `out`; whoever looks there finds the old one or the new one, whole."""
    check_target(out, overwrite)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as scratch:
            folder = Path(scratch) / "new"
            folder.mkdir()
            fill(folder)
            if out.is_dir():
                out.rename(Path(scratch) / "old")
            folder.rename(out)
    except OSError as error:
        raise OutputError(f"The explanation cannot be written to {out}: {error}.") from error
