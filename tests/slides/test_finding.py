"""What is found below a folder: each slide once, sorted, and everything else with a reason."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from smearscan.errors import ConfigError, UnreadableSlide
from smearscan.results import NOTICE, Picture
from smearscan.slides import files_of, find_slides, open_slide

PIXELS = np.full((32, 32, 3), 180, np.uint8)


def tiff(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, PIXELS, photometric="rgb")
    return path


def touch(path: Path, data: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def keys(*paths: Path) -> list[str]:
    return [slide.key for slide in find_slides(paths).slides]


def reasons(*paths: Path) -> dict[str, str]:
    return {rejected.path.name: rejected.reason for rejected in find_slides(paths).rejected}


def test_folders_are_searched_recursively_and_sorted(tmp_path: Path) -> None:
    for name in ("b.tif", "day2/a.svs", "day1/z.ndpi", "day1/deep/y.png", "A.TIFF"):
        touch(tmp_path / name)
    assert keys(tmp_path) == ["A.TIFF", "b.tif", "day1/deep/y.png", "day1/z.ndpi", "day2/a.svs"]
    assert all(slide.path.is_file() for slide in find_slides([tmp_path]).slides)


def test_a_file_is_known_by_its_name(tmp_path: Path) -> None:
    assert keys(touch(tmp_path / "day1" / "a.tif")) == ["a.tif"]


def test_what_is_named_like_a_slide_is_found_even_if_it_is_none(tmp_path: Path) -> None:
    """Opening it will say so; not finding it would be a silent skip."""
    touch(tmp_path / "empty.svs", b"")
    touch(tmp_path / "text.svs", b"this is a letter")
    assert keys(tmp_path) == ["empty.svs", "text.svs"]
    with pytest.raises(UnreadableSlide, match=r"empty\.svs .*0 bytes"):
        open_slide(tmp_path / "empty.svs")
    with pytest.raises(UnreadableSlide, match=r"text\.svs .*'this is a letter'"):
        open_slide(tmp_path / "text.svs")


def test_a_slide_without_a_telling_name_is_known_by_its_bytes(tmp_path: Path) -> None:
    tiff(tmp_path / "a.tif").rename(tmp_path / "scan0001")
    Image.fromarray(PIXELS).save(tmp_path / "field.dat", format="PNG")
    assert keys(tmp_path) == ["field.dat", "scan0001"]


def test_the_rest_is_listed_with_a_reason(tmp_path: Path) -> None:
    touch(tmp_path / "notes.txt", b"hello")
    touch(tmp_path / "nothing.bin", b"")
    touch(tmp_path / "old.nd2")
    touch(tmp_path / "half.tif.partial")
    (tmp_path / "lost.svs").symlink_to(tmp_path / "gone.svs")
    os.mkfifo(tmp_path / "pipe")
    found = find_slides([tmp_path])
    assert found.slides == ()
    said = {rejected.path.name: rejected for rejected in found.rejected}
    assert "neither its name nor its first bytes" in said["notes.txt"].reason
    assert "0 bytes" in said["nothing.bin"].reason
    assert "Nikon ND2" in said["old.nd2"].reason
    assert "still being written" in said["half.tif.partial"].reason
    assert "points to nothing" in said["lost.svs"].reason
    assert "no regular file" in said["pipe"].reason
    assert {name for name, rejected in said.items() if rejected.may_be_slide} == {"old.nd2", "lost.svs", "half.tif.partial"}


def test_hidden_files_and_folders_are_left_alone(tmp_path: Path) -> None:
    for name in (".hidden.tif", "._a.tif", ".cache/b.tif", "c.tif"):
        touch(tmp_path / name)
    found = find_slides([tmp_path])
    assert [slide.key for slide in found.slides] == ["c.tif"]
    assert found.rejected == ()


def test_the_pictures_of_a_report_beside_the_slides_are_no_slides(tmp_path: Path) -> None:
    tiff(tmp_path / "a.tif")
    record = json.dumps({"notice": NOTICE}).encode()
    for folder, name in (("report/slides/a.tif", "slide.json"), ("compared", "comparison.json")):
        touch(tmp_path / folder / name, record)
        tiff(tmp_path / folder / "overlays" / "map.tif")
    touch(tmp_path / "mine" / "slide.json", b"{}")
    tiff(tmp_path / "mine" / "b.tif")
    found = find_slides([tmp_path])
    assert [slide.key for slide in found.slides] == ["a.tif", "mine/b.tif"]
    said = {rejected.path: rejected for rejected in found.rejected}
    for folder in (tmp_path / "report" / "slides" / "a.tif", tmp_path / "compared"):
        assert "results of smearscan" in said[folder].reason
        assert not said[folder].may_be_slide


def test_links_are_followed_once_and_loops_end(tmp_path: Path) -> None:
    touch(tmp_path / "slides" / "day2" / "a.tif")
    (tmp_path / "slides" / "day1").mkdir()
    (tmp_path / "slides" / "day1" / "loop").symlink_to(tmp_path / "slides")
    (tmp_path / "slides" / "day1" / "link").symlink_to(tmp_path / "slides" / "day2")
    touch(tmp_path / "archive" / "b.tif")
    (tmp_path / "slides" / "more").symlink_to(tmp_path / "archive")
    assert keys(tmp_path / "slides") == ["day2/a.tif", "more/b.tif"]


def test_one_file_under_two_names_is_scanned_once_and_said(tmp_path: Path) -> None:
    touch(tmp_path / "b.tif")
    (tmp_path / "a.tif").symlink_to(tmp_path / "b.tif")
    assert keys(tmp_path) == ["b.tif"]
    assert reasons(tmp_path) == {"a.tif": "it is the same file as b.tif, which is scanned"}


def test_paths_given_twice_count_once(tmp_path: Path) -> None:
    slide = touch(tmp_path / "day1" / "a.tif")
    found = find_slides([tmp_path, tmp_path / "day1", slide])
    assert [entry.key for entry in found.slides] == ["day1/a.tif"]
    assert found.rejected == ()


def test_equal_names_below_several_folders_get_the_folders_names(tmp_path: Path) -> None:
    for name in ("x/day/a.tif", "y/day/a.tif", "y/day/b.tif"):
        touch(tmp_path / name)
    expected = ["b.tif", "x/day/a.tif", "y/day/a.tif"]
    assert keys(tmp_path / "x" / "day", tmp_path / "y" / "day") == expected
    assert keys(tmp_path / "y" / "day", tmp_path / "x" / "day") == expected
    assert keys(tmp_path / "x" / "day" / "a.tif", tmp_path / "y") == ["a.tif", "day/a.tif", "day/b.tif"]


def test_a_missing_path_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere does not exist"):
        find_slides([tmp_path / "nowhere"])


ASK_AS_NOBODY = """
import json, os, sys
from pathlib import Path
from smearscan.errors import SlideError
from smearscan.slides import find_slides, open_slide
import openslide, tifffile, smearscan.slides.tifffile_reader, smearscan.slides.openslide_reader
if os.geteuid() == 0:
    os.setuid(65534)  # nothing is forbidden to root
