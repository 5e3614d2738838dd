"""Open whatever is a slide, with the reader for what the file is, and settle its scale."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from smearscan.errors import UnreadableSlide
from smearscan.slides.base import Slide
from smearscan.slides.damage import Damaged, describe
from smearscan.slides.dicom_header import read_dicom_header
from smearscan.slides.formats import HEAD_BYTES, Kind, describe_head, is_zarr, kind_of, read_head
from smearscan.slides.scale import settle_scale


def open_slide(path: Path, *, mpp: float | None = None, csv_mpp: float | None = None, scale_needed: bool = True) -> Slide:
    """Open a slide, or refuse it with a sentence.

    `csv_mpp` is what a table says of this slide, `mpp` what is said of all slides: the table wins over the file, the file
    over `mpp`. Without any of them the slide is refused, unless `scale_needed` is False.
    """
    path = Path(path)
    try:
        slide = _open_folder(path) if path.is_dir() else _open_file(path)
    except Damaged as damage:
        raise UnreadableSlide(f"{path.name} cannot be opened: {damage}.") from damage
    except OSError as error:
        raise UnreadableSlide(f"{path.name} cannot be opened: {describe(error)}.") from error
    try:
        scale = settle_scale(path.name, slide.claimed_mpp, mpp=mpp, csv_mpp=csv_mpp, needed=scale_needed)
    except BaseException:
        slide.close()
        raise
    slide.info = replace(slide.info, mpp=scale.mpp, mpp_source=scale.source, notes=slide.info.notes + scale.notes)
    return slide


def _open_file(path: Path) -> Slide:
    head = read_head(path)
    if not head:
        raise Damaged("it is empty (0 bytes)")
    kind = kind_of(path, head)
    if kind is Kind.PICTURE:
        from smearscan.slides.picture_reader import PictureSlide

        return PictureSlide(path)
    from smearscan.slides.openslide_reader import OpenSlideSlide, vendor_of

    vendor = vendor_of(path)
    if vendor == "aperio":
        from smearscan.slides.aperio import open_aperio

        return open_aperio(path, vendor)
    if vendor is not None and vendor != "generic-tiff":
        if kind is Kind.DICOM:
            _refuse_nameless_dicom(path)
        return OpenSlideSlide(path, vendor)
    if kind is Kind.TIFF:
        return _open_tiff(path)
    raise Damaged(_refuse(kind, head))


def _open_tiff(path: Path) -> Slide:
    from smearscan.slides.tiff_layout import read_layout
    from smearscan.slides.tifffile_reader import TiffSlide

    return TiffSlide(path, read_layout(path))


def _refuse(kind: Kind, head: bytes) -> str:
    if kind is Kind.DICOM:
        return "it is DICOM, but no whole-slide image"
    if kind is Kind.VENDOR:
        return "OpenSlide does not know it; files that belong to it may be missing beside it"
    if len(head) < HEAD_BYTES and not head.strip(b"\0"):
        return "it holds nothing but zeros"
    return f"it is no slide or picture of a kind that is read here; {describe_head(head)}"


def _refuse_nameless_dicom(path: Path) -> None:
    """Say in plain words what OpenSlide calls a missing flavour: it cannot tell a level from a label."""
    if not read_dicom_header(path).image_type[0]:
        raise Damaged("its DICOM header has no Image Type, so a level of the slide cannot be told from its label: convert it anew")


def _open_folder(path: Path) -> Slide:
    if is_zarr(path):
        from smearscan.slides.zarr_reader import ZarrSlide

        return ZarrSlide(path)
    from smearscan.slides.finding import first_of_series
    from smearscan.slides.openslide_reader import OpenSlideSlide, vendor_of

    first = first_of_series(path)
    vendor = vendor_of(first)
    if vendor is None:
        raise Damaged(f"OpenSlide does not know {first.name} in it")
    return OpenSlideSlide(first, vendor)
