"""What run, check and inspect begin with: the slides that were named, and the table that goes with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from smearscan import console
from smearscan.errors import ConfigError

if TYPE_CHECKING:
    from smearscan.slides import Found, SlideRow


def list_slides(paths: Sequence[Path], slides_csv: Path | None) -> tuple[Found, Mapping[str, SlideRow]]:
    """Find the slides and read their table; a row of it that names no slide is said."""
    from smearscan.slides import find_slides, read_slides_csv, unused_rows

    table = read_slides_csv(slides_csv) if slides_csv else {}
    found = find_slides(paths)
    for unused in unused_rows(table, [slide.key for slide in found.slides]):
        console.warn(f"{slides_csv}, line {unused.line}: no slide is named {unused.slide!r}; this row is not used")
    return found, table


def require_slides(found: Found, paths: Sequence[Path]) -> None:
    """Refuse to go on where nothing that was named is a slide, nor may be one; say how much else is left alone."""
    if not found.slides and not any(each.may_be_slide for each in found.rejected):
        raise ConfigError(f"There is no slide in {', '.join(map(str, paths))}.")
    others = sum(not each.may_be_slide for each in found.rejected)
    if others:
        console.say(f"Not a slide and left alone: {others} of the files there. `smearscan inspect` says why.")
