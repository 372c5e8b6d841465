"""What isn't a picture of greys is refused, whatever its file says it is."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clearbench.errors import UnreadableScan
from clearbench.scans.hu import HuRules
from clearbench.scans.image_scans import one_image
from clearbench.scans.slices import ScanSource, read_scan

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (40, 30)).astype(np.uint8)
LUNG = HuRules(window="lung")


def saved(image: Image.Image, path: Path, **how: object) -> Path:
    image.save(path, **how)
    return path


def read(path: Path) -> np.ndarray:
    return read_scan(ScanSource(path, rules=LUNG)).pixels


def test_greys_are_taken_whatever_their_mode(tmp_path: Path) -> None:
    """Also with a scale bar in colour, an opaque alpha channel, or a palette of greys."""
    plain = Image.fromarray(GREY)
    colour = np.stack([GREY] * 3, axis=2)
    barred = colour.copy()
    barred[0, :2] = (255, 0, 0)
    for number, image in enumerate(
        (plain, Image.fromarray(colour), plain.convert("LA"), plain.convert("RGBA"),
         plain.convert("P"))
    ):  # fmt: skip
        path = saved(image, tmp_path / f"{number}.png")
        assert (read(path)[0, 0] == GREY).all()
    assert (read(saved(Image.fromarray(barred), tmp_path / "bar.png"))[0, 0, 1:] == GREY[1:]).all()
    smooth = Image.fromarray(colour).resize((120, 160))
    saved(smooth, tmp_path / "x.jpg", quality=60)
    read(tmp_path / "x.jpg")


def heat_map() -> Image.Image:
    return Image.fromarray(np.stack([GREY, 255 - GREY, GREY // 2], axis=2))


def half_transparent() -> Image.Image:
    alpha = np.full_like(GREY, 255)
    alpha[:20] = 0
    return Image.fromarray(np.dstack([GREY, GREY, GREY, alpha]))


@pytest.mark.parametrize(
    ("image", "name", "says"),
    [
        (heat_map(), "1.png", r"1\.png: \d+% of its pixels are coloured"),
        (heat_map().convert("CMYK"), "1.jpg", r"1\.jpg: \d+% of its pixels are coloured"),
        (half_transparent(), "1.png", r"1\.png: it has transparent parts"),
        (Image.fromarray(GREY > 128), "1.png", r"1\.png: a mask of 1 bit"),
        (Image.fromarray((GREY > 128) * np.uint8(255)), "1.png", "a mask: it has the values 0 and"),
    ],
)  # fmt: skip
def test_what_is_no_picture_of_greys_is_refused(
    tmp_path: Path, image: Image.Image, name: str, says: str
) -> None:
    with pytest.raises(UnreadableScan, match=says):
        read(saved(image, tmp_path / name))


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF", "WEBP", "EPS"])
def test_another_format_under_the_name_of_a_png_is_not_opened(tmp_path: Path, kind: str) -> None:
    """Pillow would start another program for some of them."""
    path = tmp_path / "1.png"
    Image.fromarray(GREY).save(path, kind)
    with pytest.raises(UnreadableScan, match=r"1\.png: not a readable image, PNG or JPEG"):
        read(path)


@pytest.mark.parametrize(("kind", "name"), [("PNG", "1.png"), ("MPO", "1.jpg")])
def test_several_images_in_one_file_are_refused(tmp_path: Path, kind: str, name: str) -> None:
    image, other = Image.fromarray(GREY), Image.fromarray(255 - GREY)
    image.save(tmp_path / name, kind, save_all=True, append_images=[other, other])
    with pytest.raises(UnreadableScan, match="it holds 3 images; save each"):
        read(tmp_path / name)


@pytest.mark.parametrize(
    ("bits", "kind", "row", "says"),
    [
        (16, 2, b"\x80\x01" * 3 * 20, "16-bit colours or transparency"),
        (16, 4, b"\x80\x01\xff\xff" * 20, "16-bit colours or transparency"),
        (8, 3, bytes(range(20)), "its palette has fewer colours than its pixels use"),
    ],
)
def test_what_pillow_would_take_for_other_greys_is_refused(
    tmp_path: Path, bits: int, kind: int, row: bytes, says: str
) -> None:
    def chunk(name: bytes, data: bytes) -> bytes:
        checksum = zlib.crc32(name + data)
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", checksum)

    head = struct.pack(">IIBBBBB", 20, 20, bits, kind, 0, 0, 0)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress((b"\0" + row) * 20))
    (tmp_path / "1.png").write_bytes(b"\x89PNG\r\n\x1a\n" + parts + chunk(b"IEND", b""))
    with pytest.raises(UnreadableScan, match=says):
        read(tmp_path / "1.png")


def test_an_image_on_its_side_is_refused_before_it_is_read(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = saved(Image.fromarray(GREY), tmp_path / "1.jpg", exif=exif)
    assert "orientation 6" in one_image(path).error
    with pytest.raises(UnreadableScan, match="orientation 6"):
        read(path)


def test_a_mask_is_seen_over_a_whole_folder(tmp_path: Path) -> None:
    """A slice of nothing but air is black, and the next one may be all bone."""
    (tmp_path / "lung").mkdir()
    saved(Image.fromarray(GREY * 0), tmp_path / "lung" / "1.png")
    saved(Image.fromarray(GREY), tmp_path / "lung" / "2.png")
    assert read_scan(ScanSource(tmp_path)).pixels.shape[0] == 2
    saved(Image.fromarray((GREY > 9) * np.uint8(255)), tmp_path / "lung" / "2.png")
    with pytest.raises(UnreadableScan, match="a mask"):
        read_scan(ScanSource(tmp_path))
