"""Pictures that are in a set more than once: as the same file, as the same pixels, or as the same cell seen again.

The last are found whatever was done to a picture that a network learns nothing from: written again as JPEG, made smaller, turned
by right angles, mirrored, put in a black frame, brightened, photographed again in another focus. What is compared is a cell's
texture: its grey picture at 32 px without broad shading, without the outline of what was cut out, and evened out, so that no edge
outweighs the rest; as a vector of length 1. Of the eight ways to lay one picture on the other the best is taken. Nearly identical
are two pictures whose vectors have a product of `LIKE` or more, whose middles have a correlation of `LIKE_INSIDE` or more, as many
cells are round and pale at the rim, and whose colours are not far apart. Across C-NMC's published groups 22 pairs are, all of them
visibly the same cells (product 0.86 and more, middles 0.92 and more); of all other pairs the highest product is 0.74.

Eight products for each of n x n / 2 pairs would take hours for a large set. Turning and mirroring only swaps and re-signs the
coefficients of a picture's cosine transform, so their absolute values, sorted within each swapped pair, are the same for all eight.
Sorting and taking absolute values bring no two vectors farther apart: pairs that are far apart in these cannot be alike, and only
the few that are near are compared in all eight ways. Nothing is missed by this.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from classifiers.cores import usable_cores
from classifiers.datasets.base import DatasetError, Picture, Samples, read_bytes, read_picture
from classifiers.preprocess.framing import BLACK

How = Literal["same file", "same pixels", "nearly identical"]
Vectors = NDArray[np.float32]

LIKE = 0.82
LIKE_INSIDE = 0.9
INSIDE_PX = 10.0  # radius of a thumbnail's middle
COLOURS_PX = 8
FARTHEST_COLOURS = 24.0  # grey levels, root mean square over the colour thumbnail; a brighter exposure stays below
THUMBNAIL_PX = 32
SHADING_SIGMA_PX = 4.0  # of the thumbnail; what is broader is shading and stain, not texture
OUTLINE_PX = 5  # of the thumbnail; the rim of a cut-out is its outline, which is round for many cells
LIT = 2 * BLACK  # of 255; a cell's faintest pixels are brighter, JPEG's noise round it is darker
THIN = 0.02  # of a row or column; less of it lit is a thread hanging from a cell, which re-encoding shortens
FLAT = 0.75  # grey levels; a texture of less deviation is noise, and such a picture is compared by its pixels only
FEWEST_PIXELS = 64  # of a thumbnail's 1,024, to have a texture
BLOCK = 20_000_000  # products at once: 80 MB
PAIRS = 1024  # compared at once in all eight ways: 40 MB


@dataclass(frozen=True)
class Pair:
    """Two rows of a set that show the same."""

    first: int
    second: int
    how: How
    likeness: float  # 1 where the pixels are the same


@dataclass(frozen=True)
class Seen:
    """What was found in a set's pictures, one row each."""

    files: tuple[str, ...]  # digest of the file and of the box in it; "" where unreadable
    pixels: tuple[str, ...]  # digest of the decoded picture; "" where unreadable
    sizes: NDArray[np.int32]  # (n, 2) width, height; 0 where unreadable
    textures: Vectors  # (n, 32, 32), each of length 1; 0 where there is none
    colours: NDArray[np.uint8]  # (n, 8, 8, 3)
    unreadable: dict[int, str]  # row -> why


def look(samples: Samples, show: Callable[[int], None] | None = None) -> Seen:
    """Read every picture once; `show` is told how many have been."""
    n = len(samples)
    files, pixels = [""] * n, [""] * n
    sizes = np.zeros((n, 2), np.int32)
    textures = np.zeros((n, THUMBNAIL_PX, THUMBNAIL_PX), np.float32)
    colours = np.zeros((n, COLOURS_PX, COLOURS_PX, 3), np.uint8)
    unreadable: dict[int, str] = {}
    with ThreadPoolExecutor(min(8, usable_cores())) as pool:
        for row, found in enumerate(pool.map(lambda row: _look_at(samples, row), range(n))):
            if isinstance(found, DatasetError):
                unreadable[row] = str(found)
            else:
                files[row], pixels[row], sizes[row], textures[row], colours[row] = found
            if show is not None:
                show(row + 1)
    return Seen(tuple(files), tuple(pixels), sizes, textures, colours, unreadable)


