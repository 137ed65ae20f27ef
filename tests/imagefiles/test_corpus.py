"""Pictures as people have them: made here, coloured, written, and looked at again."""

import dataclasses
import io
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile, get_sampling

from colorization.color.conversion import WHITE_D65
from colorization.errors import PictureError
from colorization.imagefiles import find_pictures, open_picture, output_name, read_picture, save_picture, to_rgb
from colorization.imagefiles.picture import Picture
from colorization.imagefiles.profiles import profile_space
from colorization.imagefiles.provenance import read_provenance
from tests.helpers.photos import make_photo
from tests.helpers.pictures import (
    ADOBE_RGB,
    DISPLAY_P3,
    TURNS,
    colorant_matrix,
    gray_levels,
    icc_profile,
    lab_of,
    painter,
)

PHOTO = make_photo(90, 60)
RGB = np.asarray(PHOTO)
DEEP = RGB.astype(np.uint16) * 257 + np.arange(90, dtype=np.uint16)[:, None] % 97
GRAY = np.asarray(PHOTO.convert("L"))
DEEP_GRAY = GRAY.astype(np.uint16) * 200 + 5000 + np.arange(90, dtype=np.uint16)
ALPHA = np.linspace(0, 255, 90 * 60).reshape(60, 90).astype(np.uint8)


def encoded(image: Image.Image | np.ndarray, file_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(buffer, file_format, **options)
    return buffer.getvalue()


def png(pixels: np.ndarray) -> bytes:
    return bytes(imagecodecs.png_encode(np.ascontiguousarray(pixels)))


def tiff(pixels: np.ndarray, **options: Any) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, **options)
    return buffer.getvalue()


def listed(folder: Path) -> list[str]:
    """All names in a folder, hidden ones too."""
    return sorted(path.name for path in folder.iterdir())


def with_alpha(image: Image.Image) -> Image.Image:
    image = image.copy()
    image.putalpha(Image.fromarray(ALPHA))
    return image


def oriented(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F], exif[0x0132] = orientation, "Maker", "2020:01:02 03:04:05"
    exif[0x4746], exif[0x9C9B] = 4, "Title".encode("utf-16-le")
    exif.get_ifd(0x8769).update({0x9003: "2020:01:02 03:04:05", 0xA001: 65535, 0xA002: 90, 0xA003: 60})
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 30.0, 0.0)})
    return exif


def ycck() -> bytes:
    """A CMYK JPEG that stores its inks as YCCK, as Photoshop does: Adobe's marker says transform 2."""
    inks = np.asarray(Image.fromarray(255 - RGB).convert("YCbCr"))
    stored = Image.frombytes("CMYK", (90, 60), np.dstack((255 - inks, np.zeros((60, 90), np.uint8))).tobytes())
    data = bytearray(encoded(stored, "JPEG", quality=97, subsampling=0))  # Pillow inverts on writing
    marker = data.find(b"Adobe\0")
    assert marker > 0
    data[marker + 11] = 2
    return bytes(data)


