"""Surroundings made of real fields: as large as the slide, of one look, and without a white cell of their own."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.segmentation import watershed

from detectors.base import DetectorError
from smearscan import plugins
from smearscan.errors import ConfigError
from smearscan.results import Picture
from smearscan.smears.cutouts import BackgroundSource
from smearscan.smears.field_pictures import MATTER, Density, FieldPicture, field_look, list_fields, read_field, read_picture
from smearscan.smears.quilting import Lattice, Patch, Quilt

FIELDS_A_SLIDE = 10  # a slide is one smear: fields of another look would show as patches
_FEWEST = 3
_NEAR_FILES = 4  # so many files apart are as unlike as one step of look
_LARGEST_UM = 76.0  # of a patch: larger ones leave too few ways to lay them
_SHARES = (0.78, 0.7, 0.62, 0.54, 0.46, 0.38)  # of a field's shorter side, tried for a patch
_OVERLAP_SHARE = 0.42
_STRIDE = 4  # pixels between the places at which a patch may be cut out
COVER = (0.15 / 0.08, 0.6 / 0.08)  # what `field_look` gives for a field that is neither bare nor crowded
_EDGE_UM = 0.8  # of a field that is not used: cameras and JPEG spoil the border
_SUNK = 0.7  # of the paler of two cells that lie on each other
_FOOT, _BESIDE_PX = 0.2, 2.5  # of a red cell's edge: the share of its height from which on it is looked at, and how far beside the cell
_PLATELET_UM2 = 8.0
_PALLOR_UM2 = 30.0
_OPEN = ((90.0, 3.0), (97.0, 5.5))  # percentile of the room, and micrometres: where cells begin to lie, and lie gladly
_KEEP_SITES = 90
_KEEP_CHOICES = 50_000


@dataclass(frozen=True)
class Look:
    """What cells must be made to look like, so that they belong here; lengths in slide pixels."""

    glass: tuple[float, float, float]
    blur: float  # of an edge
    noise: float  # deviation on glass, of 255
    nucleus: tuple[float, float, float] | None  # density of this smear's own white cells, where it has any


@dataclass(frozen=True)
class _Sheet:
    """A field at the slide's scale and strength of stain."""

    path: Path
    density: NDArray[np.float16]
    room: NDArray[np.float16]  # pixels to the nearest red cell; 0 in it
    cells: NDArray[np.int32]  # which red cell or platelet a pixel belongs to; 0 for glass
    places: NDArray[np.int32]  # (n, 2) left, top of whole, usable patches