def find_pairs(seen: Seen, groups: Sequence[str]) -> tuple[list[Pair], list[list[int]]]:
    """Return pairs across groups, and the rows of every picture that is there more than once, whether across groups or in one.

    Of rows with the same pixels each is paired with the first of another group; such a picture is compared with others once.
    """
    repeats = _repeats(seen)
    identical = []
    for rows in repeats:
        for row in rows[1:]:
            other = next((each for each in rows if each < row and groups[each] != groups[row]), None)
            if other is not None:
                same_file = seen.files[other] == seen.files[row]
                identical.append(Pair(other, row, "same file" if same_file else "same pixels", 1.0))
    again = {row for rows in repeats for row in rows[1:]}
    kept = np.array([row for row in range(len(groups)) if row not in again and seen.textures[row].any()], np.intp)
    near = [Pair(first, second, "nearly identical", likeness) for first, second, likeness in _near(seen, kept, groups)]
    return identical + sorted(near, key=lambda pair: (-pair.likeness, pair.first, pair.second)), repeats


def texture(picture: Picture) -> Vectors:
    """Return a picture's texture as a vector of length 1, as a square; all 0 where it has none."""
    small = cv2.resize(_trimmed(picture), (THUMBNAIL_PX, THUMBNAIL_PX), interpolation=cv2.INTER_AREA).astype(np.float32)
    grey = np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.float32)
    inside = cv2.erode((grey > LIT).astype(np.uint8), np.ones((OUTLINE_PX, OUTLINE_PX), np.uint8)).astype(bool)
    nothing = np.zeros_like(grey)
    if inside.sum() < FEWEST_PIXELS:
        return nothing
    fine = grey - cv2.GaussianBlur(grey, (0, 0), SHADING_SIGMA_PX)
    local = np.sqrt(cv2.GaussianBlur(fine * fine, (0, 0), SHADING_SIGMA_PX) + FLAT**2)
    even = np.where(inside, fine / local, 0)  # else a cell's edge on pale ground, which is round for all, would outweigh its inside
    if fine[inside].std() < FLAT:
        return nothing
    even = np.where(inside, even - even[inside].mean(), 0).astype(np.float32)
    return np.asarray(even / np.linalg.norm(even), np.float32)


def colours_of(picture: Picture) -> Picture:
    """Return a picture's broad colours."""
    return np.asarray(cv2.resize(_trimmed(picture), (COLOURS_PX, COLOURS_PX), interpolation=cv2.INTER_AREA), np.uint8)


def _look_at(samples: Samples, row: int) -> tuple[str, str, tuple[int, int], Vectors, Picture] | DatasetError:
    path = samples.root / samples.files[row]
    try:
        content = read_bytes(path)
        picture = read_picture(path) if samples.boxes is None else samples.read(row)
    except DatasetError as error:
        return error
    place = b"" if samples.boxes is None else samples.boxes[row].tobytes()
    file = hashlib.blake2b(content + place, digest_size=16).hexdigest()
    pixels = hashlib.blake2b(np.ascontiguousarray(picture).tobytes() + repr(picture.shape).encode(), digest_size=16).hexdigest()
    return file, pixels, (picture.shape[1], picture.shape[0]), texture(picture), colours_of(picture)


def _trimmed(picture: Picture) -> Picture:
    """Return a cut-out cell without the black round it, so that its place in a frame does not matter."""
    edges = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]]).max(axis=1)
    if (edges < BLACK).mean() < 0.3:  # a cell's bounding box has black corners
        return picture
    lit = picture.max(axis=2) > LIT
    rows, columns = np.flatnonzero(lit.mean(axis=1) > THIN), np.flatnonzero(lit.mean(axis=0) > THIN)
    if not rows.size or not columns.size:
        return picture
    return picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _repeats(seen: Seen) -> list[list[int]]:
    of_pixels: dict[str, list[int]] = defaultdict(list)
    for row, digest in enumerate(seen.pixels):
        if digest:
            of_pixels[digest].append(row)
    return [rows for rows in of_pixels.values() if len(rows) > 1]


