"""OME-Zarr: axes, scale, planes, channels, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from numpy.typing import NDArray

from smearscan.errors import UnreadableSlide
from smearscan.slides import open_slide


def noise(*shape: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def write(
    path: Path, data: NDArray[Any], axes: str, *, group: str = "", unit: str | None = "micrometer", scale: float = 0.25, **more: Any
) -> Path:
    root = zarr.open_group(store=str(path), mode="w", zarr_format=3)
    target = root.create_group(group) if group else root
    target.create_array("s0", data=data, chunks=tuple(min(size, 32) for size in data.shape))
    spatial = {"unit": unit} if unit else {}
    described = [{"name": axis} | (spatial if axis in "zyx" else {}) for axis in axes]
    steps = [{"type": "scale", "scale": [scale if axis in "yx" else 1.0 for axis in axes]}]
    multiscales = [{"axes": described, "datasets": [{"path": "s0", "coordinateTransformations": steps}]}]
    target.attrs["ome"] = {"version": "0.5", "multiscales": multiscales} | more
    if group:
        root.attrs["ome"] = {"version": "0.5", "bioformats2raw.layout": 3}
    return path


@pytest.mark.parametrize(("shape", "axes"), [((40, 50), "yx"), ((3, 40, 50), "cyx"), ((40, 50, 3), "yxc"), ((1, 1, 1, 40, 50), "tczyx")])
def test_axes_in_any_order(tmp_path: Path, shape: tuple[int, ...], axes: str) -> None:
    data = noise(*shape)
    with open_slide(write(tmp_path / "a.zarr", data, axes)) as slide:
        read = slide.read((3, 4, 45, 39))
    last = np.moveaxis(data, axes.index("c"), -1).reshape(40, 50, -1) if "c" in axes else data[..., None]
    np.testing.assert_array_equal(read, np.broadcast_to(last, (40, 50, 3))[4:39, 3:45])


def test_the_middle_plane_is_used_and_said(tmp_path: Path) -> None:
    data = noise(3, 5, 40, 50)
    with open_slide(write(tmp_path / "a.zarr", data, "czyx")) as slide:
        assert "z-stack of 5 planes: plane 3 is used" in slide.info.notes
        np.testing.assert_array_equal(slide.read((0, 0, 50, 40)), data[:, 2].transpose(1, 2, 0))


def test_alpha_is_laid_on_white(tmp_path: Path) -> None:
    data = noise(4, 40, 50)
    data[3, :20], data[3, 20:] = 0, 255
    with open_slide(write(tmp_path / "a.zarr", data, "cyx")) as slide:
        read = slide.read((0, 0, 50, 40))
    assert (read[:20] == 255).all()
    np.testing.assert_array_equal(read[20:], data[:3, 20:].transpose(1, 2, 0))


@pytest.mark.parametrize(
    ("unit", "scale", "mpp"), [("micrometer", 0.25, 0.25), ("nanometer", 250.0, 0.25), ("millimeter", 0.00025, 0.25), (None, 0.25, None)]
)
def test_scale(tmp_path: Path, unit: str | None, scale: float, mpp: float | None) -> None:
    with open_slide(write(tmp_path / "a.zarr", noise(3, 40, 50), "cyx", unit=unit, scale=scale), scale_needed=False) as slide:
        assert slide.info.mpp == (None if mpp is None else pytest.approx(mpp))
        assert any("without a unit" in note for note in slide.info.notes) == (unit is None)


def test_the_layout_of_bioformats2raw(tmp_path: Path) -> None:
    data = noise(3, 40, 50)
    with open_slide(write(tmp_path / "a.zarr", data, "cyx", group="0")) as slide:
        np.testing.assert_array_equal(slide.read((0, 0, 50, 40)), data.transpose(1, 2, 0))


@pytest.mark.parametrize(
    ("data", "axes", "more", "reason"),
    [
        (np.zeros((3, 40, 50), np.uint16), "cyx", {}, "uint16"),
        (np.zeros((2, 40, 50), np.uint8), "cyx", {}, "2 channels"),
        (np.zeros((9, 40, 50), np.uint8), "tyx", {}, "time series of 9"),
        (np.zeros((40, 50, 3), np.uint8), "yxq", {}, "axes are y, x, q"),
        (
            np.zeros((3, 40, 50), np.uint8),
            "cyx",
            {"omero": {"channels": [{"color": "0000FF"}, {"color": "00FF00"}, {"color": "FF0000"}]}},
            "colours of their own",
        ),
    ],
)
def test_refusals_say_why(tmp_path: Path, data: NDArray[Any], axes: str, more: dict[str, Any], reason: str) -> None:
    with pytest.raises(UnreadableSlide, match=reason):
        open_slide(write(tmp_path / "a.zarr", data, axes, **more))


def test_a_zarr_that_is_no_picture(tmp_path: Path) -> None:
    zarr.open_group(store=str(tmp_path / "plain.zarr"), mode="w")
    (tmp_path / "empty.zarr").mkdir()
    with pytest.raises(UnreadableSlide, match="no multiscales"):
        open_slide(tmp_path / "plain.zarr")
    with pytest.raises(UnreadableSlide, match=r"empty\.zarr"):
        open_slide(tmp_path / "empty.zarr")


def test_one_damaged_chunk_does_not_spoil_the_others(tmp_path: Path) -> None:
    data = noise(3, 64, 64)
    path = write(tmp_path / "a.zarr", data, "cyx")
    (path / "s0" / "c" / "0" / "1" / "1").write_bytes(b"damaged")
    with open_slide(path) as slide:
        with pytest.raises(UnreadableSlide, match=r"a\.zarr: the box \(30, 30, 40, 40\) of level 0"):
            slide.read((30, 30, 40, 40))
        np.testing.assert_array_equal(slide.read((0, 0, 32, 64)), data[:, :, :32].transpose(1, 2, 0))