found = find_slides([Path(path) for path in sys.argv[1:]])
said = {slide.key: None for slide in found.slides} | {other.path.name: [other.reason, other.may_be_slide] for other in found.rejected}
for slide in found.slides:
    try:
        open_slide(slide.path, mpp=0.25).close()
    except SlideError as error:
        said[slide.key] = str(error)
print(json.dumps(said))
"""


@pytest.mark.skipif(not hasattr(os, "setuid"), reason="permissions are another matter on this system")
def test_without_permission() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        tiff(folder / "open" / "a.tif")
        tiff(folder / "locked" / "b.tif")
        tiff(folder / "locked_too" / "c.tif")
        tiff(folder / "unreadable.tif").chmod(0)
        touch(folder / "unreadable.bin").chmod(0)
        for locked in (folder / "locked", folder / "locked_too"):
            locked.chmod(0)
        command = [sys.executable, "-c", ASK_AS_NOBODY, str(folder), str(folder / "locked_too")]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        for locked in (folder / "locked", folder / "locked_too"):
            locked.chmod(0o755)
    assert json.loads(done.stdout) == {
        "open/a.tif": None,
        "unreadable.tif": "unreadable.tif cannot be opened: Permission denied.",
        "unreadable.bin": ["it cannot be read: Permission denied", True],
        "locked": ["it cannot be looked at: Permission denied", True],
        "locked_too": ["it cannot be looked at: Permission denied", True],
    }


def test_an_mrxs_and_its_folder_are_one_slide(tmp_path: Path) -> None:
    touch(tmp_path / "a.mrxs")
    for name in ("Slidedat.ini", "Index.dat", "Data0000.dat", "preview.jpg"):
        touch(tmp_path / "a" / name, b"1234")
    found = find_slides([tmp_path])
    assert [slide.key for slide in found.slides] == ["a.mrxs"]
    assert found.rejected == ()
    assert keys(tmp_path / "a.mrxs", tmp_path / "a") == ["a.mrxs"]
    assert keys(tmp_path / "a") == ["a.mrxs"]
    assert len(files_of(tmp_path / "a.mrxs")) == 5


def test_a_vms_and_the_files_it_names_are_one_slide(tmp_path: Path) -> None:
    index = "[Virtual Microscope Specimen]\nImageFile=a.jpg\nImageFile(0,1)=a_1.jpg\nMapFile=a_map.jpg\nOptimisationFile=a.opt\nDate=\n"
    touch(tmp_path / "a.vms", index.encode())
    for name in ("a.jpg", "a_1.jpg", "a_map.jpg", "a.opt", "other.jpg"):
        touch(tmp_path / name)
    found = find_slides([tmp_path])
    assert [slide.key for slide in found.slides] == ["a.vms", "other.jpg"]
    assert found.rejected == ()
    assert keys(*sorted(tmp_path.iterdir())) == ["a.vms", "other.jpg"]


def test_a_zarr_folder_is_one_slide_and_is_not_searched(tmp_path: Path) -> None:
    touch(tmp_path / "a.ome.zarr" / "0" / "c.png")
    touch(tmp_path / "unnamed" / ".zgroup", b"{}")
    touch(tmp_path / "unnamed" / "0" / "c.png")
    assert keys(tmp_path) == ["a.ome.zarr", "unnamed"]
    assert keys(tmp_path / "a.ome.zarr") == ["a.ome.zarr"]


def test_a_dicom_series_is_one_slide(tmp_path: Path, dicom_writer: Callable[..., Path], drawn: Picture) -> None:
    folder = tmp_path / "case"
    folder.mkdir()
    dicom_writer(folder / "0_label.dcm", drawn[:40, :50], image_type="ORIGINAL\\PRIMARY\\LABEL\\NONE")
    dicom_writer(folder / "1.dcm", drawn)
    dicom_writer(folder / "2", drawn[::2, ::2], mpp=0.5)
    dicom_writer(folder / "other.dcm", drawn, series="1.2.4")
    dicom_writer(folder / "lung.dcm", drawn, series="1.2.5", sop_class="1.2.840.10008.5.1.4.1.1.2")
    found = find_slides([tmp_path])
    assert [slide.key for slide in found.slides] == ["case/1.dcm", "case/other.dcm"]
    assert {rejected.path.name: rejected.reason for rejected in found.rejected} == {"lung.dcm": "it is DICOM, but no whole-slide image"}
    assert keys(*sorted(folder.iterdir())) == ["1.dcm", "other.dcm"]
    assert keys(folder / "2") == ["2"]
    assert {file.name for file in files_of(folder / "1.dcm")} == {"1.dcm", "2", "0_label.dcm"}


def test_the_order_of_the_file_system_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("c.tif", "a.tif", "b/d.tif", "x.txt", "b/e.txt"):
        touch(tmp_path / name)
    expected = find_slides([tmp_path])
    listing = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda folder: iter(sorted(listing(folder), reverse=True)))
    assert find_slides([tmp_path]) == expected