# Files by name, with the pixels that a viewer shows.
CORPUS: dict[str, tuple[bytes, np.ndarray]] = {
    "one pixel.png": (encoded(GRAY[:1, :1], "PNG"), GRAY[:1, :1]),
    "tall 1x5000.png": (encoded(np.resize(GRAY, (5000, 1)), "PNG"), np.resize(GRAY, (5000, 1))),
    "wide 8000x2.jpg": (encoded(np.full((2, 8000), 90, np.uint8), "JPEG"), np.full((2, 8000), 90, np.uint8)),
    "bilevel.png": (encoded(PHOTO.convert("1"), "PNG"), np.asarray(PHOTO.convert("1").convert("L"))),
    "bilevel fax.tif": (
        encoded(PHOTO.convert("1"), "TIFF", compression="group4"),
        np.asarray(PHOTO.convert("1").convert("L")),
    ),
    "gray.jpg": (encoded(GRAY, "JPEG", quality=98), GRAY),
    "gray.webp": (encoded(GRAY, "WEBP", lossless=True), GRAY),
    "gray.bmp": (encoded(GRAY, "BMP"), GRAY),
    "gray.pgm": (encoded(GRAY, "PPM"), GRAY),
    "gray.jp2": (encoded(GRAY, "JPEG2000"), GRAY),
    "gray.avif": (encoded(GRAY, "AVIF", quality=98), GRAY),
    "gray deflate.tif": (encoded(GRAY, "TIFF", compression="tiff_adobe_deflate"), GRAY),
    "gray lzw.tif": (encoded(GRAY, "TIFF", compression="tiff_lzw"), GRAY),
    "white is zero.tif": (tiff(255 - GRAY, photometric="miniswhite"), GRAY),
    "rgb.png": (encoded(RGB, "PNG"), RGB),
    "rgb.jpg": (encoded(RGB, "JPEG", quality=98, subsampling=0), RGB),
    "progressive.jpg": (encoded(RGB, "JPEG", quality=98, subsampling=0, progressive=True), RGB),
    "interlaced name.png": (encoded(RGB, "PNG", optimize=True), RGB),
    "palette.png": (encoded(PHOTO.quantize(256), "PNG"), np.asarray(PHOTO.quantize(256).convert("RGB"))),
    "still.gif": (encoded(PHOTO.quantize(256), "GIF"), np.asarray(PHOTO.quantize(256).convert("RGB"))),
    "cmyk.jpg": (encoded(PHOTO.convert("CMYK"), "JPEG", quality=98, subsampling=0), RGB),
    "ycck.jpg": (ycck(), RGB),
    "cmyk.tif": (encoded(PHOTO.convert("CMYK"), "TIFF"), RGB),
    "16-bit gray.png": (encoded(DEEP_GRAY, "PNG"), DEEP_GRAY),
    "16-bit gray.tif": (encoded(DEEP_GRAY, "TIFF"), DEEP_GRAY),
    "16-bit rgb.png": (png(DEEP), DEEP),
    "16-bit rgb.tif": (tiff(DEEP, photometric="rgb"), DEEP),
    "16-bit lzw.tif": (tiff(DEEP, photometric="rgb", compression="lzw", predictor=True), DEEP),
    "16-bit planes.tif": (tiff(np.moveaxis(DEEP, -1, 0).copy(), photometric="rgb", planarconfig="separate"), DEEP),
    "16-bit big-endian.tif": (tiff(DEEP, photometric="rgb", byteorder=">"), DEEP),
    "a jpeg called.png": (encoded(RGB, "JPEG", quality=98, subsampling=0), RGB),
    "a png called.JPG": (encoded(RGB, "PNG"), RGB),
    "spaces, commas (1) [2] {3} a=b ~.png": (encoded(GRAY, "PNG"), GRAY),
    "line\nbreak.png": (encoded(GRAY, "PNG"), GRAY),
    "emoji \N{CAMERA WITH FLASH}\N{RAINBOW}.png": (encoded(GRAY, "PNG"), GRAY),
    os.fsdecode(b"not utf-8 \xff\xfe.png"): (encoded(GRAY, "PNG"), GRAY),
    "-leading dash.png": (encoded(GRAY, "PNG"), GRAY),
    "x" * 251 + ".png": (encoded(GRAY, "PNG"), GRAY),
}
LOSSY = (".jpg", ".avif")


def color_file(source: Path, target: Path) -> tuple[Picture, list[str]]:
    """What the file holds after `source` was coloured and written to `target`, and what was said about it."""
    notes = save_picture(painter().color(read_picture(source)), target)
    return read_picture(target), notes


@pytest.mark.parametrize("name", CORPUS, ids=ascii)
def test_a_picture_is_colored_at_its_size_and_depth_with_its_lightness(name: str, tmp_path: Path) -> None:
    content, original = CORPUS[name]
    source, target = tmp_path / "in" / name, tmp_path / "out" / output_name(name)
    source.parent.mkdir()
    source.write_bytes(content)
    result, notes = color_file(source, target)
    assert notes == []
    assert find_pictures(target.parent) == [output_name(name)]
    assert listed(target.parent) == [output_name(name)]
    assert source.read_bytes() == content
    assert result.pixels.shape == (*original.shape[:2], 3)
    assert result.alpha is None
    assert result.pixels.dtype == (np.uint8 if target.suffix.lower() in LOSSY else original.dtype)
    lab, before = lab_of(result.pixels), lab_of(original)[..., 0]
    lossy = target.suffix.lower() in LOSSY or name.endswith("called.png") or name == "ycck.jpg"
    assert np.abs(lab[..., 0] - before).mean() < (1.2 if lossy else 0.05)
    if not lossy:
        if original.ndim == 2 and original.dtype == np.uint8:
            assert np.array_equal(gray_levels(result.pixels), original)
        assert np.abs(lab[..., 0] - before).max() < (0.01 if original.dtype == np.uint16 else 0.3)
    middle = (before > 25) & (before < 75)
    if middle.any():
        assert np.median(lab[middle][:, 2]) > 15  # the painter's b is 25