class RealBackground(BackgroundSource):
    """Patches of real fields on a lattice, joined where they agree (see `quilting`).

    Equal settings give equal pixels. Which fields are laid is decided by the seed: one is drawn, and those that look
    most like it join it.
    """

    def __init__(
        self,
        folder: Path,
        *,
        mpp: float,
        seed: int,
        glass: tuple[float, float, float],
        field_mpp: float | None = None,
        exclude: tuple[str, ...] = (),
        most_fields: int = FIELDS_A_SLIDE,
    ) -> None:
        self.folder, self.mpp, self._seed = folder, mpp, seed
        candidates = _alike(list_fields(folder, exclude), seed)
        self.field_mpp = field_mpp if field_mpp is not None else estimate_field_mpp(candidates[:6])
        fields, patch_px = _usable(candidates, self.field_mpp, most_fields)
        side = 2 * (int(min(patch_px * self.field_mpp / mpp, _LARGEST_UM / mpp)) // 2)
        overlap = 2 * (int(side * _OVERLAP_SHARE) // 2)
        self.lattice = Lattice(side - overlap, overlap)
        self._sheets = _sheets(fields, self.field_mpp, mpp, side)
        self.look = _look(self._sheets, fields, glass, mpp)
        clear = np.concatenate([sheet.room[::2, ::2].ravel() for sheet in self._sheets]).astype(np.float64)
        # Cells are laid where there is room for one, or on the clearest tenth where this smear has none.
        low, high = (float(min(np.percentile(clear, share), um / mpp)) for share, um in _OPEN)
        self._open = (low, high)
        self._quilt = Quilt(self.lattice, self._patch, self._cells)
        self._choices: dict[tuple[int, int], tuple[int, tuple[int, int], int]] = {}
        self._sites: OrderedDict[tuple[int, int], tuple[Patch, NDArray[np.float32]]] = OrderedDict()

    @property
    def files(self) -> list[Path]:
        """The fields that this slide is made of."""
        return sorted(sheet.path for sheet in self._sheets)

    def paint(self, left: int, top: int, right: int, bottom: int) -> Picture:
        total = np.zeros((bottom - top, right - left, 3), np.float32)
        most = np.zeros_like(total)
        layers = np.zeros(total.shape[:2], np.float32)
        side = self.lattice.side
        for column, row in self.lattice.sites(left, top, right, bottom):
            x, y = self.lattice.origin(column, row)
            u0, v0, u1, v1 = max(x, left), max(y, top), min(x + side, right), min(y + side, bottom)
            if u0 < u1 and v0 < v1:
                patch, weights = self._site(column, row)
                own = (slice(v0 - y, v1 - y), slice(u0 - x, u1 - x))
                here = (slice(v0 - top, v1 - top), slice(u0 - left, u1 - left))
                part = patch[own] * weights[own][..., None]
                total[here] += part
                np.maximum(most[here], part, out=most[here])
                layers[here] += weights[own]
        # Cells of two sites may lie on each other nearly whole, which cells of a smear do not: they must not look like a nucleus.
        twice = np.clip(layers - 1, 0, 1)[..., None]
        light = np.exp(-(total - _SUNK * twice * (total - most))) * np.array(self.look.glass, np.float32)
        return np.asarray(np.clip(np.rint(light), 0, 255), np.uint8)

    def room_at(self, xs: NDArray[np.float64], ys: NDArray[np.float64]) -> NDArray[np.float64]:
        found = np.zeros(len(xs))
        for index, (x, y) in enumerate(zip(np.rint(xs).astype(int).tolist(), np.rint(ys).astype(int).tolist(), strict=True)):
            near = self.lattice.sites(x, y, x + 1, y + 1)
            rooms = [self._room(column, row, x, y) for column, row in near]
            found[index] = min(room for room in rooms if room is not None)
        return found

    def weight_at(self, xs: NDArray[np.float64], ys: NDArray[np.float64]) -> NDArray[np.float32]:
        low, high = self._open
        share = np.clip((self.room_at(xs, ys) - low) / max(high - low, 1e-6), 0, 1)
        return np.asarray(share, np.float32)

    def _room(self, column: int, row: int, x: int, y: int) -> float | None:
        left, top = self.lattice.origin(column, row)
        side = self.lattice.side
        if not (left <= x < left + side and top <= y < top + side):
            return None
        sheet, (u, v), turn = self._choice(column, row)
        across, down = turned_place(x - left, y - top, side, turn)
        return float(sheet.room[v + down, u + across])

    def _site(self, column: int, row: int) -> tuple[Patch, NDArray[np.float32]]:
        key = (column, row)
        known = self._sites.get(key)
        if known is None:
            known = (self._patch(column, row), self._quilt.weights(column, row))
            self._sites[key] = known
            if len(self._sites) > _KEEP_SITES:
                self._sites.popitem(last=False)
        return known

    def _patch(self, column: int, row: int) -> Patch:
        return self._turned(column, row, "density").astype(np.float32)

    def _cells(self, column: int, row: int) -> NDArray[np.int32]:
        return self._turned(column, row, "cells")

    def _turned(self, column: int, row: int, layer: str) -> NDArray[Any]:
        sheet, (left, top), turn = self._choice(column, row)
        side = self.lattice.side
        part = np.rot90(getattr(sheet, layer)[top : top + side, left : left + side], turn % 4)
        return np.ascontiguousarray(part[:, ::-1] if turn >= 4 else part)

    def _choice(self, column: int, row: int) -> tuple[_Sheet, tuple[int, int], int]:
        """Return the field, the part of it and the turn that lie on a site."""
        key = (column, row)
        if key not in self._choices:
            if len(self._choices) >= _KEEP_CHOICES:
                self._choices.clear()
            self._choices[key] = self._choose(column, row)
        index, corner, turn = self._choices[key]
        return self._sheets[index], corner, turn

    def _choose(self, column: int, row: int) -> tuple[int, tuple[int, int], int]:
        rng = self._stream(column, row)
        wishes = rng.permutation(len(self._sheets))
        # The field that a neighbour wishes for most is left to it, so that no cell is seen twice side by side.
        taken = [int(self._stream(column + dx, row + dy).permutation(len(self._sheets))[0]) for dx, dy in ((-1, 0), (0, -1), (-1, -1))]
        mine = next((int(wish) for wish in wishes if int(wish) not in taken), int(wishes[0]))
        sheet = self._sheets[mine]
        left, top = sheet.places[int(rng.integers(len(sheet.places)))].tolist()
        return mine, (left, top), int(rng.integers(8))

    def _stream(self, column: int, row: int) -> np.random.Generator:
        return np.random.default_rng([self._seed, 0xF1E1D, column + 8, row + 8])


def estimate_field_mpp(paths: list[Path]) -> float:
    """Return microns per pixel of a folder's fields, from the size of their red cells."""
    found = []
    for path in paths:
        detector = plugins.find("smearscan.detectors", "nuclei")()
        try:
            found.append(detector.tuned(read_picture(path), None).estimated_mpp)
        except DetectorError:
            continue  # no red cells on this one
    if not found:
        raise ConfigError(f"{paths[0].parent}: no red cells were found to take the scale from. Give it (--backgrounds-mpp).")
    return float(np.median(found))


def _alike(paths: list[Path], seed: int) -> list[Path]:
    """Return the fields in the order of how much they look like one that the seed draws."""
    looks = np.array([field_look(path) for path in paths])
    usual = np.flatnonzero((looks[:, -1] > COVER[0]) & (looks[:, -1] < COVER[1]))
    first = int(np.random.default_rng([seed, 0xF1E1D]).choice(usual if len(usual) else np.arange(len(paths))))
    # Files that stand side by side were mostly taken side by side.
    beside = (np.arange(len(paths)) - first) / _NEAR_FILES
    away = np.sqrt(((looks - looks[first]) ** 2).sum(1) + beside**2)
    return [paths[index] for index in np.lexsort((np.arange(len(paths)), away))]


def _usable(paths: list[Path], mpp: float, most: int) -> tuple[list[FieldPicture], int]:
    """Return the first fields from which patches can be cut, and how large those are, in field pixels.

    Large patches leave more cells whole and are preferred as long as enough fields have room for them.
    """
    read: list[FieldPicture] = []
    for path in paths[: 2 * most]:
        read.append(read_field(path, mpp))
        if len(read) >= most:
            found = _with_room(read, mpp, _SHARES[:3], most)
            if found:
                return found
    for fewest in (_FEWEST, 1):
        found = _with_room(read, mpp, _SHARES, fewest)
        if found:
            return found[0][:most], found[1]
    raise ConfigError(f"{paths[0].parent} has no field with a large enough part free of white cells, drawings and shadows.")


def _with_room(fields: list[FieldPicture], mpp: float, shares: tuple[float, ...], fewest: int) -> tuple[list[FieldPicture], int] | None:
    """Return the fields with room for a patch, for the largest patch for which there are `fewest`."""
    for share in shares:
        side = int(min(share * min(fields[0].unusable.shape), _LARGEST_UM / mpp))
        good = [field for field in fields if len(_places(_bordered(field.unusable, mpp), side))]
        if len(good) >= fewest:
            return good, side
    return None


def _bordered(unusable: NDArray[np.bool_], mpp: float) -> NDArray[np.bool_]:
    width = max(2, round(_EDGE_UM / mpp))
    out = np.ones_like(unusable)
    out[width:-width, width:-width] = unusable[width:-width, width:-width]
    return out


def _places(unusable: NDArray[np.bool_], side: int) -> NDArray[np.int32]:
    """Return left, top of every square of `side` without an unusable pixel, on a coarse grid."""
    if min(unusable.shape) < side:
        return np.zeros((0, 2), np.int32)
    total = cv2.integral(unusable.astype(np.uint8))
    inside = total[side:, side:] - total[:-side, side:] - total[side:, :-side] + total[:-side, :-side]
    tops, lefts = np.nonzero(inside[::_STRIDE, ::_STRIDE] == 0)
    return np.stack([lefts, tops], 1).astype(np.int32) * _STRIDE


def _sheets(fields: list[FieldPicture], field_mpp: float, mpp: float, side: int) -> list[_Sheet]:
    target = np.median([field.red_cell for field in fields], axis=0)
    sheets = []
    for field in fields:
        gain = np.clip(target / np.maximum(field.red_cell, 0.01), 0.6, 1.7).astype(np.float32)
        density = _resized(field.density * gain, field_mpp / mpp)
        bad = _resized(_bordered(field.unusable, field_mpp).astype(np.float32), field_mpp / mpp) > 0.01
        places = _places(bad, side)
        if len(places):
            room, cells = _room_and_cells(density, mpp)
            sheets.append(_Sheet(field.path, density.astype(np.float16), room, cells, places))
    if not sheets:
        raise ConfigError("No field has a part large enough for a patch. Choose other --backgrounds, or give --backgrounds-mpp.")
    return sheets


def _resized(layers: NDArray[np.float32], factor: float) -> NDArray[np.float32]:
    size = (max(1, round(layers.shape[1] * factor)), max(1, round(layers.shape[0] * factor)))
    way = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(layers, size, interpolation=way), np.float32)


def _room_and_cells(density: Density, mpp: float) -> tuple[NDArray[np.float16], NDArray[np.int32]]:
    """Return how far each pixel lies from the nearest red cell (platelets are no hindrance), and which cell it belongs to."""
    matter = cv2.blur(density[..., 1], (3, 3)) > MATTER
    _, holes, stats, _ = cv2.connectedComponentsWithStats((~matter).astype(np.uint8))
    pallor = stats[:, cv2.CC_STAT_AREA] * mpp * mpp < _PALLOR_UM2  # the pale middle of a ring is no room
    pallor[0] = False
    solid = (matter | pallor[holes]).astype(np.uint8)
    _, parts, stats, _ = cv2.connectedComponentsWithStats(solid)
    large = stats[:, cv2.CC_STAT_AREA] * mpp * mpp >= _PLATELET_UM2
    large[0] = False
    room = cv2.distanceTransform((~large[parts]).astype(np.uint8), cv2.DIST_L2, 5)
    return room.astype(np.float16), _single_cells(solid, mpp)


def _single_cells(solid: NDArray[np.uint8], mpp: float) -> NDArray[np.int32]:
    """Number the cells, with those that touch parted at their waists and the soft rim of each its own."""
    depth = cv2.GaussianBlur(cv2.distanceTransform(solid, cv2.DIST_L2, 5), (0, 0), max(1.0, 0.4 / mpp))
    around = cv2.dilate(depth, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * round(1.8 / mpp) + 1,) * 2))
    tops = ((depth >= around) & (solid > 0)).astype(np.uint8)
    markers, _ = ndimage.label(tops, np.ones((3, 3)))
    rim = cv2.dilate(solid, np.ones((5, 5), np.uint8)) > 0
    return np.asarray(watershed(-depth, markers, mask=rim), np.int32)  # type: ignore[no-untyped-call]


