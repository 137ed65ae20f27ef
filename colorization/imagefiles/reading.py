"""Picture files of the real world: found, and read as upright sRGB."""

import contextlib
import io
import os
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from colorization.errors import PictureError, first_line
from colorization.imagefiles.deep import check_size, is_deep_color, read_png, read_tiff
from colorization.imagefiles.picture import (
    Picture,
    Pixels,
    exif_block,
    jpeg_quality,
    kept_exif,
    orientation,
    resolution,
    turn_upright,
)
from colorization.imagefiles.profiles import profile_space, to_srgb
from colorization.imagefiles.saving import on_white, to_8_bits, to_pil
from colorization.runtime.files import StrPath

FILM_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".wmv", ".3gp"}
)
SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".ppm", ".pgm", ".pnm", ".jp2", ".avif"}
)
# What Pillow may try. The others are rare, and one of them, EPS, runs a program on the file.
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "JPEG2000", "AVIF")
# A file that says it has more pixels may be a decompression bomb. The largest cameras have 150 million.
MAX_PIXELS = 200_000_000

_GRAY_MODES = ("1", "L", "LA", "La", "I", "F")
_ALPHA_MODES = ("LA", "PA", "La", "RGBA", "RGBa")
# Pixels leave Pillow in strips of about this many, so that little more than one copy is in memory beside its own.
_STRIP = 2**20
_pillows_limit = threading.Lock()


def is_picture(name: str) -> bool:
    """Whether a file's name ends like a picture's and the file is not hidden."""
    return os.path.splitext(name)[1].lower() in SUFFIXES and not os.path.basename(name).startswith(".")


def is_film(path: StrPath) -> bool:
    """Whether a file's name ends like a film's and the file is not hidden."""
    path = Path(path)
    return path.suffix.lower() in FILM_SUFFIXES and not path.name.startswith(".")


def find_pictures(folder: StrPath) -> list[str]:
    """Names of all pictures below a folder, relative to it, with `/`, sorted. Links to folders are not followed."""
    return list(walk_pictures(folder))


def walk_pictures(folder: StrPath) -> Iterator[str]:
    """As `find_pictures`, one by one: no more names are in memory than one folder has."""
    return _walk(os.fspath(folder), "")


def _walk(folder: str, prefix: str) -> Iterator[str]:
    with os.scandir(folder) as entries:
        names = [
            f"{entry.name}/" if is_folder else entry.name
            for entry in entries
            if (is_folder := entry.is_dir(follow_symlinks=False)) or is_picture(entry.name)
        ]
    # With its slash, a folder has the place among the files beside it that the names below it have among all names.
    for name in sorted(names):
        if name.endswith("/"):
            yield from _walk(f"{folder}/{name}", prefix + name)
        else:
            yield prefix + name


def is_gray_mode(image: Image.Image) -> bool:
    """Whether a picture's file says that it has no colour at all."""
    return image.mode in _GRAY_MODES or image.mode.startswith("I;")


def read_picture(source: StrPath | BinaryIO, max_pixels: int = MAX_PIXELS) -> Picture:
    """Reads the first frame or page of a picture as upright sRGB, with what is to be kept when it is written again.

    Args:
        source: a path, or an open binary file.
        max_pixels: a picture that says it has more is refused before anything is decoded.

    Returns:
        The picture: gray with one channel, and 16 bits a channel if the file has more than 8.

    Raises:
        PictureError: it can't be read, is truncated, or has more than `max_pixels`.
    """
    with _opened(source) as file, _quiet():
        try:
            with _own_limit():
                image = Image.open(file, formats=FORMATS)
        except UnidentifiedImageError:
            if file.seek(0, os.SEEK_END) == 0:
                raise PictureError("is empty") from None
            return Picture(*read_tiff(file, max_pixels), format="TIFF")
        check_size(*image.size, max_pixels)
        if not is_deep_color(image):
            return from_pil(image)
        pixels, alpha = read_png(file) if image.format == "PNG" else read_tiff(file, max_pixels)
        return _described(pixels, alpha, image, _Head.of(image))


def open_picture(source: StrPath | BinaryIO) -> Image.Image:
    """Opens and decodes a picture; still in the mode, size and orientation of the file.

    Args:
        source: a path, or an open binary file.

    Raises:
        PictureError: it can't be read, is truncated, or is so large that it looks like a decompression bomb.
    """
    with _opened(source) as file, _quiet():
        try:
            image = Image.open(file, formats=FORMATS)
        except UnidentifiedImageError:
            return to_pil(to_8_bits(Picture(*read_tiff(file, MAX_PIXELS))))
        except Image.DecompressionBombError as error:
            raise PictureError(f"too large to be trusted: {error}") from error
        if image.format == "TIFF" and is_deep_color(image):
            # Pillow garbles 16-bit colour whose channels lie one behind the other.
            return to_pil(to_8_bits(Picture(*read_tiff(file, MAX_PIXELS))))
        image.load()
        return image


