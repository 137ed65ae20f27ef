"""Reading picture files as upright sRGB."""

import os
from collections.abc import Callable
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import simplejpeg
from PIL import Image, UnidentifiedImageError

from colorization.errors import PictureError
from colorization.imagefiles.channels import Decoded, check_size
from colorization.imagefiles.exif import exif_block, exif_of, kept_exif, orientation, resolution
from colorization.imagefiles.heif import IS_INSTALLED, heif_hint, is_deep_heif, is_heif, read_heif
from colorization.imagefiles.levels import to_levels
from colorization.imagefiles.opening import FORMATS, MAX_PIXELS, opened, own_limit, quiet
from colorization.imagefiles.picture import Picture, Pixels, jpeg_quality, turn_upright
from colorization.imagefiles.png import is_deep_png, mend_transparency, read_png
from colorization.imagefiles.profiles import profile_space, to_srgb
from colorization.imagefiles.saving import on_white, to_8_bits, to_pil
from colorization.imagefiles.tiff import directory_of_tiff, is_beyond_pillow, read_tiff
from colorization.runtime.files import StrPath

# By how much the sides of a picture of a size (W, H) may be divided.
Shrink = Callable[[tuple[int, int]], int]

_GRAY_MODES = ("1", "L", "LA", "La", "I", "F")
_ALPHA_MODES = ("LA", "PA", "La", "RGBA", "RGBa")
# Pixels are copied from Pillow in strips of about this many, to save memory.
_STRIP = 2**20

# Tags of TIFF 6.0, and of ICC.1:2022, B.4.
_RESOLUTION, _PER_CENTIMETRE, _ICC_PROFILE = (282, 283, 296), 3, 34675


def is_gray_mode(image: Image.Image) -> bool:
    """Whether a picture is stored without colour."""
    return image.mode in _GRAY_MODES or image.mode.startswith("I;")


def read_picture(source: StrPath | BinaryIO, max_pixels: int = MAX_PIXELS) -> Picture:
    """Reads the first frame or page of a picture as upright sRGB, with its metadata.

    Args:
        source: a path, or an open binary file.
        max_pixels: larger pictures are refused before decoding.

    Returns:
        The picture: gray with one channel, and 16 bits a channel if the file has more than 8.

    Raises:
        PictureError: it can't be read, is truncated, or has more than `max_pixels`.
    """
    with opened(source) as file, quiet():
        try:
            with own_limit():
                image = Image.open(file, formats=FORMATS)
        except UnidentifiedImageError:
            return _other_tiff(file, max_pixels)
        check_size(*image.size, max_pixels)
        if is_deep_png(image) or is_beyond_pillow(image) or is_deep_heif(image):
            return _deep(file, image, max_pixels)
        return from_pil(image)


def _deep(file: BinaryIO, image: Image.Image, max_pixels: int) -> Picture:
    """A file that Pillow opens, but would decode to fewer bits."""
    head = _Head.of(image)
    if image.format == "HEIF":
        return _described(read_heif(file), head)
    return _described(read_png(file) if image.format == "PNG" else read_tiff(file, max_pixels), head)


def _other_tiff(file: BinaryIO, max_pixels: int) -> Picture:
    """A file that Pillow does not open: another kind of TIFF, or not a picture."""
    if file.seek(0, os.SEEK_END) == 0:
        raise PictureError("is empty")
    if is_heif(file) and not IS_INSTALLED:
        raise PictureError(f"is HEIF, which {heif_hint()}")
    decoded = read_tiff(file, max_pixels)
    return _described(decoded, _Head.of_tiff(directory_of_tiff(file)))


def open_picture(source: StrPath | BinaryIO) -> Image.Image:
    """Opens and decodes a picture, in the mode, size and orientation of the file.

    Args:
        source: a path, or an open binary file.

    Raises:
        PictureError: it can't be read, is truncated, or may be a decompression bomb.
    """
    with opened(source) as file, quiet():
        image = _begun(file)
        image.load()
        return image


def _begun(file: BinaryIO) -> Image.Image:
    """A picture whose pixels Pillow has yet to decode, if it can."""
    try:
        image = Image.open(file, formats=FORMATS)
    except UnidentifiedImageError:
        return to_pil(to_8_bits(_other_tiff(file, MAX_PIXELS)))
    except Image.DecompressionBombError as error:
        raise PictureError(f"may be a decompression bomb: {error}") from error
    # Pillow keeps the upper 8 bits of deep colour, as needed here, but corrupts that of TIFFs.
    if is_beyond_pillow(image) or (is_deep_png(image) and "transparency" in image.info):
        return to_pil(to_8_bits(_deep(file, image, MAX_PIXELS)))
    mend_transparency(image)
    return image


