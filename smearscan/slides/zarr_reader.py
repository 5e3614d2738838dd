"""OME-Zarr (NGFF 0.4 and 0.5), through zarr."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smearscan.results import Box, Level, Picture, SlideInfo
from smearscan.slides.base import Slide
from smearscan.slides.colours import lay_on_white, widen
from smearscan.slides.damage import Damaged, library_call
from smearscan.slides.scale import LENGTH_UM
from smearscan.slides.side_files import bytes_on_disk


@dataclass(frozen=True)
class _Layout:
    """What the metadata says: the arrays of the pyramid and the meaning of their axes."""

    version: str
    group: str  # path inside the store: "" or, as bioformats2raw writes it, "0"
    datasets: tuple[str, ...]
    axes: tuple[str, ...]
    plane: int  # of the z axis
    channels: int
    claimed_mpp: tuple[float, float] | None
    notes: tuple[str, ...]


class ZarrSlide(Slide):
    """A folder that holds an OME-Zarr picture."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._layout = _read_layout(path)
        self.claimed_mpp = self._layout.claimed_mpp
        arrays = _open_arrays(path, self._layout)
        axes = self._layout.axes
        y, x = axes.index("y"), axes.index("x")
        first = arrays[0].shape
        levels = tuple(
            Level(
                index,
                int(array.shape[x]),
                int(array.shape[y]),
                (first[x] / array.shape[x] + first[y] / array.shape[y]) / 2,
                int(array.chunks[x]),
                int(array.chunks[y]),
            )
            for index, array in enumerate(arrays)
        )
        super().__init__(
            SlideInfo(
                path=path,
                reader=f"zarr (NGFF {self._layout.version})",
                width=levels[0].width,
                height=levels[0].height,
                mpp=None,
                mpp_source=None,
                levels=levels,
                notes=self._layout.notes,
                bytes_on_disk=bytes_on_disk(path),
            )
        )

    def _open_handle(self) -> Any:
        return _open_arrays(self._path, self._layout)

    @staticmethod
    def _close_handle(handle: Any) -> None:
        """A zarr array on a folder holds no file open."""

    def _read_inside(self, handle: Any, box: Box, level: int) -> Picture:
        left, top, right, bottom = box
        layout = self._layout
        picks = {"t": 0, "z": layout.plane, "c": slice(None), "y": slice(top, bottom), "x": slice(left, right)}
        with library_call("a chunk is damaged"):
            part = np.asarray(handle[level][tuple(picks[axis] for axis in layout.axes)])
        remaining = [axis for axis in layout.axes if axis in "cyx"]
        if "c" not in remaining:
            return widen(part)
        pixels = part.transpose([remaining.index(axis) for axis in "yxc"])
        return _to_rgb(pixels)


def _to_rgb(pixels: NDArray[np.uint8]) -> Picture:
    channels = pixels.shape[2]
    if channels == 1:
        return widen(pixels[..., 0])
    return lay_on_white(pixels[..., :3], pixels[..., 3]) if channels == 4 else np.ascontiguousarray(pixels)


def _open_arrays(path: Path, layout: _Layout) -> list[Any]:
    import zarr

    with library_call("its Zarr arrays are damaged"):
        group = zarr.open_group(store=str(path), mode="r", path=layout.group or None)
        return [group[name] for name in layout.datasets]


def _read_layout(path: Path) -> _Layout:
    import zarr

    with library_call("its OME-Zarr metadata are damaged"):
        root = zarr.open_group(store=str(path), mode="r")
        group_path, attributes = "", _ome(root)
        if "multiscales" not in attributes and "bioformats2raw.layout" in attributes:
            group_path, attributes = "0", _ome(root["0"])
        if "multiscales" not in attributes:
            raise Damaged("it holds no OME-Zarr picture: its metadata have no multiscales")
        multiscales = attributes["multiscales"][0]
        axes = tuple(_axis_name(axis) for axis in multiscales.get("axes", "tczyx"))
        datasets = tuple(str(dataset["path"]) for dataset in multiscales["datasets"])
        version = str(attributes.get("version", multiscales.get("version", "unknown")))
        layout = _Layout(version, group_path, datasets, axes, 0, 0, None, ())
        arrays = _open_arrays(path, layout)
        _refuse_arrays(arrays, axes)
        plane, notes = _choose_plane(arrays[0].shape, axes)
        channels = int(arrays[0].shape[axes.index("c")]) if "c" in axes else 1
        _refuse_channels(channels, attributes)
        claimed, scale_notes = _claimed_mpp(multiscales, axes)
    return _Layout(version, group_path, _pyramid(arrays, datasets, axes), axes, plane, channels, claimed, notes + scale_notes)


