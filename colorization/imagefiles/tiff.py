"""TIFF of any depth, of which Pillow supports few kinds: reading, and lossless writing with EXIF."""

import logging
import os
import struct
from typing import Any, BinaryIO

import numpy as np
import tifffile
from PIL import Image
from PIL.TiffImagePlugin import BITSPERSAMPLE, SAMPLEFORMAT, ImageFileDirectory_v2, TiffImageFile

from colorization.errors import PictureError
from colorization.imagefiles.channels import Decoded, check_size, joined, split
from colorization.imagefiles.levels import to_levels
from colorization.imagefiles.picture import Picture
from colorization.imagefiles.profiles import SRGB_PROFILE

# Remarks of tifffile on corrupt files go to the log, not to the terminal.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

_EXIF_DIRECTORY, _GPS_DIRECTORY = 0x8769, 0x8825
# Photometric interpretations of gray and RGB (TIFF 6.0, page 37).
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB = 0, 1, 2
# Kinds of extra samples (TIFF 6.0, page 31).
_PREMULTIPLIED, _ALPHA = 1, 2
_UNSIGNED = 1  # a kind of samples (TIFF 6.0, page 80)


def is_beyond_pillow(image: Image.Image) -> bool:
    """Whether Pillow would reduce the samples of an opened TIFF to 8 bits, or misinterpret them."""
    if not isinstance(image, TiffImageFile):
        return False
    deepest = max(image.tag_v2.get(BITSPERSAMPLE, (1,)))
    unsigned = set(image.tag_v2.get(SAMPLEFORMAT, (_UNSIGNED,))) == {_UNSIGNED}
    if image.mode == "F" or image.mode.startswith("I"):
        return True
    return image.mode in ("L", "LA", "RGB", "RGBA", "RGBX") and (deepest > 8 or not unsigned)


def read_tiff(file: BinaryIO, max_pixels: int) -> Decoded:
    """The channels of a TIFF's first page, uint8 or uint16.

    Raises:
        PictureError: it is not a TIFF, or of an unsupported kind, or has more than `max_pixels`, or its black and
            white are undefined.
    """
    file.seek(0)
    try:
        with tifffile.TiffFile(file) as tiff:
            page = tiff.pages.first
            check_size(page.imagewidth, page.imagelength, max_pixels)
            known = page.photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB) and page.dtype is not None
            if not known or page.samplesperpixel > 8 or page.imagedepth != 1 or not isinstance(page.bitspersample, int):
                raise PictureError("is an unsupported kind of TIFF")
            pixels, extra = page.asarray(maxworkers=1), page.extrasamples
            channels_first = pixels.ndim == 3 and page.planarconfig == tifffile.PLANARCONFIG.SEPARATE
            white_is_zero, bits = page.photometric == _WHITE_IS_ZERO, page.bitspersample
    except PictureError:
        raise
    except Exception as error:  # tifffile raises any exception on corrupt files
        raise PictureError("is not a picture of a known format") from error
    if channels_first:
        pixels = np.moveaxis(pixels, 0, -1)
    samples, opacities = split(pixels, has_alpha=bool(extra) and extra[0] in (_PREMULTIPLIED, _ALPHA))
    color, notes = to_levels(samples, bits)
    alpha = None if opacities is None else to_levels(opacities, bits)[0]
    if white_is_zero:
        color = ~color
    if alpha is not None and extra[0] == _PREMULTIPLIED:
        highest = np.iinfo(color.dtype).max
        opacity = np.maximum(alpha, 1).reshape(alpha.shape + (1,) * (color.ndim - 2)) / np.float32(highest)
        color = np.minimum(color / opacity, highest).round().astype(color.dtype)
    return Decoded(color, alpha, notes)


def directory_of_tiff(file: BinaryIO) -> Image.Exif:
    """The first directory of a TIFF that Pillow does not open, as EXIF; empty if it is corrupt."""
    file.seek(0)
    exif = Image.Exif()
    try:
        exif.load(file.read())
    except Exception:  # Pillow's reader raises any exception on corrupt blocks
        return Image.Exif()
    return exif


def _entry(tag: int, value: Any) -> tuple[int, int, int, Any, bool] | None:
    """An extra tag for tifffile: ASCII, BYTE, SHORT or LONG (TIFF 6.0, page 15); None for other values."""
    if isinstance(value, str):
        return tag, 2, 0, value, True
    if isinstance(value, bytes):
        return tag, 1, len(value), value, True
    if isinstance(value, int) and 0 <= value < 2**32:
        return tag, 3 if value < 2**16 else 4, 1, value, True
    return None


def write_tiff(picture: Picture, file: BinaryIO) -> None:
    """Writes a TIFF of any depth, with lossless compression, profile, resolution and EXIF."""
    exif = Image.Exif()
    exif.load(picture.exif or b"")
    nested = {directory: exif.get_ifd(directory) for directory in (_EXIF_DIRECTORY, _GPS_DIRECTORY)}
    nested = {directory: entries for directory, entries in nested.items() if entries}
    # tifffile can't write nested directories: the unused tag before each one is a placeholder.
    tags: list[tuple[int, int, int, Any, bool]] = [(directory - 1, 4, 1, 0, True) for directory in nested]
    tags += [entry for tag, value in exif.items() if tag not in nested and (entry := _entry(tag, value))]
    options: dict[str, Any] = {"extrasamples": ["unassalpha"]} if picture.alpha is not None else {}
    if picture.dpi is not None:
        options |= {"resolution": picture.dpi, "resolutionunit": "INCH"}
    tifffile.imwrite(
        file,
        joined(picture),
        photometric="rgb" if picture.pixels.ndim == 3 else "minisblack",
        planarconfig="contig" if picture.pixels.ndim == 3 or picture.alpha is not None else None,
        compression="zlib",
        predictor=True,
        rowsperstrip=64,
        metadata=None,
        software=False,
        byteorder="<",
        iccprofile=SRGB_PROFILE if picture.has_profile else None,
        extratags=tags,
        **options,
    )
    for directory, entries in nested.items():
        content = ImageFileDirectory_v2()
        for tag, value in entries.items():
            content[tag] = value
        file.seek(0)
        with tifffile.TiffFile(file) as tiff:
            place = tiff.pages.first.tags[directory - 1].offset
        end = file.seek(0, os.SEEK_END)
        end += file.write(bytes(end % 2))  # directories begin at even offsets (TIFF 6.0, page 14)
        file.write(content.tobytes(end))
        file.seek(place)
        file.write(struct.pack("<HHII", directory, 4, 1, end))
