"""Plain pictures: EXIF, alpha, palettes, depth, size."""

from __future__ import annotations

import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from smearscan.errors import UnreadableSlide
from smearscan.results import Picture
from smearscan.slides import open_slide, picture_reader


def noise(*shape: int, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def read_all(path: Path) -> Picture:
    with open_slide(path, scale_needed=False) as slide:
        return slide.read((0, 0, slide.info.width, slide.info.height))


def refusal(path: Path) -> str:
    with pytest.raises(UnreadableSlide) as caught:
        open_slide(path, scale_needed=False)
    return str(caught.value)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientations(tmp_path: Path, suffix: str, orientation: int) -> None:
    image = Image.fromarray(noise(40, 70, 3))
    exif = Image.Exif()
    exif[274] = orientation
    path = tmp_path / f"turned{suffix}"
    image.save(path, exif=exif)
    with Image.open(path) as saved:
        shown = np.asarray(ImageOps.exif_transpose(saved))
    np.testing.assert_array_equal(read_all(path), shown)


@pytest.mark.parametrize("suffix", [".png", ".webp"])
def test_alpha_is_laid_on_white(tmp_path: Path, suffix: str) -> None:
    pixels = noise(50, 60, 4)
    pixels[:20, :, 3], pixels[20:40, :, 3] = 0, 255
    Image.fromarray(pixels).save(tmp_path / f"a{suffix}", lossless=True)
    read = read_all(tmp_path / f"a{suffix}")
    assert (read[:20] == 255).all()
    np.testing.assert_array_equal(read[20:40], pixels[20:40, :, :3])
    share = pixels[40:, :, 3:] / 255
    assert np.abs(read[40:] - (pixels[40:, :, :3] * share + 255 * (1 - share))).max() <= 0.51


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P"])
def test_other_modes_are_what_pillow_shows_on_white(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(noise(30, 40, 3)).convert(mode)
    if mode == "LA":
        image.putalpha(Image.fromarray(noise(30, 40, seed=4) // 128 * 255))
    image.save(tmp_path / "a.png")
    white = Image.new("RGBA", image.size, "white")
    white.alpha_composite(image.convert("RGBA"))
    np.testing.assert_array_equal(read_all(tmp_path / "a.png"), np.asarray(white.convert("RGB")))


def test_a_transparent_palette_colour_is_white(tmp_path: Path) -> None:
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    image.putpixel((3, 3), 0)
    image.save(tmp_path / "a.png", transparency=1)
    read = read_all(tmp_path / "a.png")
    assert (read[0, 0] == 255).all()
    assert (read[3, 3] == 0).all()


def test_sixteen_bits_are_refused(tmp_path: Path) -> None:
    """Pillow would open each of these as 8 bits without a word."""
    deep = np.random.default_rng(0).integers(0, 65536, (20, 20, 3), dtype=np.uint16)
    (tmp_path / "rgb.png").write_bytes(imagecodecs.png_encode(deep))
    (tmp_path / "grey.png").write_bytes(imagecodecs.png_encode(np.ascontiguousarray(deep[..., 0])))
    (tmp_path / "rgb.jp2").write_bytes(imagecodecs.jpeg2k_encode(deep))
    for name in ("rgb.png", "grey.png", "rgb.jp2"):
        assert "16-bit" in refusal(tmp_path / name)


def test_print_colours_are_refused(tmp_path: Path) -> None:
    Image.fromarray(noise(20, 20, 4), mode="CMYK").save(tmp_path / "print.jpg")
    assert "CMYK" in refusal(tmp_path / "print.jpg")


def test_films_are_refused_and_phone_pictures_are_not(tmp_path: Path) -> None:
    first, second = Image.fromarray(noise(20, 20, 3)), Image.fromarray(noise(20, 20, 3, seed=1))
    first.save(tmp_path / "film.webp", save_all=True, append_images=[second], lossless=True)
    assert "film of 2 pictures" in refusal(tmp_path / "film.webp")
    first.save(tmp_path / "phone.jpg", format="MPO", save_all=True, append_images=[second])
    with open_slide(tmp_path / "phone.jpg", scale_needed=False) as slide:
        assert slide.info.notes == ("the file holds 2 pictures: the first is used",)
    with Image.open(tmp_path / "phone.jpg") as image:
        np.testing.assert_array_equal(read_all(tmp_path / "phone.jpg"), np.asarray(image))


def png_header(width: int, height: int) -> bytes:
    """Return a PNG that claims a size and holds no pixels."""
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(b"")), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


def test_a_picture_too_large_to_decode_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    (tmp_path / "huge.png").write_bytes(png_header(30_000, 20_000))
    message = refusal(tmp_path / "huge.png")
    assert "600 megapixels" in message
    assert "tiled TIFF" in message


def test_a_picture_beyond_pillows_own_limit_opens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = noise(60, 50, 3)
    Image.fromarray(pixels).save(tmp_path / "large.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    np.testing.assert_array_equal(read_all(tmp_path / "large.png"), pixels)
    assert Image.MAX_IMAGE_PIXELS == 1000
    with pytest.raises(Image.DecompressionBombError):
        Image.open(tmp_path / "large.png")


def test_a_picture_is_decoded_once_for_all_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(noise(200, 200, 3)).save(tmp_path / "a.png")
    decoded = []
    decode = picture_reader.PictureSlide._decode

    def count(slide: picture_reader.PictureSlide) -> Picture:
        decoded.append(slide)
        return decode(slide)

    monkeypatch.setattr(picture_reader.PictureSlide, "_decode", count)
    with open_slide(tmp_path / "a.png", scale_needed=False) as slide, ThreadPoolExecutor(4) as pool:
        list(pool.map(slide.read, [(x, 0, x + 50, 50) for x in range(100)]))
    assert len(decoded) == 1


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".webp", ".jp2"])
def test_a_truncated_picture_is_refused_with_its_name(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(noise(100, 100, 3)).save(tmp_path / f"whole{suffix}")
    cut = tmp_path / f"cut{suffix}"
    cut.write_bytes((tmp_path / f"whole{suffix}").read_bytes()[:-4000])
    with pytest.raises(UnreadableSlide, match="cut"), open_slide(cut, scale_needed=False) as slide:
        slide.read((0, 0, 10, 10))