def read_colors(source: StrPath | BinaryIO, shrink: Shrink | None = None) -> Pixels | None:
    """The first frame or page of a picture, as `to_rgb` converts it, for training.

    Args:
        source: a path, or an open binary file.
        shrink: by how much the sides of an upright picture of a size (W, H) may be divided; called for JPEGs, which are
            then decoded at a half, a quarter or an eighth of their size, from the low frequencies of their blocks.

    Returns:
        sRGB, uint8 `(H, W, 3)`; None if the picture is stored without colour.

    Raises:
        PictureError: it can't be read, is truncated, or may be a decompression bomb.
    """
    with opened(source) as file, quiet():
        image = _begun(file)
        if image.format not in ("JPEG", "MPO") or image.mode != "RGB":
            image.load()
            return colors_of(image)
        turn, (width, height) = orientation(exif_of(image)), image.size
        factor = 1 if shrink is None else shrink((height, width) if turn >= 5 else (width, height))
        scale = next(scale for scale in (8, 4, 2, 1) if scale <= max(factor, 1))
        width, height = (-(-side // scale) for side in (width, height))
        file.seek(0)
        try:  # the pixels are Pillow's, and come in two thirds of its time
            pixels = simplejpeg.decode_jpeg(file.read(), min_height=height, min_width=width)
        except ValueError:  # Pillow decides whether the file is corrupt
            image.draft(None, (width, height))
            image.load()
            return colors_of(image)
        head = _Head(orientation=turn, profile=image.info.get("icc_profile"))
        return _described(Decoded(pixels, None), head).pixels


def colors_of(image: Image.Image) -> Pixels | None:
    """A decoded picture as `read_colors` returns it."""
    return None if is_gray_mode(image) else np.asarray(to_rgb(image))


def from_pil(image: Image.Image) -> Picture:
    """A Pillow picture of any mode as upright sRGB. Raises Pillow's exceptions on a corrupt file."""
    mend_transparency(image)  # first: reading the EXIF of a PNG decodes it
    return _converted(image, _Head.of(image))


def _converted(image: Image.Image, head: "_Head") -> Picture:
    image.load()
    head = head._replace(orientation=orientation(exif_of(image)))  # Pillow turns TIFFs upright
    if image.mode == "F" or image.mode.startswith("I"):
        return _described(_of_numbers(image), head)
    profile = head.profile
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
    return _described(Decoded(pixels, alpha), head, converted=mode == "CMYK" or image.mode == "CMYK")


def _of_numbers(image: Image.Image) -> Decoded:
    """Modes with more than 8 bits: `I;16`, `F`, and `I`, which holds 16 bits in 32."""
    numbers = np.asarray(image)
    if image.mode == "I":
        low, high = int(numbers.min()), int(numbers.max())
        if low < 0 or high > 65535:
            raise PictureError(f"holds integers from {low} to {high}: store it with unsigned 8 or 16 bits")
        numbers = numbers.astype(np.uint16)
    levels, notes = to_levels(numbers)
    return Decoded(levels, None, notes)


class _Head(NamedTuple):
    """Metadata of a file. Read it before the pixels are decoded: Pillow then closes TIFFs."""

    format: str | None = None
    orientation: int = 1
    profile: bytes | None = None
    exif: dict[int, dict[int, Any]] = {}  # noqa: RUF012
    dpi: tuple[float, float] | None = None
    quality: int | None = None
    frames: int = 1

    @classmethod
    def of(cls, image: Image.Image) -> "_Head":
        exif = exif_of(image)
        turn, is_photo = orientation(exif), image.format == "MPO"  # a photo and previews of it
        return cls(
            "JPEG" if is_photo else image.format,
            turn,
            image.info.get("icc_profile"),
            kept_exif(exif),
            resolution(image.info.get("dpi"), turn),
            jpeg_quality(image),
            1 if is_photo else getattr(image, "n_frames", 1),
        )

    @classmethod
    def of_tiff(cls, directory: Image.Exif) -> "_Head":
        turn, profile = orientation(directory), directory.get(_ICC_PROFILE)
        across, down, unit = (directory.get(tag) for tag in _RESOLUTION)
        inches = 2.54 if unit == _PER_CENTIMETRE else 1.0
        dpi = resolution((across, down), turn) if across and down else None
        return cls(
            "TIFF",
            turn,
            profile if isinstance(profile, bytes) else None,
            kept_exif(directory),
            dpi and (dpi[0] * inches, dpi[1] * inches),
        )


def _described(decoded: Decoded, head: _Head, *, converted: bool = False) -> Picture:
    """Gray or RGB converted to sRGB and turned upright, with metadata.

    Args:
        decoded: the pixels.
        head: of the file.
        converted: whether the profile has been applied, or does not apply any more.
    """
    pixels, alpha, notes = decoded
    space = profile_space(head.profile)
    if space in ("RGB", "GRAY") and not converted:
        pixels = to_srgb(pixels, head.profile)
    pixels = turn_upright(pixels, head.orientation)
    if head.frames > 1:
        notes += (f"only the first of its {head.frames} frames or pages was taken",)
    return Picture(
        pixels,
        None if alpha is None else turn_upright(alpha, head.orientation),
        head.format,
        exif=exif_block(head.exif, (pixels.shape[1], pixels.shape[0])),
        dpi=head.dpi,
        has_profile=space is not None,
        quality=head.quality,
        notes=notes,
    )


def to_rgb(image: Image.Image) -> Image.Image:
    """Any decoded picture as upright 8-bit sRGB (mode `RGB`): EXIF orientation and ICC profile applied, white behind
    transparent parts, 16 bits reduced to 8.

    Raises:
        PictureError: it can't be converted.
    """
    try:
        if image.mode == "RGB" and not {"icc_profile", "transparency"} & image.info.keys():
            image.load()
            if orientation(exif_of(image)) == 1:
                return image
        # Only the profile: the file may be closed, and the rest takes time.
        head = _Head(profile=image.info.get("icc_profile"))
        return to_pil(to_8_bits(on_white(_converted(image, head)))).convert("RGB")
    except Exception as error:  # Pillow raises any exception on odd contents
        raise PictureError(f"can't be converted to RGB: {error}") from error
