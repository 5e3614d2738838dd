"""White cells by the colour of their nuclei: stain unmixing, threshold, watershed. Needs no weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from detectors import stain as stains
from detectors.base import Detector, DetectorError, Proposals
from detectors.clumps import BRIDGED_UM, CLUMP_UM, CYTOPLASM_UM, Mask, Nucleus, find_nuclei
from detectors.scale import estimate_mpp
from detectors.stain import Stain

WORKING_MPP = 0.5  # fine enough for the necks between nuclei, and a quarter of the pixels of a 40x scan
COARSEST_MPP = 1.3  # a small lymphocyte's nucleus is then five pixels wide


@dataclass(frozen=True)
class NucleusRules:
    """What may be a white cell; lengths in micrometres."""

    least_nucleus_um2: float = 17.0  # a large platelet has less, a small lymphocyte 28
    least_cut_nucleus_um2: float = 9.0  # where the picture's edge cuts the cell
    most_cell_um: float = 28.0
    rim_um: float = 0.8  # of cytoplasm around a nucleus where none can be seen


class NucleiDetector(Detector):
    """Finds nuclei and draws a box around the whole cell.

    `tuned` learns a slide's stain (and, without `mpp`, its scale from the size of red cells) from a coarse picture;
    `propose` on a detector that was not tuned learns both from the picture itself, which suits a notebook and a
    single field, but not a slide that is shown in pieces.
    """

    name = "nuclei"
    guesses_scale = True

    def __init__(self, rules: NucleusRules | None = None) -> None:
        self.rules = rules or NucleusRules()
        self.stain: Stain | None = None
        self.estimated_mpp: float | None = None
        if self.rules.least_nucleus_um2 <= 0 or self.rules.most_cell_um <= 0:
            raise DetectorError(f"Sizes of nuclei and cells must be positive, not {self.rules}.")

    def tuned(self, coarse: NDArray[np.uint8], coarse_mpp: float | None, downsample: float = 1.0) -> Self:
        """Learn stain and, where `coarse_mpp` is None, scale; `downsample` says how many slide pixels make one of `coarse`."""
        stain = stains.learn(coarse)
        estimated = None if coarse_mpp is not None else estimate_mpp(coarse, stain) / downsample
        other = type(self)(self.rules)
        other.stain, other.estimated_mpp = stain, estimated
        return other

    def reach(self, mpp: float | None) -> int:
        # From a cell's centre to its nucleus, across a clump, and beyond it what bridging gaps, following cytoplasm and
        # smoothing look at.
        factor = self.grid(mpp)
        far_um = self.rules.most_cell_um / 2 + CLUMP_UM + max(2 * max(BRIDGED_UM), CYTOPLASM_UM)
        return (int(np.ceil(far_um / (self._scale(mpp) * factor))) + 3) * factor

    def grid(self, mpp: float | None) -> int:
        return max(1, round(WORKING_MPP / self._scale(mpp)))

    def _scale(self, mpp: float | None) -> float:
        scale = mpp if mpp is not None else self.estimated_mpp
        if scale is None:
            raise DetectorError("The nuclei detector needs microns per pixel: give mpp, or call tuned() to estimate it from red cells.")
        if not 0 < scale <= COARSEST_MPP:
            raise DetectorError(f"The nuclei detector needs a pixel of at most {COARSEST_MPP} um to tell nuclei apart, not {scale:g} um.")
        return scale

    def settings(self) -> Mapping[str, object]:
        return {**vars(self.rules), "working_mpp": WORKING_MPP, "clump_um": CLUMP_UM, "unmixing": list(stains.UNMIXING)}

    def propose(self, picture: NDArray[np.uint8], mpp: float | None = None, origin: tuple[int, int] = (0, 0)) -> Proposals:
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
            raise DetectorError(f"A picture must be RGB, (height, width, 3) of uint8, not {picture.shape} of {picture.dtype}.")
        if picture.size == 0:
            return Proposals.none()
        if self.stain is None or (mpp is None and self.estimated_mpp is None):
            return self.tuned(_reduced(picture, self._tuning_factor(mpp)), mpp).propose(picture, mpp, origin)
        factor = self.grid(mpp)
        if origin[0] % factor or origin[1] % factor:
            raise DetectorError(f"A picture must begin on a multiple of {factor} px from the slide's corner, not at {origin}.")
        um = self._scale(mpp) * factor
        small = _reduced(picture, factor)
        density = _smoothed(stains.nucleus_density(small, self.stain.white))
        marked, faint = density >= 9 * self.stain.nucleus, density >= 9 * self.stain.cytoplasm
        nuclei = find_nuclei(marked, faint, um, self.rules.least_nucleus_um2, self.rules.least_cut_nucleus_um2)
        boxes, scores = [], []
        for nucleus in nuclei:
            left, top, right, bottom = self._cell_box(nucleus, marked, faint, um)
            if max(right - left, bottom - top) * um <= self.rules.most_cell_um:
                boxes.append((left * factor, top * factor, min(right * factor, picture.shape[1]), min(bottom * factor, picture.shape[0])))
                scores.append(self._score(nucleus, density, um))
        if not boxes:
            return Proposals.none()
        return Proposals(np.array(boxes, np.float32), np.array(scores, np.float32))

    def _tuning_factor(self, mpp: float | None) -> int:
        return 1 if mpp is None else self.grid(mpp)

    def _cell_box(self, nucleus: Nucleus, marked: Mask, faint: Mask, um: float) -> tuple[int, int, int, int]:
        """Follow the cytoplasm out from the nucleus, as far as no other nucleus is nearer."""
        margin = round(CYTOPLASM_UM / um)
        height, width = nucleus.mask.shape
        top, left = max(0, nucleus.top - margin), max(0, nucleus.left - margin)
        window = (slice(top, nucleus.top + height + margin), slice(left, nucleus.left + width + margin))
        own = np.zeros(marked[window].shape, np.uint8)
        own[nucleus.top - top :, nucleus.left - left :][:height, :width] = nucleus.mask
        others = marked[window] & (own == 0)
        open_to_it = (faint[window] & _nearer(own, others, um)).astype(np.uint8) | own
        step = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
        cell: NDArray[np.uint8] = own
        for _ in range(margin):
            cell = np.asarray(cv2.dilate(cell, step), np.uint8) & open_to_it
        cell = np.asarray(cv2.morphologyEx(cell, cv2.MORPH_OPEN, step), np.uint8) | own
        rows, columns = np.flatnonzero(cell.any(axis=1)), np.flatnonzero(cell.any(axis=0))
        rim = round(self.rules.rim_um / um)
        return (
            max(0, left + int(columns[0]) - rim),
            max(0, top + int(rows[0]) - rim),
            min(marked.shape[1], left + int(columns[-1]) + 1 + rim),
            min(marked.shape[0], top + int(rows[-1]) + 1 + rim),
        )

    def _score(self, nucleus: Nucleus, density: NDArray[np.float32], um: float) -> float:
        """Say how sure it is a nucleus: how far above the threshold, and how far above the least size, each up to one half."""
        assert self.stain is not None
        height, width = nucleus.mask.shape
        inside = density[nucleus.top : nucleus.top + height, nucleus.left : nucleus.left + width][nucleus.mask]
        mean = int(inside.astype(np.int64).sum()) / (9 * len(inside))
        contrast = (mean - self.stain.nucleus) / max(self.stain.nucleus - self.stain.red_cell, 1)
        size = len(inside) * um * um / (2.0 * self.rules.least_nucleus_um2)
        return round(0.5 * min(1.0, max(0.0, contrast)) + 0.5 * min(1.0, size), 4)


def _nearer(own: NDArray[np.uint8], others: Mask, um: float) -> Mask:
    """Mark the pixels that are nearer to a nucleus than to any other; specks and platelets have no territory."""
    core = ndimage.binary_opening(others, iterations=max(1, round(0.75 / um)))
    if not core.any():
        return np.ones(own.shape, bool)
    nearer: Mask = ndimage.distance_transform_edt(own == 0) <= ndimage.distance_transform_edt(~core)
    return nearer


def _reduced(picture: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Take means of factor x factor blocks; the last, incomplete blocks at a slide's end are filled with their last pixels."""
    if factor == 1:
        return picture
    height, width = picture.shape[:2]
    down, across = -height % factor, -width % factor
    if down or across:
        picture = np.asarray(cv2.copyMakeBorder(picture, 0, down, 0, across, cv2.BORDER_REPLICATE), np.uint8)
    size = (picture.shape[1] // factor, picture.shape[0] // factor)
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def _smoothed(density: NDArray[np.int16]) -> NDArray[np.float32]:
    """Return sums over 3 x 3 pixels; whole numbers below 2^24, which float32 adds up exactly in any order."""
    sums = cv2.boxFilter(density.astype(np.float32), -1, (3, 3), normalize=False, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(sums, np.float32)