@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "WEBP", "AVIF", "JPEG2000"])
def test_transparency_is_kept(file_format: str, tmp_path: Path) -> None:
    target = tmp_path / f"out.{'jp2' if file_format == 'JPEG2000' else file_format.lower()}"
    for image in (with_alpha(PHOTO), with_alpha(PHOTO.convert("L"))):
        source = tmp_path / "in.png"
        source.write_bytes(encoded(image, "PNG"))
        result, notes = color_file(source, target)
        assert notes == []
        assert result.alpha is not None
        assert np.abs(result.alpha.astype(int) - ALPHA).max() <= (0 if file_format != "AVIF" else 12)


def test_transparency_of_palettes_colors_and_16_bits_is_kept(tmp_path: Path) -> None:
    palette = PHOTO.quantize(16)
    deep = np.dstack((DEEP, ALPHA.astype(np.uint16) * 257))
    keyed = np.full((60, 90), 7, np.uint8)
    keyed[:30] = 200
    cases = {
        "palette.png": (encoded(palette, "PNG", transparency=palette.getpixel((0, 0))), None),
        "palette.gif": (encoded(palette, "GIF", transparency=palette.getpixel((0, 0))), None),
        "key.png": (encoded(keyed, "PNG", transparency=7), np.where(keyed == 7, 0, 255).astype(np.uint8)),
        "deep.png": (png(deep), deep[..., 3]),
        "deep.tif": (tiff(deep, photometric="rgb", extrasamples=["unassalpha"]), deep[..., 3]),
        "deep gray.png": (png(deep[..., [0, 3]]), deep[..., 3]),
    }
    for name, (content, alpha) in cases.items():
        (tmp_path / name).write_bytes(content)
        result, notes = color_file(tmp_path / name, tmp_path / "out" / output_name(name))
        assert notes == [], name
        assert result.alpha is not None, name
        if alpha is None:
            assert result.alpha[0, 0] == 0
            assert result.alpha.max() == 255
        else:
            assert np.array_equal(result.alpha, alpha), name


def test_a_format_without_transparency_gets_white_and_says_so(tmp_path: Path) -> None:
    clear = with_alpha(PHOTO)
    (tmp_path / "in.png").write_bytes(encoded(clear, "PNG"))
    result, notes = color_file(tmp_path / "in.png", tmp_path / "out.jpg")
    assert notes == ["JPEG has no transparency: transparent parts are white"]
    assert result.alpha is None
    assert result.pixels[0].min() > 240
    (tmp_path / "deep.png").write_bytes(png(DEEP))
    result, notes = color_file(tmp_path / "deep.png", tmp_path / "deep.jpg")
    assert notes == ["JPEG has 8 bits per channel, not 16"]
    assert np.abs(lab_of(result.pixels)[..., 0] - lab_of(DEEP)[..., 0]).mean() < 1


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("ending", ["jpg", "tif"])
def test_orientation_is_applied_once_and_exif_and_resolution_stay(
    orientation: int, ending: str, tmp_path: Path
) -> None:
    turn = TURNS[orientation]
    stored = PHOTO if turn is None else PHOTO.transpose(turn)
    source, target = tmp_path / f"in.{ending}", tmp_path / f"out.{ending}"
    stored.save(source, exif=oriented(orientation).tobytes(), dpi=(300, 200), quality=98)
    result, _ = color_file(source, target)
    assert result.size == (90, 60)
    assert np.abs(lab_of(result.pixels)[..., 0] - lab_of(RGB)[..., 0]).mean() < 1.2
    assert result.dpi == pytest.approx((200, 300) if orientation >= 5 else (300, 200))
    assert_exif_kept(target)


