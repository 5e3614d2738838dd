"""From a mask of nucleus colour to single nuclei: lobes of one cell come together, cells that touch come apart.

A slide is seen in pieces, so a clump may only be judged whole when it is small enough to be seen whole from wherever
one of its cells is owned. What is larger than `CLUMP_UM` is taken apart step by step, with ever stricter ideas of what
hangs together, and what stays larger at the strictest is no cell (a thick part, a drop of stain) and left out. Each of
these decisions needs only the pixels within `CLUMP_UM` and a few micrometres, so every piece takes the same ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import cKDTree
from scipy.spatial.distance import pdist
from skimage.feature import peak_local_max
from skimage.segmentation import watershed

Mask: TypeAlias = NDArray[np.bool_]
Parts: TypeAlias = NDArray[np.int32]  # 0 outside, then one number a part

CLUMP_UM = 36.0  # a clump of two or three cells; larger ones are taken apart
# What hangs together, from generous to strict: gaps of up to twice the radius bridged, then necks of that radius cut.
BRIDGED_UM = (2.0, 1.0)
CUT_UM = (0.0, 1.25, 2.5)
NECK = 0.75  # a neck at least this wide, against the narrower side, is no neck but one nucleus
# What may join another part as a lobe of its nucleus: up to so many um2 if together they reach no farther than so many
# um. The larger it is, the nearer it must be: two small lymphocytes side by side are no lobes.
LOBES = ((32.0, 16.0), (48.0, 15.0))
LOBED_UM2 = 110.0  # all lobes of one nucleus together
LOBED_UM = 16.0
LONGEST_NUCLEUS_UM = 25.0
CYTOPLASM_UM = 4.5  # how far from its nucleus a cell is followed


@dataclass(frozen=True)
class Nucleus:
    """One cell's nucleus, all its lobes, as a mask whose first pixel stands at left, top of the picture."""

    left: int
    top: int
    mask: Mask


def find_nuclei(marked: Mask, faint: Mask, um: float, least_um2: float, least_cut_um2: float) -> list[Nucleus]:
    """Return the nuclei of a mask with pixels of `um` micrometres, from top to bottom.

    `faint` marks whole cells, cytoplasm and all, as far as they can be seen. A nucleus covers at least `least_um2`;
    one that the picture's edge cuts through at least `least_cut_um2`.
    """
    found: list[Nucleus] = []
    for clump in _clumps(marked.astype(np.uint8), um, least_cut_um2):
        for mask in _cells(clump, faint, um):
            nucleus = _trimmed(clump, mask)
            cut = _touches_edge(nucleus, marked.shape)
            if int(mask.sum()) * um * um >= (least_cut_um2 if cut else least_um2):
                found.append(nucleus)
    return sorted(found, key=lambda each: (each.top, each.left))


def _clumps(marked: NDArray[np.uint8], um: float, least_um2: float) -> Iterator[Nucleus]:
    """Yield what hangs together and is no larger than `CLUMP_UM`, each pixel once."""
    longest = CLUMP_UM / um
    within: Mask | None = None  # where the previous, more generous idea gave clumps that are too large
    previous = marked
    for stricter in _stricter_and_stricter(marked, um):
        # Nested by force: digital discs do not quite nest, and a clump must lie in one clump of the step before.
        shape = stricter if within is None else stricter & previous
        previous = shape
        count, labels, stats, _ = cv2.connectedComponentsWithStats(shape, connectivity=8, ltype=cv2.CV_32S)
        fits = np.maximum(stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT]) <= longest
        fits[0] = True
        member = cv2.bitwise_and(shape, marked) > 0
        if within is not None:
            member &= within
        pixels = np.bincount(labels[member], minlength=count)
        for label in np.flatnonzero(fits & (pixels * um * um >= least_um2)):
            if label == 0:
                continue
            left, top, width, height = (int(stats[label, each]) for each in range(4))
            window = (slice(top, top + height), slice(left, left + width))
            yield Nucleus(left, top, (labels[window] == label) & member[window])
        if fits.all():
            return
        too_large = ~fits[labels]
        within = too_large if within is None else within & too_large


def _stricter_and_stricter(marked: NDArray[np.uint8], um: float) -> Iterator[NDArray[np.uint8]]:
    for radius in BRIDGED_UM:
        yield np.asarray(cv2.morphologyEx(marked, cv2.MORPH_CLOSE, _disc(radius / um)), np.uint8)
    for radius in CUT_UM:
        yield marked if radius == 0 else np.asarray(cv2.morphologyEx(marked, cv2.MORPH_OPEN, _disc(radius / um)), np.uint8)


def _disc(radius: float) -> NDArray[np.uint8]:
    reach = int(np.ceil(radius))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    return np.asarray(x * x + y * y <= radius * radius + 0.25, np.uint8)


def _cells(clump: Nucleus, faint: Mask, um: float) -> list[Mask]:
    """Cut a clump into one mask a cell: watershed along the necks, then lobes are put together again."""
    depth = _depth(np.pad(clump.mask, 1))
    peaks = peak_local_max(depth, min_distance=max(1, round(1.0 / um)), threshold_abs=0.8 / um, exclude_border=False)  # type: ignore[no-untyped-call]
    if len(peaks) <= 1:
        return [clump.mask]
    markers = np.zeros(depth.shape, np.int32)
    markers[tuple(peaks[np.lexsort((peaks[:, 1], peaks[:, 0]))].T)] = np.arange(1, len(peaks) + 1)
    parts = watershed(-depth, markers, mask=depth > 0)  # type: ignore[no-untyped-call]
    groups = _join_lobes(_join_wide_necks(parts, parts, depth, _Limit(LONGEST_NUCLEUS_UM / um)), um)
    groups = groups[1:-1, 1:-1] * clump.mask
    if (groups != groups.max()).any():
        groups = _join_within_cells(groups, clump, faint, um)
    return [groups == each for each in np.unique(groups[groups > 0])]