def _look(sheets: list[_Sheet], fields: list[FieldPicture], glass: tuple[float, float, float], mpp: float) -> Look:
    blurs, noises = [], []
    for sheet in sheets:
        green = sheet.density[..., 1].astype(np.float32)
        blur = _blur_of_edges(green, sheet.room)
        if blur is not None:
            blurs.append(blur)
        bare = sheet.room > 1.0 / mpp
        fine = green - cv2.GaussianBlur(green, (0, 0), 1.5)
        if bare.sum() > 50:
            noises.append(1.48 * float(np.median(np.abs(fine[bare]))) * glass[1])
    nuclei = [field.nucleus for field in fields if field.nucleus is not None]
    nucleus = tuple(np.median(nuclei, axis=0).tolist()) if nuclei else None
    return Look(glass, float(np.median(blurs)) if blurs else 1.0, float(np.median(noises)) if noises else 1.0, nucleus)


def _blur_of_edges(green: NDArray[np.float32], room: NDArray[np.float16]) -> float | None:
    """Return how blurred the sharper edges of red cells are, whether the cells are dark or pale; None where there are hardly any."""
    matter = green[green > MATTER]
    if not len(matter):
        return None
    height = float(np.percentile(matter, 70))
    # From a share of the cells' own height on: a fixed density would lie high up the flank of a pale cell, and miss where it is steep.
    cells = green > _FOOT * height
    rim = cells & (room <= _BESIDE_PX) & (cv2.erode(cells.astype(np.uint8), np.ones((5, 5), np.uint8)) == 0)
    if rim.sum() <= 50:
        return None
    slope = np.hypot(cv2.Sobel(green, cv2.CV_32F, 1, 0, scale=1 / 8), cv2.Sobel(green, cv2.CV_32F, 0, 1, scale=1 / 8))
    seen = height / (np.sqrt(2 * np.pi) * float(np.percentile(slope[rim], 85)))
    return float(np.sqrt(max(seen**2 - 0.8**2, 0.3**2)))  # the gradient's own smoothing


def turned_place(x: int, y: int, side: int, turn: int) -> tuple[int, int]:
    """Return where a pixel of a turned patch lies in the patch as it was cut."""
    if turn >= 4:
        x = side - 1 - x
    for _ in range(turn % 4):
        x, y = side - 1 - y, x
    return x, y