def assert_exif_kept(path: Path) -> None:
    with Image.open(path) as image:
        exif = image.getexif()
        assert exif.get(0x0112, 1) == 1
        assert exif[0x010F] == "Maker"
        assert exif[0x0132] == "2020:01:02 03:04:05"
        assert exif[0x4746] == 4
        assert exif[0x9C9B].decode("utf-16-le") == "Title"
        details, place = exif.get_ifd(0x8769), exif.get_ifd(0x8825)
        assert details[0x9003] == "2020:01:02 03:04:05"
        assert (details[0xA001], details[0xA002], details[0xA003]) == (1, 90, 60)
        assert place[1] == "N"
        assert tuple(float(part) for part in place[2]) == (48, 30, 0)
        assert not exif.get_ifd(1)


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_16_bits_keep_exif_resolution_and_profile(ending: str, tmp_path: Path) -> None:
    exif = oriented(1).tobytes()
    picture = Picture(DEEP, None, exif=exif, dpi=(300.0, 200.0), has_profile=True)
    save_picture(picture, tmp_path / f"first.{ending}")
    result, notes = color_file(tmp_path / f"first.{ending}", tmp_path / f"second.{ending}")
    assert notes == []
    assert result.pixels.dtype == np.uint16
    assert result.dpi == pytest.approx((300, 200), abs=0.02)
    assert result.has_profile
    assert_exif_kept(tmp_path / f"second.{ending}")


def test_the_preview_in_the_exif_block_is_dropped(tmp_path: Path) -> None:
    preview = encoded(Image.new("L", (16, 16), 77), "JPEG")
    exif = oriented(1).tobytes()
    # A second directory with an offset and a length, as cameras write it, after all that the first one refers to.
    body = exif.removeprefix(b"Exif\0\0")
    order = "<" if body[:2] == b"II" else ">"
    start = struct.unpack(order + "I", body[4:8])[0]
    count = struct.unpack(order + "H", body[start : start + 2])[0]
    link = start + 2 + 12 * count
    second = len(body)
    directory = struct.pack(order + "H", 2)
    directory += struct.pack(order + "HHII", 0x0201, 4, 1, second + 2 + 24 + 4)
    directory += struct.pack(order + "HHII", 0x0202, 4, 1, len(preview)) + bytes(4)
    body = body[:link] + struct.pack(order + "I", second) + body[link + 4 :] + directory + preview
    source = tmp_path / "in.jpg"
    source.write_bytes(encoded(RGB, "JPEG", quality=98, exif=b"Exif\0\0" + body))
    assert preview in source.read_bytes()
    color_file(source, tmp_path / "out.jpg")
    assert_exif_kept(tmp_path / "out.jpg")
    assert (tmp_path / "out.jpg").read_bytes().count(b"\xff\xd8\xff") == 1


@pytest.mark.parametrize("primaries", [ADOBE_RGB, DISPLAY_P3], ids=["Adobe RGB", "Display P3"])
@pytest.mark.parametrize("deep", [False, True], ids=["8 bits", "16 bits"])
def test_profiles_are_converted_from(primaries: Any, deep: bool, tmp_path: Path) -> None:
    profile = icc_profile(primaries, 2.2)
    source, target = tmp_path / "in.tif", tmp_path / "out.tif"
    levels = np.random.default_rng(0).integers(90, 160, (6, 5, 3), dtype=np.uint8).repeat(10, 0).repeat(10, 1)
    if deep:
        source.write_bytes(tiff(levels.astype(np.uint16) * 257, photometric="rgb", iccprofile=profile))
    else:
        source.write_bytes(encoded(levels, "TIFF", icc_profile=profile))
    # The truth by the definition of the space, without any library.
    xyz = np.einsum("ij,hwj->hwi", colorant_matrix(primaries), (levels / 255.0) ** 2.2) / WHITE_D65
    x, y, z = np.moveaxis(np.cbrt(xyz), -1, 0)
    expected = np.dstack((116 * y - 16, 500 * (x - y), 200 * (y - z)))
    assert np.abs(lab_of(read_picture(source).pixels) - expected).mean() < 0.5
    assert np.abs(lab_of(levels) - expected).mean() > 1
    result, _ = color_file(source, target)
    assert result.pixels.dtype == (np.uint16 if deep else np.uint8)
    assert np.abs(lab_of(result.pixels) - expected)[..., 0].mean() < 0.5
    assert result.has_profile
    with Image.open(target) as image:
        assert profile_space(image.info["icc_profile"]) == "sRGB"