def _near(seen: Seen, kept: NDArray[np.intp], groups: Sequence[str]) -> Iterator[tuple[int, int, float]]:
    """Yield rows of different groups whose textures are alike, each pair once, and how much."""
    if kept.size < 2:
        return
    unturned = _unturned(seen.textures[kept])
    lengths = (unturned**2).sum(axis=1)
    farthest = 2 * (1 - LIKE) + 1e-4  # of two vectors of length 1, squared
    group = np.unique([groups[row] for row in kept], return_inverse=True)[1]
    step = max(1, BLOCK // kept.size)
    for start in range(0, kept.size, step):
        block = slice(start, min(start + step, kept.size))
        squared = lengths[block, None] + lengths[None, start:] - 2 * unturned[block] @ unturned[start:].T
        first, second = np.nonzero((squared < farthest) & (group[block, None] != group[None, start:]))
        later = second > first
        first, second = first[later] + start, second[later] + start
        for begin in range(0, first.size, PAIRS):
            one, other = first[begin : begin + PAIRS], second[begin : begin + PAIRS]
            likeness, alike = _compare(seen, kept[one], kept[other])
            for index in np.flatnonzero(alike):
                yield int(kept[one[index]]), int(kept[other[index]]), round(float(likeness[index]), 4)


def _compare(seen: Seen, ones: NDArray[np.intp], others: NDArray[np.intp]) -> tuple[Vectors, NDArray[np.bool_]]:
    """Return how like the textures of pairs of rows are in the best of the eight ways, and whether all else is alike in it too."""
    texture, laid = seen.textures[ones], _ways(seen.textures[others])
    products = np.stack([np.einsum("nij,nij->n", texture, way) for way in laid])
    best, pair = products.argmax(axis=0), np.arange(len(ones))
    likeness = np.asarray(products[best, pair], np.float32)
    inside = _correlation(texture[:, _middle()], np.stack(laid)[best, pair][:, _middle()])
    colours = np.stack(_ways(seen.colours[others].astype(np.float32)))[best, pair]
    apart = np.sqrt(((seen.colours[ones] - colours) ** 2).mean(axis=(1, 2, 3)))
    alike: NDArray[np.bool_] = (likeness >= LIKE) & (inside >= LIKE_INSIDE) & (apart <= FARTHEST_COLOURS)
    return likeness, alike


def _ways(pictures: Vectors) -> list[Vectors]:
    """Return pictures, (n, height, width ...), turned and mirrored in all eight ways."""
    return [np.rot90(each, turns, (1, 2)) for each in (pictures, pictures[:, :, ::-1]) for turns in range(4)]


def _middle() -> NDArray[np.bool_]:
    rows, columns = np.mgrid[:THUMBNAIL_PX, :THUMBNAIL_PX] - (THUMBNAIL_PX - 1) / 2
    middle: NDArray[np.bool_] = np.hypot(rows, columns) < INSIDE_PX
    return middle


def _correlation(ones: Vectors, others: Vectors) -> Vectors:
    ones, others = (each - each.mean(axis=1, keepdims=True) for each in (ones, others))
    lengths = np.linalg.norm(ones, axis=1) * np.linalg.norm(others, axis=1)
    return np.asarray((ones * others).sum(axis=1) / np.maximum(lengths, 1e-12), np.float32)


def _unturned(textures: Vectors) -> Vectors:
    """Return what is the same for a texture however it is turned and mirrored, (n, d)."""
    waves = np.abs(np.stack([cv2.dct(each) for each in textures]))
    swapped = waves.transpose(0, 2, 1)
    upper, lower = np.maximum(waves, swapped), np.minimum(waves, swapped)
    rows, columns = np.triu_indices(THUMBNAIL_PX)
    off = rows != columns
    return np.concatenate([upper[:, rows, columns], lower[:, rows[off], columns[off]]], axis=1)
