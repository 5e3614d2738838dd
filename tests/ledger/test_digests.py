"""A digest changes when the slide does, as far as it says."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from smearscan.errors import UnreadableSlide
from smearscan.ledger import digests, input_digest
from smearscan.slides import files_of


@pytest.fixture
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sample from 1000 bytes on, 32 places of 10 bytes."""
    monkeypatch.setattr(digests, "WHOLE_BYTES", 1000)
    monkeypatch.setattr(digests, "PLACE_BYTES", 10)


def test_of_a_small_file_it_is_what_sha256sum_prints(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(b"pixels" * 1000)
    assert input_digest(tmp_path / "a.tif") == "sha256:" + hashlib.sha256(b"pixels" * 1000).hexdigest()
    (tmp_path / "empty.tif").touch()
    assert input_digest(tmp_path / "empty.tif") == "sha256:" + hashlib.sha256().hexdigest()


def test_neither_name_nor_date_of_a_file_counts(tmp_path: Path) -> None:
    for name in ("a.tif", "b.tif"):
        (tmp_path / name).write_bytes(b"x" * 100)
    assert input_digest(tmp_path / "a.tif") == input_digest(tmp_path / "b.tif")


@pytest.mark.usefixtures("small_limits")
def test_of_a_large_file_32_places_count_and_the_size(tmp_path: Path) -> None:
    path, content = tmp_path / "a.tif", bytes(range(250)) * 8
    path.write_bytes(content)
    first = input_digest(path)
    assert first.startswith("sha256-of-samples:")
    noticed, tried = set(), {*range(0, 2000, 9), 9, 10, 1989, 1999}
    for place in tried:
        path.write_bytes(content[:place] + b"\xff" + content[place + 1 :])
        if input_digest(path) != first:
            noticed.add(place)
    expected = {number * (2000 - 10) // 31 + offset for number in range(32) for offset in range(10)}
    assert noticed == expected & tried
    assert {0, 9, 1999} <= noticed < tried
    path.write_bytes(content + b"\0")
    assert input_digest(path) != first


@pytest.mark.usefixtures("small_limits")
def test_a_file_one_byte_beyond_the_limit_is_sampled(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(b"x" * 1000)
    (tmp_path / "b.tif").write_bytes(b"x" * 1001)
    assert input_digest(tmp_path / "a.tif").startswith("sha256:")
    assert input_digest(tmp_path / "b.tif").startswith("sha256-of-samples:")


def make_folder(folder: Path, chunk: int) -> Path:
    (folder / "0" / "c").mkdir(parents=True)
    (folder / "zarr.json").write_text('{"scale": 0.25}')
    for number in range(4):
        (folder / "0" / "c" / str(number)).write_bytes(bytes([number]) * chunk)
    return folder


def test_all_files_of_a_folder_count(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "a.zarr", 100)
    first = input_digest(folder)
    assert first.startswith("sha256-of-files:")
    assert input_digest(make_folder(tmp_path / "copy.zarr", 100)) == first, "a copy is the same slide"
    (folder / "0" / "c" / "3").write_bytes(b"y" * 100)
    changed = input_digest(folder)
    (folder / "0" / "c" / "3").rename(folder / "0" / "c" / "4")
    assert len({first, changed, input_digest(folder)}) == 3, "content and names"
    (folder / "0" / "c" / "4").unlink()
    assert input_digest(folder) not in {first, changed}


@pytest.mark.usefixtures("small_limits")
def test_the_description_of_a_large_folder_counts_in_full(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "a.zarr", 1000)
    first = input_digest(folder)
    assert first.startswith("sha256-of-samples:")
    (folder / "zarr.json").write_text('{"scale": 0.50}')
    assert input_digest(folder) != first
    (folder / "zarr.json").write_text('{"scale": 0.25}')
    assert input_digest(folder) == first
    (folder / "0" / "c" / "2").write_bytes(bytes([9]) * 1000)
    assert input_digest(folder) != first


def test_the_files_beside_an_index_count(tmp_path: Path) -> None:
    for name in ("a.dcm", "b.dcm", "c.dcm"):
        (tmp_path / name).write_text(name)

    def first_two(path: Path) -> list[Path]:
        return [tmp_path / "b.dcm", path]

    first = input_digest(tmp_path / "a.dcm", first_two)
    assert first == input_digest(tmp_path / "a.dcm", lambda path: first_two(path)[::-1]), "in whatever order they are named"
    assert first != input_digest(tmp_path / "a.dcm")
    (tmp_path / "c.dcm").write_text("changed")
    assert input_digest(tmp_path / "a.dcm", first_two) == first
    (tmp_path / "b.dcm").write_text("B.dcm")
    assert input_digest(tmp_path / "a.dcm", first_two) != first


def test_with_the_files_that_the_readers_know(tmp_path: Path) -> None:
    (tmp_path / "a.mrxs").write_bytes(b"jpeg")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "Data0000.dat").write_bytes(b"tiles")
    first = input_digest(tmp_path / "a.mrxs", files_of)
    assert first.startswith("sha256-of-files:")
    (tmp_path / "a" / "Data0000.dat").write_bytes(b"other")
    assert input_digest(tmp_path / "a.mrxs", files_of) != first


def test_what_cannot_be_read_is_the_slide_s_fault(tmp_path: Path) -> None:
    with pytest.raises(UnreadableSlide, match=r"gone\.tif cannot be read: No such file or directory\."):
        input_digest(tmp_path / "gone.tif")
    with pytest.raises(UnreadableSlide, match="No such file"):
        input_digest(tmp_path / "gone.tif", files_of)