@contextlib.contextmanager
def _opened(source: StrPath | BinaryIO) -> Iterator[BinaryIO]:
    if not isinstance(source, str | os.PathLike):
        yield source if source.seekable() else io.BytesIO(source.read())
        return
    try:
        source = Path(source)
        if source.exists() and not source.is_file():  # opening a pipe would wait for ever
            raise PictureError("is not a file")
        file = source.open("rb")
    except OSError as error:
        raise PictureError(f"can't be read: {error.strerror or error}") from error
    with file:
        yield file


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """What Pillow's decoders raise becomes a `PictureError`; what they warn of is of no use to anyone here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except PictureError:
            raise
        except Exception as error:  # on damaged files they raise what they like
            raise PictureError(f"can't be decoded: {first_line(error)}") from error


@contextlib.contextmanager
def _own_limit() -> Iterator[None]:
    """Sets Pillow's limit of pixels, a global, aside while the head of a file is read."""
    with _pillows_limit:
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def from_pil(image: Image.Image) -> Picture:
    """A picture of Pillow's, of any mode, as upright sRGB. Raises what Pillow raises on a damaged file."""
    return _converted(image, _Head.of(image))


def _converted(image: Image.Image, head: "_Head") -> Picture:
    image.load()
    if image.mode == "F" or image.mode.startswith("I"):
        return _described(_to_16_bits(image), None, image, head)
    profile = image.info.get("icc_profile")
    mode = "L" if is_gray_mode(image) else "CMYK" if (image.mode, profile_space(profile)) == ("CMYK", "CMYK") else "RGB"
    width, height = image.size
    pixels = np.empty((height, width) if mode == "L" else (height, width, 3), np.uint8)
    has_alpha = image.mode in _ALPHA_MODES or "transparency" in image.info
    alpha = np.empty((height, width), np.uint8) if has_alpha else None
    rows = max(_STRIP // width, 1)
    for top in range(0, height, rows):
        strip = image.crop((0, top, width, min(top + rows, height)))
        if alpha is not None:
            strip = strip.convert("LA" if mode == "L" else "RGBA")
            alpha[top : top + rows] = np.asarray(strip.getchannel("A"))
        numbers = np.asarray(strip.convert(mode))
        pixels[top : top + rows] = to_srgb(numbers, profile) if mode == "CMYK" else numbers
    return _described(pixels, alpha, image, head)


def _to_16_bits(image: Image.Image) -> Pixels:
    pixels = np.asarray(image)
    if image.mode.startswith("I"):
        return np.clip(pixels, 0, 65535).astype(np.uint16)
    highest = 1.0 if pixels.max() <= 1 else 255.0
    return (np.nan_to_num(np.clip(pixels / np.float32(highest), 0, 1)) * 65535).round().astype(np.uint16)


class _Head(NamedTuple):
    """What has to be asked of a file before it is decoded: Pillow turns TIFFs upright and closes them."""

    exif: dict[int, dict[int, Any]]
    dpi: tuple[float, float] | None
    quality: int | None
    frames: int

    @classmethod
    def of(cls, image: Image.Image) -> "_Head":
        frames = 1 if image.format == "MPO" else getattr(image, "n_frames", 1)  # MPO: a photo and previews of it
        return cls(kept_exif(image), resolution(image, orientation(image)), jpeg_quality(image), frames)


def _described(pixels: Pixels, alpha: Pixels | None, image: Image.Image, head: _Head) -> Picture:
    """Gray or RGB pixels brought to sRGB and turned upright, with what the file says about them."""
    profile, turn = image.info.get("icc_profile"), orientation(image)
    space = profile_space(profile)
    if space in ("RGB", "GRAY") and image.mode != "CMYK":
        pixels = to_srgb(pixels, profile)
    pixels = turn_upright(pixels, turn)
    return Picture(
        pixels,
        None if alpha is None else turn_upright(alpha, turn),
        "JPEG" if image.format == "MPO" else image.format,
        exif=exif_block(head.exif, (pixels.shape[1], pixels.shape[0])),
        dpi=head.dpi,
        has_profile=space is not None,
        quality=head.quality,
        notes=(f"only the first of its {head.frames} frames or pages was taken",) if head.frames > 1 else (),
    )


def to_rgb(image: Image.Image) -> Image.Image:
    """Any decoded picture as upright 8-bit sRGB (mode `RGB`): EXIF orientation and ICC profile applied, transparent
    parts laid on white, 16 bits brought to 8.
    """
    nothing_asked = _Head({}, None, None, 1)  # its file may be closed, and asking takes time
    picture = to_8_bits(on_white(_converted(image, nothing_asked)))
    return to_pil(picture).convert("RGB")