def test_a_gray_profile_is_converted_from_and_a_corrupt_one_is_ignored(tmp_path: Path) -> None:
    (tmp_path / "in.png").write_bytes(encoded(GRAY, "PNG", icc_profile=icc_profile(None, 1.8)))
    picture = read_picture(tmp_path / "in.png")
    assert picture.pixels.ndim == 2
    expected = 116 * np.cbrt((GRAY / 255) ** 1.8) - 16
    bright = GRAY > 40
    assert np.abs(lab_of(picture.pixels)[..., 0] - expected)[bright].max() < 0.6
    for name, profile in {"damaged": b"no profile", "of colour": icc_profile(None, 1.8)}.items():
        (tmp_path / "in.png").write_bytes(encoded(RGB, "PNG", icc_profile=profile))
        assert np.array_equal(read_picture(tmp_path / "in.png").pixels, RGB), name


@pytest.mark.parametrize("quality", [30, 75, 97, 100])
def test_jpeg_quality_is_at_least_the_inputs_and_colors_keep_their_resolution(quality: int, tmp_path: Path) -> None:
    (tmp_path / "in.jpg").write_bytes(encoded(RGB, "JPEG", quality=quality))
    assert read_picture(tmp_path / "in.jpg").quality == pytest.approx(quality, abs=1)
    color_file(tmp_path / "in.jpg", tmp_path / "out.jpg")
    with Image.open(tmp_path / "in.jpg") as before, Image.open(tmp_path / "out.jpg") as after:
        assert isinstance(before, JpegImageFile)
        assert isinstance(after, JpegImageFile)
        for old, new in zip(before.quantization.values(), after.quantization.values(), strict=True):
            assert all(theirs >= ours for theirs, ours in zip(old, new, strict=True))
        assert get_sampling(after) == 0  # 4:4:4
    save_picture(read_picture(tmp_path / "in.jpg"), tmp_path / "asked.jpg", quality=40)
    assert read_picture(tmp_path / "asked.jpg").quality == 40


def test_the_quality_of_a_jpeg_is_not_that_of_another_format(tmp_path: Path) -> None:
    (tmp_path / "in.jpg").write_bytes(encoded(RGB, "JPEG", quality=100))
    picture = read_picture(tmp_path / "in.jpg")
    for ending in ("webp", "avif"):
        first, second = tmp_path / f"first.{ending}", tmp_path / f"second.{ending}"
        save_picture(picture, first)
        save_picture(dataclasses.replace(picture, quality=None), second)
        assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(("ending", "options"), [("gif", {}), ("webp", {"lossless": True}), ("tif", {}), ("png", {})])
def test_the_first_of_several_frames_or_pages_is_taken_with_a_note(
    ending: str, options: dict[str, Any], tmp_path: Path
) -> None:
    frames = [Image.fromarray(GRAY), Image.new("L", (90, 60), 5), Image.new("L", (90, 60), 250)]
    source = tmp_path / f"in.{ending}"
    frames[0].save(source, save_all=True, append_images=frames[1:], **options)
    result, notes = color_file(source, tmp_path / output_name(f"out.{ending}"))
    assert notes == ["only the first of its 3 frames or pages was taken"]
    assert np.abs(lab_of(result.pixels)[..., 0] - lab_of(GRAY)[..., 0]).max() < 0.3


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tif", "bmp", "gif", "jp2", "avif", "ppm"])
@pytest.mark.parametrize("kept", [0.25, 0.5, 0.9])
def test_truncated_files_are_refused_and_nothing_is_written(ending: str, kept: float, tmp_path: Path) -> None:
    source = tmp_path / f"in.{ending}"
    noise = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    Image.fromarray(noise).save(source)
    whole = source.read_bytes()
    source.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(PictureError):
        color_file(source, tmp_path / "out.png")
    assert not (tmp_path / "out.png").exists()


