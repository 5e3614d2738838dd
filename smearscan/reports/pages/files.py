"""What lies in a slide's folder for its page to show or to link."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from PIL import Image

MAP, AREAS, THUMBNAIL, PAGE = "map.png", "map-areas.png", "thumbnail.jpg", "index.html"
OVERLAYS = "overlays"


@dataclass(frozen=True)
class PageFiles:
    """Names of files below the slide's folder, and the sizes of the pictures that the page lays out before they load."""

    names: frozenset[str] = frozenset()
    sizes: Mapping[str, tuple[int, int]] = field(default_factory=dict)  # name -> width, height

    def crop(self, cell_id: str) -> str:
        """Return the picture of a cell as the classifier saw it, "" where there is none."""
        return self._if_there(f"{OVERLAYS}/crop-{cell_id}.png")

    def heat_map(self, cell_id: str) -> str:
        """Return the heat map on its crop and nothing else, "" where there is none."""
        return self._if_there(f"{OVERLAYS}/heat-{cell_id}.png")

    def overlay(self, cell_id: str) -> str:
        """Return the whole overlay: crop, heat map, context, colour bar; "" where there is none."""
        return self._if_there(f"{OVERLAYS}/cell-{cell_id}.png")

    def _if_there(self, name: str) -> str:
        return name if name in self.names else ""


def find_files(folder: Path) -> PageFiles:
    """Look at a slide's folder; what lies deeper than its overlays is nobody's business here."""
    found = [*_files(folder), *_files(folder / OVERLAYS)]
    sizes = {}
    for name in (MAP, AREAS):
        if folder / name in found:
            with Image.open(folder / name) as picture:
                sizes[name] = picture.size
    folders = {f"{path.name}/" for path in folder.iterdir() if path.is_dir()} if folder.is_dir() else set()
    return PageFiles(frozenset({path.relative_to(folder).as_posix() for path in found} | folders), sizes)


def href(path: str) -> str:
    """Return a relative path as a link; '#', '?', '%' and spaces in names are not the link's own."""
    return quote(path, safe="/")


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []
