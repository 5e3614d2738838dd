"""Scanner formats: OpenSlide's own reading, and tifffile's in its place where both give the same bytes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import openslide
import pytest
import tifffile

from smearscan.errors import UnreadableSlide
from smearscan.results import Picture
from smearscan.slides import Slide, open_slide
from smearscan.slides.openslide_reader import OpenSlideSlide
from smearscan.testing.slides import SlideContract


def read_with_openslide(path: Path) -> list[Picture]:
    """Return every level whole, as OpenSlide itself gives it."""
    with openslide.OpenSlide(path) as slide:
        levels = [np.asarray(slide.read_region((0, 0), level, size)) for level, size in enumerate(slide.level_dimensions)]
    assert all((level[..., 3] == 255).all() for level in levels)
    return [np.ascontiguousarray(level[..., :3]) for level in levels]


@pytest.fixture
def dicom(tmp_path: Path, dicom_writer: Callable[..., Path], drawn: Picture) -> Path:
    dicom_writer(tmp_path / "label.dcm", drawn[:40, :50], image_type="ORIGINAL\\PRIMARY\\LABEL\\NONE")
    dicom_writer(tmp_path / "level1.dcm", drawn[:-1:2, :-1:2], mpp=0.5)
    return dicom_writer(tmp_path / "level0.dcm", drawn, mpp=0.25)


@pytest.fixture
def aperio(tmp_path: Path, aperio_writer: Callable[..., Path], drawn: Picture) -> Path:
    return aperio_writer(tmp_path / "a.svs", [drawn, drawn[:-1:2, :-1:2]], mpp=0.25)


class TestDicom(SlideContract):
    @pytest.fixture
    def slide(self, dicom: Path) -> Iterator[Slide]:
        with open_slide(dicom) as slide:
            yield slide

    @pytest.fixture
    def truth(self, dicom: Path) -> Sequence[Picture]:
        return read_with_openslide(dicom)

    def test_what_it_says_of_itself(self, slide: Slide, dicom: Path, drawn: Picture, truth: Sequence[Picture]) -> None:
        assert slide.info.reader == "openslide (dicom)"
        assert (slide.info.mpp, slide.info.mpp_source) == (pytest.approx(0.25), "file")
        assert (slide.info.levels[0].tile_width, slide.info.levels[0].tile_height) == (64, 64)
        assert slide.info.bytes_on_disk == sum(file.stat().st_size for file in dicom.parent.iterdir())
        assert np.abs(truth[0].astype(int) - drawn).mean() < 2


class TestAperio(SlideContract):
    """Decoded by tifffile; the truth is OpenSlide's reading: the same bytes."""

    @pytest.fixture
    def slide(self, aperio: Path) -> Iterator[Slide]:
        with open_slide(aperio) as slide:
            yield slide

    @pytest.fixture
    def truth(self, aperio: Path) -> Sequence[Picture]:
        return read_with_openslide(aperio)

    def test_what_it_says_of_itself(self, slide: Slide) -> None:
        assert slide.info.reader == "tifffile (aperio)"
        assert slide.info.mpp == pytest.approx(0.25)
        assert [(level.width, level.height) for level in slide.info.levels] == [(307, 201), (153, 100)]


class TestTiffThroughOpenSlide(SlideContract):
    """A pyramid whose levels are no even fractions of each other: a pixel may not depend on the box it is asked in."""

    @pytest.fixture
    def path(self, tmp_path: Path, drawn: Picture) -> Path:
        with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
            for index, step in enumerate((1, 2, 3)):
                writer.write(drawn[::step, ::step], photometric="rgb", tile=(64, 64), subfiletype=int(index > 0), metadata=None)
        return tmp_path / "a.tif"

    @pytest.fixture
    def slide(self, path: Path) -> Iterator[Slide]:
        with OpenSlideSlide(path, "generic-tiff") as slide:
            yield slide

    @pytest.fixture
    def truth(self, path: Path) -> Sequence[Picture]:
        return read_with_openslide(path)


@pytest.mark.parametrize("options", [{"subsampling": (2, 2)}, {"subsampling": (2, 1)}, {"subsampling": (1, 1)}])
def test_jpeg_svs_gives_openslides_bytes(
    tmp_path: Path, aperio_writer: Callable[..., Path], drawn: Picture, options: dict[str, object]
) -> None:
    noisy = np.clip(drawn + np.random.default_rng(0).integers(-40, 40, drawn.shape), 0, 255).astype(np.uint8)
    path = aperio_writer(tmp_path / "a.svs", [noisy], **options)
    with open_slide(path) as slide:
        assert slide.info.reader == "tifffile (aperio)"
        np.testing.assert_array_equal(slide.read((0, 0, slide.info.width, slide.info.height)), read_with_openslide(path)[0])


def test_what_tifffile_reads_otherwise_stays_with_openslide(tmp_path: Path, aperio_writer: Callable[..., Path], drawn: Picture) -> None:
    path = aperio_writer(tmp_path / "a.svs", [drawn], compression="lzw", compressionargs=None)
    with open_slide(path) as slide:
        assert slide.info.reader == "openslide (aperio)"
        np.testing.assert_array_equal(slide.read((0, 0, 307, 201)), drawn)


def test_a_series_folder_opens_as_its_slide(dicom: Path, drawn: Picture) -> None:
    with open_slide(dicom.parent) as slide:
        assert (slide.info.width, slide.info.height) == (307, 201)
        assert slide.info.path == dicom


def test_a_folder_of_two_series_asks_for_one(dicom: Path, dicom_writer: Callable[..., Path], drawn: Picture) -> None:
    dicom_writer(dicom.parent / "other.dcm", drawn, series="1.2.9")
    with pytest.raises(UnreadableSlide, match="2 DICOM series"):
        open_slide(dicom.parent)


def test_a_folder_that_is_no_slide(tmp_path: Path) -> None:
    with pytest.raises(UnreadableSlide, match="neither OME-Zarr nor a DICOM"):
        open_slide(tmp_path)


def test_dicom_without_image_type_is_refused_in_plain_words(tmp_path: Path, dicom_writer: Callable[..., Path], drawn: Picture) -> None:
    with pytest.raises(UnreadableSlide, match="no Image Type"):
        open_slide(dicom_writer(tmp_path / "a.dcm", drawn, image_type=""))


def test_dicom_of_another_kind_is_refused(tmp_path: Path, dicom_writer: Callable[..., Path], drawn: Picture) -> None:
    with pytest.raises(UnreadableSlide, match="no whole-slide image"):
        open_slide(dicom_writer(tmp_path / "a.dcm", drawn, sop_class="1.2.840.10008.5.1.4.1.1.2"))


@pytest.mark.parametrize("name", ["a.mrxs", "a.vms", "a.svslide", "a.ndpi", "a.scn"])
def test_a_vendor_file_alone_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\xff\xd8\xff\xe0 an MRXS begins like a JPEG")
    with pytest.raises(UnreadableSlide, match=name):
        open_slide(tmp_path / name)
