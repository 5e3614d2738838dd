"""Does anything give a composed slide away?

    python benchmarks/composing.py --data DIR [--slides 3] [--side 2000] [--fields 60]

Prints, for composed slides and for real fields beside them: what lies just outside a white cell's edge against the glass
farther out (a dark halo would be positive), how wide the edge is, both of red cells as well; how even glass is on the
lattice's joins against elsewhere; the nuclei detector's recall and precision on the composed slides; seconds and memory.
Densities are green, against glass; edges are measured at 0.25 um/px, where glass lies beyond.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from detectors.nuclei import NucleiDetector
from smearscan.smears import CellChoice, Composed, SmearPlan, compose
from smearscan.smears.cutting import cut_field, read_annotations
from smearscan.smears.field_pictures import flatten, read_picture

MPP = 0.25
SETS = {"bccd": 0.072, "txl_pbc": 0.1}  # microns per pixel, by the size of red cells; txl_pbc's smaller pictures
FIELD_MPP = 0.1905  # chula_rbc12: its scale bars of 20 um are 105 px long
DEPTH_UM = 2.0  # into the cell and out of it


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--slides", type=int, default=3)
    parser.add_argument("--side", type=int, default=2000)
    parser.add_argument("--fields", type=int, default=60)
    chosen = parser.parse_args()
    cv2.setNumThreads(1)
    for name, mpp in SETS.items():
        print(f"{name}, real: {edge_figures(real_edges(chosen.data / name, mpp, chosen.fields))}")
    edges, joins, found, true, hit = [], [], 0, 0, 0
    start = time.process_time()
    for seed in range(chosen.slides):
        plan = SmearPlan(chosen.side, chosen.side, MPP, seed=seed, white_cells=60, blast_fraction=0.3, smudge_fraction=0, debris_per_mm2=0)
        composed = compose(plan, [CellChoice(chosen.data / "cnmc")], chosen.data / "chula_rbc12", field_mpp=FIELD_MPP)
        picture = composed.smear.picture()
        edges += composed_edges(composed, picture)
        joins.append(join_evenness(composed))
        boxes = NucleiDetector().propose(picture, mpp=MPP).boxes
        middle = (boxes[:, :2] + boxes[:, 2:]) / 2
        found, true = found + len(boxes), true + len(composed.smear.truth)
        hit += sum(np.hypot(*(middle - (c.x, c.y)).T).min(initial=np.inf) < c.diameter / 2 for c in composed.smear.truth)
    spent = time.process_time() - start
    print(f"composed: {edge_figures(edges)}")
    print(f"joins: steps on glass {np.mean(joins):.3f} of those elsewhere, slide by slide {np.round(joins, 3).tolist()}")
    print(f"nuclei detector: recall {hit / true:.3f}, precision {hit / found:.3f}, {true} cells")
    area = chosen.slides * chosen.side**2 / 1e6
    print(
        f"{spent / area:.2f} s of processor for a megapixel; most memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB"
    )
    return 0


def edge_profile(density: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.float64] | None:
    """Return the mean density at each distance from the edge (negative inside), where glass lies beyond; None where there is too little."""
    inside = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)
    outside, nearest = cv2.distanceTransformWithLabels((~mask).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    signed = np.where(mask, -inside + 0.5, outside - 0.5) * MPP
    beyond = (signed > 0.75) & (signed < 2 * DEPTH_UM)
    crowded = np.unique(nearest[beyond & (density > 0.12)])
    clear = ~np.isin(nearest, crowded)
    steps = np.arange(0.125, 2 * DEPTH_UM, 0.25)
    rows = [density[clear & (np.abs(signed - step) < 0.125)] for step in steps]
    core = density[mask & (signed < -0.75) & (signed > -DEPTH_UM)]
    if min(len(row) for row in rows) < 8 or len(core) < 8:
        return None
    return np.array([float(np.median(core)), *(float(row.mean()) for row in rows)])


def edge_figures(profiles: list[NDArray[np.float64]]) -> str:
    """Say how much darker the ring 0.75-1.5 um outside is than glass 2.5-4 um outside, and how far the edge reaches."""
    table = np.array(profiles)
    ring, far = table[:, 4:7].mean(1), table[:, 11:].mean(1)
    halo = ring - far
    reach = table[:, 1:5].sum(1) * 0.25 / np.maximum(table[:, 0] - far, 0.05)  # width of a step with the same area outside
    low, middle, high = np.percentile(halo, [5, 50, 95])
    return f"{len(table)} cells, ring {middle:+.3f} (90 % {low:+.3f} to {high:+.3f}), edge {np.median(reach):.2f} um"


def real_edges(root: Path, mpp: float, most: int) -> list[NDArray[np.float64]]:
    profiles = []
    annotated = read_annotations(root)
    for row in np.random.default_rng(0).permutation(len(annotated))[:most].tolist():
        field = annotated[row]
        picture = read_picture(field.path)
        density = np.log(235.0 / np.maximum(flatten(picture, 235.0)[..., 1], 1)).astype(np.float32)
        for cell in cut_field(picture, field.boxes):
            mask = np.zeros(density.shape, np.float32)
            mask[cell.top : cell.top + cell.alpha.shape[0], cell.left : cell.left + cell.alpha.shape[1]] = cell.alpha / 255.0
            size = (round(density.shape[1] * mpp / MPP), round(density.shape[0] * mpp / MPP))
            small = [np.asarray(cv2.resize(each, size, interpolation=cv2.INTER_AREA)) for each in (density, mask)]
            profile = edge_profile(small[0], small[1] > 0.5)
            if profile is not None:
                profiles.append(profile)
    return profiles


def composed_edges(composed: Composed, picture: NDArray[np.uint8]) -> list[NDArray[np.float64]]:
    density = np.log(composed.background.look.glass[1] / np.maximum(picture[..., 1], 1)).astype(np.float32)
    profiles = []
    for index, cell in enumerate(composed.smear.truth):
        cutout = composed.smear.cutout(index)
        half = cutout.alpha.shape[0] // 2
        x, y = int(cell.x), int(cell.y)
        edge = half + 20
        if edge < x < picture.shape[1] - edge and edge < y < picture.shape[0] - edge:
            mask = np.pad(cutout.alpha > 0.5, 20)
            profile = edge_profile(density[y - edge : y + edge + 1, x - edge : x + edge + 1], mask)
            if profile is not None:
                profiles.append(profile)
    return profiles


def join_evenness(composed: Composed) -> float:
    """Return how large the steps from pixel to pixel of glass are where patches overlap, against where one lies alone."""
    grey = composed.background.paint(0, 0, 1500, 1500).astype(np.float32).mean(-1)
    glass = cv2.erode((grey > 0.95 * np.mean(composed.background.look.glass)).astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    lattice = composed.background.lattice
    shared = (np.arange(1500) + lattice.overlap // 2) % lattice.pitch < lattice.overlap
    step = np.abs(np.diff(grey, axis=1))
    on, off = (step[:, part[1:]][glass[:, 1:][:, part[1:]]].mean() for part in (shared, ~shared))
    return float(on / off)


if __name__ == "__main__":
    sys.exit(main())
