"""Reading pictures as people have them, and writing them whole."""

import io
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pytest
import simplejpeg
import tifffile
from PIL import Image, ImageCms

from colorization.errors import PictureError
from colorization.imagefiles import find_pictures, is_gray_mode, open_picture, read_colors, to_rgb, write_picture
from tests.helpers.photos import make_photo
from tests.helpers.pictures import TURNS


def saved(image: Image.Image, file_format: str, **options: object) -> Image.Image:
    """What comes back of a picture that was written and read again."""
    buffer = io.BytesIO()
    image.save(buffer, format=file_format, **options)
    buffer.seek(0)
    return open_picture(buffer)


def distance(a: Image.Image, b: Image.Image) -> float:
    """Mean absolute difference in 8-bit levels."""
    assert a.size == b.size
    assert a.mode == b.mode == "RGB"
    return float(np.abs(np.asarray(a, dtype=float) - np.asarray(b, dtype=float)).mean())


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_comes_upright(orientation: int) -> None:
    photo = make_photo()
    turned_by = TURNS[orientation]
    stored = photo if turned_by is None else photo.transpose(turned_by)
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert distance(to_rgb(saved(stored, "PNG", exif=exif)), photo) == 0


def test_a_corrupt_exif_block_is_ignored() -> None:
    photo = make_photo()
    assert distance(to_rgb(saved(photo, "PNG", exif=b"Exif\0\0garbage!!!!!")), photo) == 0


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "TIFF", "BMP"])
def test_formats(file_format: str) -> None:
    photo = make_photo()
    assert distance(to_rgb(saved(photo, file_format)), photo) < 4


@pytest.mark.parametrize("suffix", [".gif", ".tif", ".png", ".webp"])
@pytest.mark.parametrize("frames", [1, 3])
def test_a_file_of_frames_gives_its_first_one(tmp_path: Path, suffix: str, frames: int) -> None:
    """Also when it is converted after the file is closed, as photos for training are."""
    path = tmp_path / f"frames{suffix}"
    first, *others = (make_photo(seed=seed).quantize(200) for seed in range(frames))
    first.save(path, save_all=frames > 1, append_images=others, lossless=True)
    assert np.array_equal(np.asarray(to_rgb(open_picture(path))), np.asarray(first.convert("RGB")))


def test_cmyk_and_palette() -> None:
    photo = make_photo()
    assert distance(to_rgb(saved(photo.convert("CMYK"), "JPEG", quality=95)), photo) < 4
    assert distance(to_rgb(saved(photo.quantize(256), "PNG")), photo) < 6


def test_transparent_parts_are_laid_on_white() -> None:
    photo = make_photo().convert("RGBA")
    alpha = Image.new("L", photo.size, 255)
    alpha.paste(0, (0, 0, 10, 10))
    photo.putalpha(alpha)
    rgb = to_rgb(saved(photo, "PNG"))
    assert rgb.getpixel((5, 5)) == (255, 255, 255)
    assert rgb.getpixel((20, 20)) == photo.getpixel((20, 20))[:3]  # type: ignore[index]


def test_palette_with_transparency() -> None:
    photo = make_photo().quantize(16)
    rgb = to_rgb(saved(photo, "PNG", transparency=photo.getpixel((0, 0))))
    assert rgb.getpixel((0, 0)) == (255, 255, 255)


def test_16_bit_gray_keeps_its_brightness() -> None:
    levels = np.linspace(0, 65535, 64 * 48).reshape(48, 64).astype(np.uint16)
    for file_format in ("PNG", "TIFF"):
        image = saved(Image.fromarray(levels), file_format)
        assert is_gray_mode(image)
        assert np.abs(np.asarray(to_rgb(image))[..., 0] - levels / 257).max() <= 1


def test_16_bit_color_tiff(tmp_path: Path) -> None:
    photo = make_photo()
    tifffile.imwrite(tmp_path / "deep.tif", np.asarray(photo).astype(np.uint16) * 257, photometric="rgb")
    assert distance(to_rgb(open_picture(tmp_path / "deep.tif")), photo) == 0
    planes = np.moveaxis(np.asarray(photo), -1, 0).astype(np.uint16) * 257
    tifffile.imwrite(tmp_path / "planes.tif", planes, photometric="rgb", planarconfig="separate")
    assert distance(to_rgb(open_picture(tmp_path / "planes.tif")), photo) == 0


@pytest.mark.parametrize("mode", ["1", "L", "LA"])
def test_gray_modes_are_recognized_and_become_rgb(mode: str) -> None:
    image = saved(make_photo().convert(mode), "PNG")
    assert is_gray_mode(image)
    red, green, blue = to_rgb(image).split()
    assert red.tobytes() == green.tobytes() == blue.tobytes()


def test_icc_profile_is_applied() -> None:
    photo = make_photo()
    lab_profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    same = saved(photo, "PNG", icc_profile=lab_profile.tobytes())
    assert distance(to_rgb(same), photo) == 0
    # A damaged profile says nothing.
    assert distance(to_rgb(saved(photo, "PNG", icc_profile=b"no profile")), photo) == 0


