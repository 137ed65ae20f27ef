"""Damaged picture files, by number: read, or refused with a `PictureError`, and what was read can be written again.

A longer run, in processes of limited memory and time: `python -m tests.helpers.picture_fuzz 50000`.
"""

import argparse
import io
import multiprocessing
import resource
import signal
import struct
import time
import traceback
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from PIL import Image

from colorization.errors import PictureError
from colorization.imagefiles import open_picture, read_colors, read_picture, save_picture, to_rgb
from tests.helpers.photos import make_photo
from tests.helpers.pictures import ADOBE_RGB, icc_profile

MAX_PIXELS = 1_000_000
_SECONDS = 20
_MEMORY = 6 * 2**30
_TOGETHER = 500
_WRITTEN = ("jpg", "png", "tif", "webp", "bmp", "ppm", "jp2")


@cache
def seeds() -> list[bytes]:
    """Small whole files of every format with metadata, and of all kinds of numbers; the last one is refused."""
    photo = make_photo(24, 16)
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Maker"
    exif.get_ifd(0x8769)[0x9003] = "2020:01:02 03:04:05"
    exif.get_ifd(0x8825)[2] = (48.0, 30.0, 0.0)
    profile = icc_profile(ADOBE_RGB, 2.2)
    found = []
    for file_format in ("JPEG", "PNG", "TIFF", "WEBP", "GIF", "BMP", "PPM", "JPEG2000", "AVIF"):
        for image in (photo, photo.convert("L"), photo.quantize(16), photo.convert("RGBA"), photo.convert("1")):
            try:
                found.append(_encoded(image, file_format, exif=exif, icc_profile=profile, dpi=(300, 300)))
            except (OSError, ValueError):  # a format without this mode
                continue
    deep = np.asarray(photo).astype(np.uint16) * 257
    found += [bytes(imagecodecs.png_encode(pixels)) for pixels in (deep, deep[..., 0].copy())]
    found += [
        bytes(imagecodecs.jpeg2k_encode(deep, level=0)),
        _encoded(photo.convert("CMYK"), "JPEG", progressive=True),
    ]
    found.append(_encoded(photo, "GIF", save_all=True, append_images=[photo.rotate(90), photo.rotate(180)]))
    found.append(b"Pf\n24 16\n-1.0\n" + (deep[..., 0] / 65535).astype("<f4").tobytes())
    found.append(b"P5\n24 16\n1023\n" + (deep[..., 0] // 64).astype(">u2").tobytes())
    rgb: dict[str, Any] = {"photometric": "rgb", "iccprofile": profile}
    kinds: list[tuple[np.ndarray, dict[str, Any]]] = [
        (deep, rgb),
        (deep, {**rgb, "compression": "lzw", "predictor": True}),
        (deep, {**rgb, "compression": "zlib", "tile": (16, 16)}),
        (np.moveaxis(deep, -1, 0).copy(), {**rgb, "planarconfig": "separate"}),
        (np.dstack((deep, deep[..., :1])), {**rgb, "extrasamples": ["unassalpha"]}),
        (np.dstack((deep, deep[..., :1])), {**rgb, "extrasamples": ["assocalpha"]}),
        (deep[..., 0], {"photometric": "miniswhite"}),
        ((deep // 64), {**rgb, "bitspersample": 10}),
        ((deep[..., 0] // 16), {"bitspersample": 12}),
        ((deep // 65535 * 15).astype(np.uint8), {**rgb, "bitspersample": 4}),
    ]
    kinds += [((deep[..., 0] / 65535).astype(dtype), {}) for dtype in ("f2", "f4", "f8")]
    kinds += [
        ((deep / 65535).astype("f4"), rgb),
        (deep[..., 0].astype("u4") << 16, {}),
        (deep[..., 0].astype("i4"), {}),
    ]
    for pixels, options in kinds:
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, pixels, **options)
        found.append(buffer.getvalue())
    return found


def _encoded(image: Image.Image, file_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def damaged(number: int) -> bytes:
    """The file of this number: a whole one with bytes changed, cut out, doubled or put in, or its own parts moved."""
    random = np.random.default_rng([7, number])
    whole = seeds()
    content = bytearray(whole[random.integers(len(whole))])
    for _ in range(random.integers(1, 7)):
        # Heads matter more than pixels: half of the damage is done within the first 200 bytes.
        place = int(random.integers(max(min(200, len(content)) if random.random() < 0.5 else len(content), 1)))
        _damage(content, place, random)
    if content.startswith(b"\x89PNG") and random.random() < 0.7:
        return _with_check_sums(bytes(content))
    return bytes(content)


def _damage(content: bytearray, place: int, random: np.random.Generator) -> None:
    kind = random.choice(["set", "flip", "cut", "end", "double", "insert", "number", "entry", "noise"])
    if kind == "set":
        content[place : place + 1] = bytes([random.choice([0, 1, 0x7F, 0x80, 0xFF])])
    elif kind == "flip":
        content[place : place + 1] = bytes(byte ^ 1 << random.integers(8) for byte in content[place : place + 1])
    elif kind == "cut":
        del content[place : place + int(random.integers(1, 41))]
    elif kind == "end":
        del content[place:]
    elif kind == "double":
        content[place:place] = content[place : place + int(random.integers(1, 61))]
    elif kind == "insert":
        content[place:place] = random.bytes(int(random.integers(1, 17)))
    elif kind == "number":
        size = int(random.choice([2, 4]))
        number = int(random.choice(np.array([0, 1, 2, 2**15, 2**31, 2**32 - 1, int(random.integers(2**32))]))) % 2 ** (
            8 * size
        )
        content[place : place + size] = number.to_bytes(size, str(random.choice(["big", "little"])))
    elif kind == "noise":
        content[place : place + 64] = random.bytes(len(content[place : place + 64]))
    elif content[:4] in (b"II*\0", b"MM\0*"):
        _damage_entry(content, random)


def _damage_entry(content: bytearray, random: np.random.Generator) -> None:
    """Changes one field of one entry of a TIFF's first directory: tag, type, count or value."""
    order = "<" if content[:2] == b"II" else ">"
    try:
        (start,) = struct.unpack_from(f"{order}I", content, 4)
        (count,) = struct.unpack_from(f"{order}H", content, start)
        entry = start + 2 + 12 * int(random.integers(max(count, 1)))
        tag, type_, number, value = struct.unpack_from(f"{order}HHII", content, entry)
        fields = [tag, type_, number, value]
        which = int(random.integers(4))
        numbers = [0, 1, 2, 3, 5, 8, 12, 16, 32, 64, 2**16 - 1, 2**31, 2**32 - 1, value + 1, number + 1]
        limit = 2**16 if which < 2 else 2**32
        fields[which] = int(random.choice(numbers)) % limit if which else int(random.integers(254, 345))
        struct.pack_into(f"{order}HHII", content, entry, *fields)
    except struct.error:
        return


def _with_check_sums(content: bytes) -> bytes:
    """A PNG whose chunks have the check sums of what is in them now: decoders then look at it."""
    parts, place = [content[:8]], 8
    while place + 12 <= len(content):
        length = int.from_bytes(content[place : place + 4], "big")
        body = content[place + 4 : place + 8 + length]
        if len(body) < 4 + length:
            break
        parts.append(content[place : place + 4] + body + zlib.crc32(body).to_bytes(4, "big"))
        place += 12 + length
    return b"".join(parts) + content[place:]


def check(content: bytes, number: int = 0) -> str:
    """Reads a file in both ways and writes what was read.

    Returns:
        What became of it: `read` or `refused`.

    Raises:
        AssertionError: something else did.
    """
    try:
        image = open_picture(io.BytesIO(content))
        if image.width * image.height <= MAX_PIXELS:
            rgb, colors = to_rgb(image), read_colors(io.BytesIO(content))
            assert rgb.mode == "RGB"
            assert colors is None or np.array_equal(colors, np.asarray(rgb))
    except PictureError as error:
        _is_a_sentence(error)
    try:
        picture = read_picture(io.BytesIO(content), MAX_PIXELS)
    except PictureError as error:
        _is_a_sentence(error)
        return "refused"
    assert picture.pixels.dtype in (np.uint8, np.uint16)
    assert 0 < picture.size[0] * picture.size[1] <= MAX_PIXELS
    assert picture.pixels.shape[2:] in ((), (3,))
    assert picture.alpha is None or picture.alpha.shape == picture.pixels.shape[:2]
    if max(picture.size) <= 16383:  # where WebP ends
        written = io.BytesIO()
        noted = replace(picture, provenance="made by a test")
        save_picture(noted, written, _WRITTEN[number % len(_WRITTEN)])
        assert read_picture(io.BytesIO(written.getvalue()), MAX_PIXELS).size == picture.size
    return "read"


def _is_a_sentence(error: PictureError) -> None:
    assert str(error)
    assert "\n" not in str(error)


def _late(*_: object) -> None:
    raise TimeoutError


def _work(first: int, last: int, results: Any) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    signal.signal(signal.SIGALRM, _late)
    for number in range(first, last):
        results.send((number, None, ""))
        signal.alarm(_SECONDS)
        try:
            outcome, detail = check(damaged(number), number), ""
        except BaseException as error:
            outcome, detail = "surprise", f"{type(error).__name__}: {error}\n{traceback.format_exc()}"
        signal.alarm(0)
        results.send((number, outcome, detail))


def outcomes(first: int, last: int) -> Iterator[tuple[int, str, str]]:
    """Tries the files of these numbers in processes of their own, which may crash or hang."""
    context = multiprocessing.get_context("fork")
    seeds()
    while first < last:
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=_work, args=(first, min(first + _TOGETHER, last), sender))
        process.start()
        sender.close()
        end = min(first + _TOGETHER, last)
        try:
            while first < end:
                if not receiver.poll(3 * _SECONDS):
                    process.kill()
                    yield first, "surprise", "hangs"
                    break
                number, outcome, detail = receiver.recv()
                if outcome is not None:
                    yield number, outcome, detail
                    first = number + 1
        except EOFError:
            process.join()
            yield first, "surprise", f"crashes with exit code {process.exitcode}"
        if first < end:
            first += 1
        process.join()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("cases", type=int)
    parser.add_argument("--first", type=int, default=0)
    options = parser.parse_args()
    begun, counts = time.monotonic(), Counter[str]()
    for case, result, why in outcomes(options.first, options.first + options.cases):
        counts[result] += 1
        if result == "surprise":
            print(f"case {case}: {why}", flush=True)
        if case % 2500 == 2499:
            print(f"{case + 1}: {dict(counts)}", flush=True)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
    print(f"{counts.total()} cases: {dict(counts)}; {time.monotonic() - begun:.0f} s, peak memory {peak} MB")
