"""What a tile reads, with its margin, and what it owns: its core.

Cores cover the slide exactly once. They begin on the file's own tile grid where that is possible, so
that a row of tiles decodes no more of the file's tiles twice than the margin demands.
"""

from __future__ import annotations

import math

from smearscan.results import Level, Tile


def plan_tiles(level: Level, tile_size: int, margin: int, *, grid: int = 1, field: int | None = None) -> list[Tile]:
    """Cover a level with tiles of about `tile_size`, each read with `margin` around its core.

    What is read begins on a multiple of `grid`, so that a detector that reduces pixels in blocks sees the same
    blocks from every tile. Cores are multiples of `field`, where a detector wants fields of one size.
    """
    core_width, core_height = core_size(level, tile_size, field or grid)
    reach = round_up(margin, grid)
    tiles: list[Tile] = []
    for top in range(0, level.height, core_height):
        for left in range(0, level.width, core_width):
            right, bottom = min(left + core_width, level.width), min(top + core_height, level.height)
            tiles.append(
                Tile(
                    index=len(tiles),
                    left=max(left - reach, 0),
                    top=max(top - reach, 0),
                    right=min(right + reach, level.width),
                    bottom=min(bottom + reach, level.height),
                    core=(left, top, right, bottom),
                )
            )
    return tiles


def core_size(level: Level, tile_size: int, grid: int = 1) -> tuple[int, int]:
    """Return the width and height of a full core.

    A file stored in strips as wide as the slide is read in bands of the same number of pixels: a column of
    square tiles would decode every strip once for each tile.
    """
    width = round_up(tile_size, _step(level.tile_width, grid, tile_size))
    height = round_up(tile_size, _step(level.tile_height, grid, tile_size))
    if level.tile_width is not None and level.tile_width >= level.width > tile_size:
        width = round_up(level.width, grid)
        height = round_up(max(tile_size * tile_size // level.width, 1), _step(level.tile_height, grid, tile_size))
    return width, height


def _step(file_tile: int | None, grid: int, tile_size: int) -> int:
    """Return what a core's side must be a multiple of: the file's tiles as well, unless that makes it too large."""
    both = math.lcm(grid, file_tile) if file_tile else grid
    return both if both <= 2 * tile_size else grid


def round_up(value: int, step: int) -> int:
    """Return the smallest multiple of `step` that is not below `value`."""
    return -(-value // step) * step