def _join_within_cells(groups: Parts, clump: Nucleus, faint: Mask, um: float) -> Parts:
    """Put nuclei together that lie in one body of cytoplasm, without a waist between them."""
    margin = round(CYTOPLASM_UM / um)
    height, width = groups.shape
    top, left = max(0, clump.top - margin), max(0, clump.left - margin)
    body = faint[top : clump.top + height + margin, left : clump.left + width + margin].copy()
    markers = np.zeros(body.shape, np.int32)
    inner = (slice(clump.top - top, clump.top - top + height), slice(clump.left - left, clump.left - left + width))
    markers[inner] = groups
    depth = _depth(body | (markers > 0))
    cells = watershed(-depth, markers, mask=depth > 0)  # type: ignore[no-untyped-call]
    return _join_wide_necks(cells, markers, depth, _Limit(LOBED_UM / um, LOBED_UM2 / um**2))[inner]


def _depth(mask: Mask) -> NDArray[np.float64]:
    """Return how far each pixel is from the outside, holes filled."""
    depth: NDArray[np.float64] = ndimage.distance_transform_edt(ndimage.binary_fill_holes(mask))
    return depth


@dataclass(frozen=True)
class _Limit:
    """What a nucleus put together may measure at most, in pixels."""

    length: float
    area: float = np.inf


def _join_wide_necks(bodies: Parts, nuclei: Parts, depth: NDArray[np.float64], limit: _Limit) -> Parts:
    """Join the nuclei of bodies whose border is hardly a waist, the widest first, unless the whole gets too large for one nucleus."""
    highest = ndimage.maximum(depth, bodies, np.arange(bodies.max() + 1))
    necks = {pair: neck / min(highest[list(pair)]) for pair, neck in _necks(bodies, depth).items()}
    joined = nuclei.copy()
    root = np.arange(bodies.max() + 1)
    for pair in sorted((pair for pair in necks if necks[pair] >= NECK), key=lambda pair: (-necks[pair], pair)):
        low, high = sorted((int(root[pair[0]]), int(root[pair[1]])))
        places = np.argwhere((joined == low) | (joined == high))
        if low != high and len(places) <= limit.area and _reach(places, 1.0) <= limit.length:
            root[root == high] = low
            joined[joined == high] = low
    return joined


def _necks(parts: Parts, depth: NDArray[np.float64]) -> dict[tuple[int, int], float]:
    """Return, for each two parts that touch, the depth of the deepest place where they do."""
    necks: dict[tuple[int, int], float] = {}
    for one, other in ((np.s_[:-1, :], np.s_[1:, :]), (np.s_[:, :-1], np.s_[:, 1:])):
        touching = (parts[one] != parts[other]) & (parts[one] > 0) & (parts[other] > 0)
        shallow = np.minimum(depth[one], depth[other])[touching]
        for a, b, value in zip(parts[one][touching].tolist(), parts[other][touching].tolist(), shallow.tolist(), strict=True):
            pair = (min(a, b), max(a, b))
            necks[pair] = max(necks.get(pair, 0.0), value)
    return necks


def _join_lobes(parts: Parts, um: float) -> Parts:
    """Put lobes of one segmented nucleus together, nearest first, as long as the whole could be one nucleus."""
    groups = {int(label): np.argwhere(parts == label) for label in np.unique(parts[parts > 0])}
    fitting: dict[tuple[int, int], float] = {}
    changed = sorted(groups)
    while True:
        for label in changed:
            for other, places in groups.items():
                pair = (min(label, other), max(label, other))
                if label != other and pair not in fitting and _one_nucleus(groups[label], places, um):
                    fitting[pair] = _gap(groups[label], places)
        if not fitting:
            break
        kept, gone = min(fitting, key=lambda pair: (fitting[pair], pair))
        groups[kept] = np.concatenate([groups[kept], groups.pop(gone)])
        fitting = {pair: gap for pair, gap in fitting.items() if not {kept, gone} & set(pair)}
        changed = [kept]
    joined = np.zeros_like(parts)
    for label, places in groups.items():
        joined[tuple(places.T)] = label
    return joined


def _gap(first: NDArray[np.intp], second: NDArray[np.intp]) -> float:
    """Return the distance, in pixels, between the nearest pixels of two parts."""
    return float(np.min(cKDTree(first).query(second)[0]))


def _one_nucleus(first: NDArray[np.intp], second: NDArray[np.intp], um: float) -> bool:
    smaller, together = min(len(first), len(second)) * um * um, (len(first) + len(second)) * um * um
    if together > LOBED_UM2 or smaller > LOBES[-1][0]:
        return False
    reach = _reach(np.concatenate([first, second]), um)
    return any(smaller <= lobe_um2 and reach <= lobed_um for lobe_um2, lobed_um in LOBES)


def _reach(places: NDArray[np.intp], um: float) -> float:
    """Return the largest distance between two pixels of a part, in any direction."""
    hull = cv2.convexHull(places.astype(np.int32))[:, 0, :].astype(np.float64)
    return (float(pdist(hull).max()) + 1.0) * um if len(hull) > 1 else um


def _trimmed(clump: Nucleus, mask: Mask) -> Nucleus:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    inner = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return Nucleus(clump.left + int(columns[0]), clump.top + int(rows[0]), inner)


def _touches_edge(nucleus: Nucleus, shape: tuple[int, ...]) -> bool:
    height, width = nucleus.mask.shape
    return nucleus.left == 0 or nucleus.top == 0 or nucleus.left + width == shape[1] or nucleus.top + height == shape[0]