def test_truncated_16_bit_files_are_refused(tmp_path: Path) -> None:
    for content in (png(DEEP), tiff(DEEP, photometric="rgb", compression="lzw")):
        for kept in (0.3, 0.6, 0.9):
            (tmp_path / "in").write_bytes(content[: int(len(content) * kept)])
            with pytest.raises(PictureError):
                read_picture(tmp_path / "in")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"Dear diary, this is no picture." * 20, "is not a picture of a known format"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is not a picture of a known format"),
    ],
)
def test_files_that_are_not_pictures_are_refused(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_bytes(content)
    with pytest.raises(PictureError, match=f"^{message}$"):
        read_picture(tmp_path / "text.jpg")
    with pytest.raises(PictureError, match=f"^{message}$"):
        read_picture(io.BytesIO(content))


def test_paths_that_are_not_files_are_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "device.png").symlink_to("/dev/zero")
    not_regular = "can't be read: is not a regular file"
    for path, message in (
        (tmp_path, "can't be read: is a folder"),
        (tmp_path / "pipe.png", not_regular),
        (tmp_path / "device.png", not_regular),
    ):
        with pytest.raises(PictureError, match=message):
            read_picture(path)
    with pytest.raises(PictureError, match="can't be read: No such file or directory"):
        read_picture(tmp_path / "nowhere.png")


@pytest.mark.parametrize("deep", [False, True])
def test_bombs_are_refused_with_the_option_that_lets_them_through(deep: bool, tmp_path: Path) -> None:
    before = Image.MAX_IMAGE_PIXELS
    (tmp_path / "in.tif").write_bytes(tiff(DEEP if deep else RGB, photometric="rgb"))
    with pytest.raises(PictureError, match=r"has 90 x 60 pixels, more than max_pixels=5000: .*give max_pixels=5400$"):
        read_picture(tmp_path / "in.tif", max_pixels=5000)
    assert read_picture(tmp_path / "in.tif", max_pixels=5400).size == (90, 60)
    # 40,000 x 40,000 pixels in a few kilobytes: refused before memory is taken. Pillow's own limit is left as it was.
    bomb = bytearray(encoded(Image.new("1", (8, 8)), "PNG"))
    bomb[16:24] = (40_000).to_bytes(4, "big") * 2
    bomb[29:33] = zlib.crc32(bytes(bomb[12:29])).to_bytes(4, "big")
    with pytest.raises(PictureError, match=r"40000 x 40000 pixels, more than max_pixels=200000000"):
        read_picture(io.BytesIO(bytes(bomb)))
    assert before == Image.MAX_IMAGE_PIXELS


def test_standard_input_and_output_need_no_seeking() -> None:
    class Pipe(io.RawIOBase):
        def __init__(self, content: bytes) -> None:
            self.rest = io.BytesIO(content)

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            return self.rest.readinto(buffer)

    class Sink(io.RawIOBase):
        content = b""

        def writable(self) -> bool:
            return True

        def write(self, data: Any) -> int:
            self.content += bytes(data)
            return len(data)

    picture = read_picture(io.BufferedReader(Pipe(encoded(GRAY, "JPEG"))))
    for file_format, head in ((None, b"\xff\xd8"), ("png", b"\x89PNG"), ("tif", b"II")):
        sink = Sink()
        save_picture(painter().color(picture), sink, format=file_format)  # type: ignore[arg-type]
        assert sink.content.startswith(head)


@pytest.mark.parametrize("ending", ["jpg", "png", "tif", "webp", "avif", "bmp", "jp2", "ppm"])
@pytest.mark.parametrize("deep", [False, True])
def test_what_made_a_picture_is_written_with_it(ending: str, deep: bool, tmp_path: Path) -> None:
    target, line = tmp_path / f"out.{ending}", "colorization 1 source=ab"
    save_picture(Picture(DEEP if deep else RGB, exif=oriented(1).tobytes(), dpi=(300.0, 200.0)), tmp_path / "in.tif")
    picture = read_picture(tmp_path / "in.tif")
    save_picture(dataclasses.replace(picture, provenance=line), target)
    assert read_provenance(target) == line
    again = read_picture(target)
    before, after = (each.pixels / np.iinfo(each.pixels.dtype).max for each in (picture, again))
    assert np.abs(after - before).mean() < 0.012
    if ending not in ("bmp", "jp2", "ppm"):
        assert_exif_kept(target)
    # A picture that is made from this one is made by something else.
    save_picture(again, target)
    assert read_provenance(target) != line


