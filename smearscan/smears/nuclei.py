"""The shapes of nuclei, as signed distances in micrometres: round, folded, lobed."""

from __future__ import annotations

import numpy as np

from smearscan.smears.textures import Canvas, Grid, blobs, grain, inside, outline, rods


def rounded(rng: np.random.Generator, canvas: Canvas, radius_um: float, cell_um: float, dent: float) -> Grid:
    """A round to oval nucleus, off the cell's centre as far as there is room, with a dent as deep as that share of its radius."""
    free = max(cell_um - radius_um - 0.1, 0.0)
    turn, shift = rng.uniform(0, 2 * np.pi), free * rng.uniform(0.1, 0.95)
    moved = Canvas(canvas.um_px, canvas.x - np.float32(shift * np.cos(turn)), canvas.y - np.float32(shift * np.sin(turn)))
    distance = inside(moved, outline(rng, 0.035), radius_um)
    if dent > 0.05:
        side, bite_um = rng.uniform(0, 2 * np.pi), radius_um * rng.uniform(0.35, 0.8)
        away = (1 - dent) * radius_um + bite_um
        bite = np.sqrt((moved.x - float(away * np.cos(side))) ** 2 + (moved.y - float(away * np.sin(side))) ** 2) - bite_um
        distance = -0.25 * np.logaddexp(-distance / 0.25, -bite / 0.25)  # a smooth minimum: no sharp corners
    return np.asarray(distance + 0.07 * grain(rng, canvas, 1.5), np.float32)


def folded(rng: np.random.Generator, canvas: Canvas, cell_um: float) -> Grid:
    """A monocyte's nucleus: a bean, a horseshoe or a fold, made of discs along an arc."""
    turn = rng.uniform(0, 2 * np.pi)
    opening = rng.uniform(1.5, 3.9)  # radians of the arc that the nucleus follows
    thick = cell_um * np.interp(opening, [1.5, 3.9], [0.50, 0.34]) * rng.uniform(0.95, 1.1)
    reach = (cell_um - thick) * rng.uniform(0.68, 0.86)
    angles = turn + np.linspace(-opening / 2, opening / 2, 9)
    centres = np.stack([np.cos(angles), np.sin(angles)], 1) * reach
    centres -= centres.mean(0) * rng.uniform(0.25, 0.75)
    widths = thick * (1 + 0.18 * np.cos(np.linspace(0, 2 * np.pi, 9) + rng.uniform(0, 6.3)) * rng.uniform(0, 1))
    return np.asarray(blobs(canvas, centres, widths, 0.35) + 0.28 * grain(rng, canvas, 2.0), np.float32)


def lobed(rng: np.random.Generator, canvas: Canvas, cell_um: float, lobes: int, share: float = 0.36) -> Grid:
    """Lobes on threads, strung along a bent line through the cell."""
    size = cell_um * share * {2: 1.22, 3: 1.06, 4: 0.94, 5: 0.86}[lobes]
    spread = {2: 0.50, 3: 0.52, 4: 0.56, 5: 0.60}[lobes] * cell_um
    turn = rng.uniform(0, 2 * np.pi)
    bend = {2: 2.7, 3: 3.6, 4: 4.4, 5: 5.0}[lobes] * rng.uniform(0.85, 1.1)
    angles = turn + np.linspace(-bend / 2, bend / 2, lobes) + rng.normal(0, 0.12, lobes)
    centres = np.stack([np.cos(angles), np.sin(angles)], 1) * (spread * rng.uniform(0.85, 1.12, lobes))[:, None]
    centres -= centres.mean(0) * 0.5
    distance = np.full_like(canvas.x, -1e3)
    for centre in centres:
        toward = np.arctan2(centre[1], centre[0]) + np.pi / 2 + rng.normal(0, 0.4)
        half = size * rng.uniform(0.12, 0.5) * np.array([np.cos(toward), np.sin(toward)])
        width = size * rng.uniform(0.74, 0.95)
        lobe = blobs(canvas, np.array([centre - half, centre, centre + half]), width * np.array([0.8, 0.97, 0.8]), 0.22)
        distance = np.maximum(distance, lobe)
    threads = rods(canvas, centres, rng.uniform(0.22, 0.5))
    return np.asarray(np.maximum(distance, threads) + 0.10 * grain(rng, canvas, 1.3), np.float32)
