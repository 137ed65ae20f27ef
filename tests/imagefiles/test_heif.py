"""HEIF: the photos of iPhones, upright, with their metadata; and what is said without the package."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from colorization.errors import PictureError
from colorization.imagefiles import is_picture, open_picture, output_name, read_colors, read_picture, save_picture
from tests.helpers.photos import make_photo

PHOTO = make_photo(90, 60)


def test_an_iphone_photo(tmp_path: Path) -> None:
    """Stored on its side, with EXIF and a profile; pillow-heif turns it upright, which must not happen twice."""
    pytest.importorskip("pillow_heif")
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Maker"
    stored = PHOTO.transpose(Image.Transpose.ROTATE_90)
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    stored.save(tmp_path / "in.heic", "HEIF", quality=100, chroma=444, exif=exif.tobytes(), icc_profile=profile)
    picture = read_picture(tmp_path / "in.heic")
    assert (picture.size, picture.format, picture.has_profile) == (PHOTO.size, "HEIF", True)
    assert np.abs(picture.pixels.astype(int) - np.asarray(PHOTO)).mean() < 2
    colors = read_colors(tmp_path / "in.heic")
    assert colors is not None
    assert colors.shape == picture.pixels.shape
    assert open_picture(tmp_path / "in.heic").size == PHOTO.size
    assert is_picture("IMG_0001.HEIC")
    assert output_name("a/IMG_0001.HEIC") == "a/IMG_0001.jpg"
    assert save_picture(picture, tmp_path / "out.jpg") == []
    with Image.open(tmp_path / "out.jpg") as image:
        assert image.size == PHOTO.size
        assert image.getexif()[0x010F] == "Maker"
        assert image.getexif().get(0x0112, 1) == 1


def test_10_bits_and_alpha(tmp_path: Path) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    levels = (np.linspace(0, 1023, 64 * 64 * 4).reshape(64, 64, 4)).astype("<u2")
    for mode, channels in (("RGB;16", 3), ("RGBA;16", 4)):
        data = np.ascontiguousarray(levels[..., :channels]) << 6
        pillow_heif.from_bytes(mode=mode, size=(64, 64), data=data.tobytes()).save(
            tmp_path / "deep.heic", quality=-1, chroma=444
        )
        picture = read_picture(tmp_path / "deep.heic")
        assert picture.pixels.dtype == np.uint16
        assert np.abs(picture.pixels / 65535 - levels[..., :3] / 1023).max() < 0.02
        assert (picture.alpha is not None) == (channels == 4)
        assert open_picture(tmp_path / "deep.heic").size == (64, 64)
        assert save_picture(picture, tmp_path / "deep.png") == []


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("pillow_heif")
    buffer = io.BytesIO()
    PHOTO.save(buffer, "HEIF")
    whole = buffer.getvalue()
    for length in (12, 100, len(whole) // 2):
        (tmp_path / "short.heic").write_bytes(whole[:length])
        with pytest.raises(PictureError):
            read_picture(tmp_path / "short.heic")


WITHOUT = """
import sys
sys.modules["pillow_heif"] = None
from colorization.imagefiles import is_picture, read_picture
assert not is_picture("a.heic")
read_picture(sys.argv[1])
"""


def test_without_the_package_the_extra_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x1cftypheic\0\0\0\0mif1heic")
    done = subprocess.run([sys.executable, "-c", WITHOUT, tmp_path / "a.heic"], capture_output=True, text=True)
    last = done.stderr.splitlines()[-1]
    assert "PictureError: is HEIF, which needs the package pillow-heif: pip install " in last
    assert "[heif]" in last