def test_exif_that_is_too_long_for_jpeg_is_shortened_and_said(tmp_path: Path) -> None:
    exif = oriented(1)
    exif.get_ifd(0x8769).update({0x927C: bytes(60_000), 0x9286: bytes(9_000)})
    make_photo(90, 60).save(tmp_path / "in.png", exif=exif.tobytes())
    _, notes = color_file(tmp_path / "in.png", tmp_path / "out.jpg")
    assert notes == ["its EXIF is too long for JPEG: left out MakerNote"]
    assert_exif_kept(tmp_path / "out.jpg")
    _, notes = color_file(tmp_path / "in.png", tmp_path / "out.png")
    assert notes == []


@pytest.mark.parametrize(("ending", "most"), [("jpg", 65500), ("webp", 16383), ("avif", 32768)])
def test_a_picture_that_is_too_large_for_its_format(ending: str, most: int, tmp_path: Path) -> None:
    with pytest.raises(
        PictureError, match=rf"has {most + 1} x 1 pixels, but \w+ allows {most} per side: give format=png"
    ):
        save_picture(Picture(np.zeros((1, most + 1, 3), np.uint8)), tmp_path / f"out.{ending}")
    assert listed(tmp_path) == []
    save_picture(Picture(np.zeros((1, most, 3), np.uint8)), tmp_path / f"out.{ending}")
    assert read_picture(tmp_path / f"out.{ending}").size == (most, 1)


RAMP = np.linspace(0, 1, 64 * 48).reshape(48, 64)


def levels(bits: int) -> np.ndarray:
    return (RAMP * (2**bits - 1)).round().astype(np.uint8 if bits <= 8 else np.uint16 if bits <= 16 else np.uint32)


# Numbers of many kinds that all mean the same ramp from black to white.
RAMPS: dict[str, bytes] = {
    **{f"{bits} bits.tif": tiff(levels(bits), bitspersample=bits) for bits in (2, 4, 6, 8, 10, 12, 14, 16)},
    **{
        f"{bits} bits of colour.tif": tiff(np.dstack([levels(bits)] * 3), bitspersample=bits, photometric="rgb")
        for bits in (4, 6, 10, 12, 14)
    },
    **{f"float {dtype}.tif": tiff(RAMP.astype(dtype)) for dtype in ("f2", "f4", "f8")},
    "float colour.tif": tiff(np.dstack([RAMP] * 3).astype("f4"), photometric="rgb"),
    "float 0 to 255.tif": tiff((RAMP * 255).astype("f4")),
    "float 0 to 65535.tif": tiff((RAMP * 65535).astype("f4")),
    "float, white is zero.tif": tiff((1 - RAMP).astype("f4"), photometric="miniswhite"),
    "16 bits, white is zero.tif": tiff(65535 - levels(16), photometric="miniswhite"),
    "12 bits, white is zero.tif": tiff(4095 - levels(12), photometric="miniswhite", bitspersample=12),
    "32 bits.tif": tiff(levels(32)),
    "64 bits.tif": tiff((RAMP * (2.0**64 - 2**12)).astype(np.uint64)),
    "float.pfm.ppm": b"Pf\n64 48\n-1.0\n" + RAMP[::-1].astype("<f4").tobytes(),
    "10 bits.pgm": b"P5\n64 48\n1023\n" + levels(10).astype(">u2").tobytes(),
    "10 bits.jp2": bytes(imagecodecs.jpeg2k_encode(levels(10), bitspersample=10, level=0)),
    "12 bits.jp2": bytes(imagecodecs.jpeg2k_encode(levels(12), bitspersample=12, level=0)),
}


