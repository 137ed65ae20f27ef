"""Damaged picture files: read whole, or refused with a `PictureError`; nothing else, and no more memory than allowed.

A longer run: `python -m tests.imagefiles.test_fuzz 20000`.
"""

import io
import sys

import imagecodecs
import numpy as np
import tifffile
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from PIL import Image

from colorization.errors import PictureError
from colorization.imagefiles import open_picture, read_picture, to_rgb
from tests.helpers.photos import make_photo
from tests.helpers.pictures import ADOBE_RGB, icc_profile

MAX_PIXELS = 1_000_000


def seeds() -> list[bytes]:
    """Small whole files of every format, with metadata."""
    photo = make_photo(24, 16)
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Maker"
    exif.get_ifd(0x8769)[0x9003] = "2020:01:02 03:04:05"
    profile = icc_profile(ADOBE_RGB, 2.2)
    found = []
    for file_format in ("JPEG", "PNG", "TIFF", "WEBP", "GIF", "BMP", "PPM", "JPEG2000", "AVIF"):
        for image in (photo, photo.convert("L"), photo.quantize(16)):
            if image.mode == "P" and file_format in ("JPEG", "WEBP", "PPM", "JPEG2000", "AVIF"):
                continue
            buffer = io.BytesIO()
            image.save(buffer, file_format, exif=exif, icc_profile=profile, dpi=(300, 300))
            found.append(buffer.getvalue())
    deep = np.asarray(photo).astype(np.uint16) * 257
    found.append(bytes(imagecodecs.png_encode(deep)))
    for options in ({}, {"compression": "lzw", "predictor": True}, {"compression": "zlib"}, {"tile": (16, 16)}):
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, deep, photometric="rgb", iccprofile=profile, **options)
        found.append(buffer.getvalue())
    buffer = io.BytesIO()
    photo.convert("CMYK").save(buffer, "JPEG", progressive=True)
    found.append(buffer.getvalue())
    buffer = io.BytesIO()
    photo.save(buffer, "GIF", save_all=True, append_images=[photo.rotate(90), photo.rotate(180)])
    found.append(buffer.getvalue())
    return found


SEEDS = seeds()


@st.composite
def damaged_files(draw: st.DrawFn) -> bytes:
    """A whole file in which bytes were changed, cut out, doubled or put in."""
    content = bytearray(draw(st.sampled_from(SEEDS)))
    for _ in range(draw(st.integers(1, 6))):
        # Heads matter more than pixels: half of the damage is done within the first 200 bytes.
        place = draw(st.integers(0, max(min(200, len(content)) - 1, 0)) | st.integers(0, max(len(content) - 1, 0)))
        kind = draw(st.sampled_from(["set", "flip", "cut", "end", "double", "insert", "number"]))
        if kind == "set":
            content[place : place + 1] = bytes([draw(st.sampled_from([0, 1, 0x7F, 0x80, 0xFF]))])
        elif kind == "flip":
            content[place : place + 1] = bytes(
                byte ^ 1 << draw(st.integers(0, 7)) for byte in content[place : place + 1]
            )
        elif kind == "cut":
            del content[place : place + draw(st.integers(1, 40))]
        elif kind == "end":
            del content[place:]
        elif kind == "double":
            content[place:place] = content[place : place + draw(st.integers(1, 60))]
        elif kind == "insert":
            content[place:place] = draw(st.binary(min_size=1, max_size=16))
        else:
            size = draw(st.sampled_from([2, 4]))
            number = draw(st.integers(0, 2 ** (8 * size) - 1))
            content[place : place + size] = number.to_bytes(size, "big" if draw(st.booleans()) else "little")
    return bytes(content)


def check(content: bytes) -> bool:
    """Reads a file; whether it could be."""
    try:
        picture = read_picture(io.BytesIO(content), MAX_PIXELS)
    except PictureError as error:
        message = str(error)
    else:
        message = "is fine"
        assert picture.pixels.dtype in (np.uint8, np.uint16)
        assert 0 < picture.size[0] * picture.size[1] <= MAX_PIXELS
        assert picture.pixels.shape[2:] in ((), (3,))
        assert picture.alpha is None or picture.alpha.shape == picture.pixels.shape[:2]
    assert message
    assert "\n" not in message
    return message == "is fine"


@seed(0)
@settings(max_examples=200, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(damaged_files() | st.binary(max_size=200))
def test_damaged_files_give_a_picture_or_a_picture_error(content: bytes) -> None:
    check(content)


@seed(1)
@settings(max_examples=50, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(damaged_files())
def test_reading_for_training_raises_nothing_else_either(content: bytes) -> None:
    try:
        image = open_picture(io.BytesIO(content))
    except PictureError:
        return
    if image.width * image.height <= MAX_PIXELS:
        assert to_rgb(image).mode == "RGB"


def test_the_files_that_are_damaged_were_whole() -> None:
    for content in SEEDS:
        assert read_picture(io.BytesIO(content), MAX_PIXELS).size in ((24, 16), (16, 24))


if __name__ == "__main__":
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (6 * 2**30,) * 2)
    examples = int(sys.argv[1])
    outcomes = {"read": 0, "refused": 0}

    @seed(int(sys.argv[2]) if len(sys.argv) > 2 else 0)
    @settings(max_examples=examples, deadline=10_000, database=None, suppress_health_check=list(HealthCheck))
    @given(damaged_files() | st.binary(max_size=200))
    def long_run(content: bytes) -> None:
        outcomes["read" if check(content) else "refused"] += 1

    long_run()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{sum(outcomes.values())} cases: {outcomes}; peak memory {peak} MB")