def _ome(group: Any) -> Mapping[str, Any]:
    """Return the OME metadata: NGFF 0.5 keeps them under "ome", 0.4 beside everything else."""
    attributes = dict(group.attrs)
    ome = attributes.get("ome")
    return ome if isinstance(ome, Mapping) else attributes


def _axis_name(axis: Any) -> str:
    return str(axis["name"] if isinstance(axis, Mapping) else axis).lower()


def _refuse_arrays(arrays: Sequence[Any], axes: Sequence[str]) -> None:
    if not arrays:
        raise Damaged("its metadata list no pyramid level")
    if len(set(axes)) != len(axes) or not {"y", "x"} <= set(axes) <= set("tczyx"):
        raise Damaged(f"its axes are {', '.join(axes)}; y, x and at most t, c and z are read")
    for array in arrays:
        if len(array.shape) != len(axes) or 0 in array.shape:
            raise Damaged(f"a level has the shape {tuple(array.shape)} where its axes are {', '.join(axes)}")
        if array.dtype != np.uint8:
            raise Damaged(f"its pixels are {array.dtype} numbers; only 8-bit unsigned pictures are read: save it as 8-bit RGB")
        if "t" in axes and array.shape[axes.index("t")] > 1:
            raise Damaged(f"it holds a time series of {array.shape[axes.index('t')]} pictures: save the one to scan")


def _choose_plane(shape: Sequence[int], axes: Sequence[str]) -> tuple[int, tuple[str, ...]]:
    planes = int(shape[axes.index("z")]) if "z" in axes else 1
    if planes == 1:
        return 0, ()
    return planes // 2, (f"z-stack of {planes} planes: plane {planes // 2 + 1} is used",)


def _refuse_channels(channels: int, attributes: Mapping[str, Any]) -> None:
    if channels not in (1, 3, 4):
        raise Damaged(f"it holds {channels} channels that are no red, green and blue: save it as RGB")
    shown = attributes.get("omero", {}).get("channels", [])
    colours = [str(channel.get("color", "")).upper().lstrip("#")[:6] for channel in shown]
    if channels > 1 and len(set(colours)) == channels and "" not in colours and colours[:3] != ["FF0000", "00FF00", "0000FF"]:
        raise Damaged("its channels have colours of their own and are no red, green and blue: save it as RGB")


def _pyramid(arrays: Sequence[Any], datasets: Sequence[str], axes: Sequence[str]) -> tuple[str, ...]:
    """Return the levels that get smaller and keep the planes and channels of the first."""
    y, x = axes.index("y"), axes.index("x")
    fixed = [position for position, axis in enumerate(axes) if axis in "tcz"]
    kept = [0]
    for index in range(1, len(arrays)):
        shape, last, first = arrays[index].shape, arrays[kept[-1]].shape, arrays[0].shape
        if shape[x] < last[x] and shape[y] <= last[y] and all(shape[position] == first[position] for position in fixed):
            kept.append(index)
    return tuple(datasets[index] for index in kept)


def _claimed_mpp(multiscales: Mapping[str, Any], axes: Sequence[str]) -> tuple[tuple[float, float] | None, tuple[str, ...]]:
    steps = [*multiscales["datasets"][0].get("coordinateTransformations", []), *multiscales.get("coordinateTransformations", [])]
    scales = [step["scale"] for step in steps if step.get("type") == "scale"]
    if not scales:
        return None, ()
    sizes = []
    for name in "xy":
        position = axes.index(name)
        axis = multiscales["axes"][position] if "axes" in multiscales else {}
        unit_um = LENGTH_UM.get(str(axis.get("unit", "")).lower()) if isinstance(axis, Mapping) else None
        if unit_um is None:
            return None, ("the file gives its scale without a unit of length: it is not used",)
        sizes.append(float(np.prod([float(scale[position]) for scale in scales])) * unit_um)
    return ((sizes[0], sizes[1]), ()) if min(sizes) > 0 else (None, ())