@pytest.mark.parametrize("name", RAMPS)
def test_numbers_of_any_kind_mean_the_same_brightness(name: str) -> None:
    step = 1 / (2 ** int(name.split()[0]) - 1) if name[0].isdigit() else 0
    rounding = 1 / 510 if step > 1 / 255 else 1 / 255 if "0 to 255" in name else 1 / 1023 if "f2" in name else 0
    allowed = step / 2 + rounding + 0.0011
    picture = read_picture(io.BytesIO(RAMPS[name]))
    gray = picture.pixels.reshape(48, 64, -1)[..., 0] / np.iinfo(picture.pixels.dtype).max
    assert np.abs(gray - RAMP).max() < allowed
    trained = np.asarray(to_rgb(open_picture(io.BytesIO(RAMPS[name]))))[..., 0] / 255
    assert np.abs(trained - RAMP).max() < allowed + 1 / 255
    assert bool(picture.notes) == ("0 to" in name)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (tiff((RAMP * 3 - 1).astype("f4")), "holds floats from -1 to 2, whose black and white"),
        (tiff((RAMP * 90).astype("f4")), "holds floats from 0 to 90, whose"),
        (tiff((RAMP * 1e6).astype("f4")), "holds floats from 0 to 1e\\+06"),
        (tiff(np.where(RAMP > 0.5, np.nan, RAMP).astype("f4")), "holds values that are not finite"),
        (tiff(np.where(RAMP > 0.5, np.inf, RAMP).astype("f4")), "holds values that are not finite"),
        (tiff((RAMP * 32767).astype("i2")), "holds signed integers"),
        (tiff((RAMP * 127).astype("i1")), "holds signed integers"),
        (tiff((RAMP * 2**30).astype("i4")), "holds signed integers"),
        (tiff(np.dstack([RAMP * 32767] * 3).astype("i2"), photometric="rgb"), "holds signed integers"),
        (
            tiff((RAMP * 65535).astype("u4")),
            "holds integers up to 65535 only, of 32 bits",
        ),
        (tiff((RAMP * 9).astype("c8")), "holds values of type complex64"),
    ],
)
def test_numbers_that_do_not_say_how_bright_they_are_are_refused(content: bytes, message: str) -> None:
    for read in (read_picture, open_picture):
        with pytest.raises(PictureError, match=message):
            read(io.BytesIO(content))


def raw_png(depth: int, kind: int, rows: list[bytes], transparent: bytes) -> bytes:
    """A PNG 64 pixels wide that calls a level transparent."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = struct.pack(">IIBBBBB", 64, len(rows), depth, kind, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    parts = [chunk(b"IHDR", head), chunk(b"tRNS", transparent), chunk(b"IDAT", pixels), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize("depth", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("kind", ["gray", "rgb"])
def test_the_level_that_a_png_calls_transparent_is_so(depth: int, kind: str, tmp_path: Path) -> None:
    if kind == "rgb" and depth < 8:
        pytest.skip("there is none")
    numbers = levels(depth)
    level = int(numbers[30, 30])
    channels = 3 if kind == "rgb" else 1
    wide = np.repeat(numbers, channels, axis=1)
    if depth < 8:
        rows = [np.packbits(np.unpackbits(row[:, None], axis=1)[:, 8 - depth :].ravel()).tobytes() for row in wide]
    else:
        rows = [row.astype(f">u{depth // 8}").tobytes() for row in wide]
    content = raw_png(depth, 2 if channels == 3 else 0, rows, struct.pack(">H", level) * channels)
    picture = read_picture(io.BytesIO(content))
    assert picture.alpha is not None
    assert np.array_equal(picture.alpha == 0, numbers == level)
    assert set(np.unique(picture.alpha)) == {0, np.iinfo(picture.alpha.dtype).max}
    white = np.asarray(to_rgb(open_picture(io.BytesIO(content))))[numbers == level]
    assert white.min() == 255


def test_a_tiff_that_pillow_does_not_know_keeps_orientation_resolution_and_profile(tmp_path: Path) -> None:
    content = tiff(
        np.dstack([levels(10)] * 3),
        bitspersample=10,
        photometric="rgb",
        resolution=(300, 200),
        resolutionunit="INCH",
        iccprofile=icc_profile(ADOBE_RGB, 2.2),
        extratags=[(274, 3, 1, 6, True), (271, 2, 0, "Maker", True)],
    )
    picture = read_picture(io.BytesIO(content))
    assert picture.size == (48, 64)
    assert picture.dpi == (200, 300)
    assert picture.has_profile
    assert picture.exif is not None
    assert b"Maker" in picture.exif
    assert open_picture(io.BytesIO(content)).size == (48, 64)