def swapped_profile() -> bytes:
    """An sRGB profile whose red and green primaries are exchanged, by exchanging the tags' names."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = profile.replace(b"rXYZ", b"tmp!").replace(b"gXYZ", b"rXYZ").replace(b"tmp!", b"gXYZ")
    # Another description than sRGB's, of the same length.
    return swapped.replace("sRGB".encode("utf-16-be"), "odd!".encode("utf-16-be"))


def test_a_foreign_icc_profile_changes_colors() -> None:
    photo = Image.new("RGB", (8, 8), (200, 30, 30))
    red, green, _ = to_rgb(saved(photo, "PNG", icc_profile=swapped_profile())).getpixel((0, 0))  # type: ignore[misc]
    assert green > red


@pytest.mark.parametrize("keep", [0, 10, 200, -20])
def test_truncated_files_are_refused(tmp_path: Path, keep: int) -> None:
    file = tmp_path / "photo.jpg"
    make_photo(200, 200).save(file)
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(PictureError):
        open_picture(file)
    for shrink in (None, lambda size: 4):
        with pytest.raises(PictureError):
            read_colors(file, shrink)


def colors(contents: bytes, factor: int | None = None) -> np.ndarray:
    """Pixels for training."""
    found = read_colors(io.BytesIO(contents), None if factor is None else lambda size: factor)
    assert found is not None
    return found


# Each with a size that no block divides.
JPEGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "full colour": {"subsampling": 0},
    "halved one way": {"subsampling": 1},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_blocks": 3},
    "rgb": {"keep_rgb": True},
    "turned": {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"},
    "profile": {"icc_profile": swapped_profile()},
    "many": {"save_all": True, "append_images": [make_photo()], "format": "MPO"},
}


@pytest.mark.parametrize("options", JPEGS.values(), ids=JPEGS)
def test_jpegs_for_training_have_the_pixels_that_pillow_decodes(options: dict[str, Any]) -> None:
    buffer = io.BytesIO()
    arguments: dict[str, Any] = {"format": "JPEG", "quality": 90} | options
    make_photo(101, 67).save(buffer, **arguments)
    for contents in (buffer.getvalue(), buffer.getvalue() + b"more"):
        assert np.array_equal(colors(contents), np.asarray(to_rgb(open_picture(io.BytesIO(contents)))))
    for factor, scale in ((0, 1), (1, 1), (2, 2), (3, 2), (4, 4), (9, 8)):
        image = Image.open(io.BytesIO(contents))
        image.draft(None, (101 // scale, 67 // scale))
        assert np.array_equal(colors(contents, factor), np.asarray(to_rgb(image)))


def test_a_jpeg_with_a_flaw_that_pillow_overlooks_is_read() -> None:
    buffer = io.BytesIO()
    make_photo(200, 200).save(buffer, "JPEG")
    flawed = bytearray(buffer.getvalue())
    flawed[len(flawed) // 2 : len(flawed) // 2 + 8] = b"\xff\xd5" * 4
    with pytest.raises(ValueError, match="Corrupt JPEG data"):
        simplejpeg.decode_jpeg(bytes(flawed))
    assert np.array_equal(colors(bytes(flawed)), np.asarray(Image.open(io.BytesIO(flawed))))


def test_cmyk_and_gray_jpegs_for_training() -> None:
    photo = make_photo()
    for mode in ("CMYK", "L"):
        buffer = io.BytesIO()
        photo.convert(mode).save(buffer, "JPEG", quality=95)
        if mode == "L":
            assert read_colors(buffer) is None
        else:
            assert distance(Image.fromarray(colors(buffer.getvalue())), photo) < 4


def test_text_and_bombs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = tmp_path / "text.jpg"
    text.write_text("not a picture")
    with pytest.raises(PictureError, match="not a picture"):
        open_picture(text)
    bomb = tmp_path / "bomb.png"
    make_photo().save(bomb)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(PictureError, match="may be a decompression bomb"):
        open_picture(bomb)


def test_find_pictures(tmp_path: Path) -> None:
    for name in ("b.JPG", "a/c d.png", "a/.hidden.png", "notes.txt", "a/b/e=1, (2).webp"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert find_pictures(tmp_path) == ["a/b/e=1, (2).webp", "a/c d.png", "b.JPG"]


def test_writing_a_picture_is_atomic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_picture(make_photo(), tmp_path / "new" / "photo.png")
    assert distance(to_rgb(open_picture(tmp_path / "new" / "photo.png")), make_photo()) == 0

    def fail_midway(self: Image.Image, file: BinaryIO, **options: object) -> None:
        file.write(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(Image.Image, "save", fail_midway)
    with pytest.raises(PictureError, match=r"other\.png can't be written: No space left"):
        write_picture(make_photo(), tmp_path / "new" / "other.png")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["photo.png"]


def test_unknown_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match=r"photo\.xyz can't be written"):
        write_picture(make_photo(), tmp_path / "photo.xyz")
