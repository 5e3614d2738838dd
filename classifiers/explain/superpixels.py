"""Pieces of a crop that belong together by colour and place, and crops with some of these pieces hidden.

LIME, SHAP and the sufficiency of explanations ask what a classifier says when pieces of a cell cannot be seen. The usual
pieces are those of quick shift with a kernel of 4, a largest distance of 200 and a ratio of 0.2, what is hidden being grey.
Those numbers were meant for pictures of 250 px, which fall into about 43 pieces; a crop of 64 px would fall into one or two.
So the kernel is scaled to the size of the picture, and 250 px stays what it is counted at.

What hidden places show is part of the question. Grey is as much a change as any other colour where a cell lies on plain
ground: on cells cut out on black, grey in the black says more than the cell does, and black is the colour to hide with.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, TypeAlias, get_args

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage import segmentation

from classifiers.base import ClassifierError
from classifiers.cores import usable_cores

Method = Literal["quickshift", "slic"]
Hiding = Literal["grey", "mean", "black"]
METHODS: tuple[str, ...] = get_args(Method)
HIDINGS: tuple[str, ...] = get_args(Hiding)

USUAL_PX = 250  # the side of the pictures that `kernel_size` is given for
LEAST_KERNEL = 1.0  # px; with less a pixel has no neighbours
GREY = 128

Labels: TypeAlias = NDArray[np.int32]


def segment(
    crop: NDArray[np.uint8],
    method: Method = "quickshift",
    *,
    kernel_size: float = 4,
    max_dist: float = 200,
    ratio: float = 0.2,
    side_px: int | None = None,
    count: int = 43,
) -> Labels:
    """Return for each pixel of `crop`, (height, width, 3) RGB, the number of its superpixel: 0, 1, ... without gaps.

    `kernel_size`, `max_dist` and `ratio` are quick shift's, the kernel for pictures of 250 px; `count` is about how many
    pieces SLIC makes. The crop is cut up at its own size, or at 250 px where it is larger; `side_px` says another size.
    64 px need 3 ms and give some 27 pieces, the same cell enlarged to 250 px needs 250 ms and gives some 43.
    A crop in which nothing differs may be one piece.
    """
    if method not in METHODS:
        raise ClassifierError(f"There are no superpixels by {method!r}. Known: {', '.join(METHODS)}.")
    if min(kernel_size, max_dist, count) <= 0 or not 0 <= ratio <= 1 or (side_px is not None and side_px < 8):
        raise ClassifierError(
            f"Superpixels need kernel_size {kernel_size}, max_dist {max_dist} and count {count} above 0, ratio {ratio} from 0 to 1, "
            f"and side_px {side_px} from 8 on."
        )
    height, width = crop.shape[:2]
    factor = (side_px or min(USUAL_PX, max(height, width))) / max(height, width)
    seen = crop
    if factor != 1:
        size = (round(width * factor), round(height * factor))
        seen = np.asarray(cv2.resize(crop, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC), np.uint8)
    if method == "quickshift":
        kernel = max(LEAST_KERNEL, kernel_size * max(seen.shape) / USUAL_PX)
        # Ties are broken by noise, so the same seed is given every time.
        labels = segmentation.quickshift(seen, kernel_size=kernel, max_dist=max_dist, ratio=ratio, rng=0)  # type: ignore[no-untyped-call]
    else:
        labels = segmentation.slic(seen, n_segments=count, start_label=0)
    if factor != 1:
        labels = cv2.resize(labels.astype(np.int32), (width, height), interpolation=cv2.INTER_NEAREST)
    numbered = np.unique(labels, return_inverse=True)[1]
    return numbered.reshape(height, width).astype(np.int32)


def segment_all(crops: NDArray[np.uint8], options: Mapping[str, Any]) -> list[Labels]:
    """Return the superpixels of each crop, by `options` of `segment`; several at once, since quick shift lets other threads work."""
    if len(crops) < 2:
        return [segment(crop, **options) for crop in crops]
    with ThreadPoolExecutor(min(len(crops), usable_cores()), "superpixels") as pool:
        return list(pool.map(lambda crop: segment(crop, **options), crops))


def hide(crop: NDArray[np.uint8], labels: Labels, keep: NDArray[np.bool_], hiding: Hiding = "grey") -> NDArray[np.uint8]:
    """Return `crop` with only those superpixels left for which `keep` is True; one row of `keep` a crop that is returned.

    `keep` of shape (k,) gives (height, width, 3), of shape (m, k) it gives (m, height, width, 3).
    """
    pieces = int(labels.max()) + 1
    if keep.shape[-1] != pieces:
        raise ClassifierError(f"The crop has {pieces} superpixels, and it is said of {keep.shape[-1]} whether they are kept.")
    # Each channel has its own place in one long row: twice as fast as to spread a pixel's choice over its channels.
    shown = np.take(np.asarray(keep, bool), np.repeat(labels.ravel(), 3), axis=-1)
    hidden = np.broadcast_to(colour(crop, hiding), crop.shape).ravel()
    return np.where(shown, crop.ravel(), hidden).reshape(*keep.shape[:-1], *crop.shape)


def colour(crop: NDArray[np.uint8], hiding: Hiding) -> NDArray[np.uint8]:
    """Return the colour, (3,), that hidden places of `crop` show."""
    if hiding == "grey":
        return np.full(3, GREY, np.uint8)
    if hiding == "black":
        return np.zeros(3, np.uint8)
    if hiding == "mean":
        return np.asarray(np.rint(crop.reshape(-1, 3).mean(axis=0)), np.uint8)
    raise ClassifierError(f"Hidden places cannot be {hiding!r}. Known: {', '.join(HIDINGS)}.")
