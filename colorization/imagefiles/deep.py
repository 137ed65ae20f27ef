"""PNG and TIFF where Pillow is not enough: it cuts 16 bits a colour down to 8, and loses EXIF of compressed TIFFs."""

import logging
import os
import struct
import zlib
from typing import Any, BinaryIO

import imagecodecs
import numpy as np
import tifffile
from PIL import Image
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import BITSPERSAMPLE, ImageFileDirectory_v2, TiffImageFile

from colorization.errors import PictureError
from colorization.imagefiles.picture import Picture, Pixels
from colorization.imagefiles.profiles import SRGB_PROFILE

# What tifffile finds odd in a damaged file goes to the log of those who keep one, not to everyone's terminal.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

_EXIF_DIRECTORY, _GPS_DIRECTORY = 0x8769, 0x8825
# Photometric interpretations (TIFF 6.0, page 37) whose numbers are brightness or RGB.
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB = 0, 1, 2
# Kinds of extra samples (TIFF 6.0, page 31).
_PREMULTIPLIED, _ALPHA = 1, 2


def is_deep_color(image: Image.Image) -> bool:
    """Whether a file that Pillow opened has 16 bits in each of several channels, of which Pillow would keep 8."""
    if isinstance(image, TiffImageFile):
        return image.mode in ("RGB", "RGBA", "RGBX") and max(image.tag_v2.get(BITSPERSAMPLE, (8,))) == 16
    if isinstance(image, PngImageFile):
        return image.mode in ("RGB", "RGBA", "LA") and "16" in str(image.tile[0].args)
    return False


def read_png(file: BinaryIO) -> tuple[Pixels, Pixels | None]:
    """Colour `(H, W[, 3])` and alpha `(H, W)` of a PNG with 16 bits a channel."""
    file.seek(0)
    return _split(imagecodecs.png_decode(file.read()), has_alpha=True)


def read_tiff(file: BinaryIO, max_pixels: int) -> tuple[Pixels, Pixels | None]:
    """Colour `(H, W[, 3])` and alpha `(H, W)` of a TIFF's first page, uint8 or uint16.

    Raises:
        PictureError: it is no TIFF, or none of this kind, or it has more than `max_pixels`.
    """
    file.seek(0)
    try:
        with tifffile.TiffFile(file) as tiff:
            page = tiff.pages.first
            check_size(page.imagewidth, page.imagelength, max_pixels)
            known = page.photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB) and page.dtype in (np.uint8, np.uint16)
            if not known or page.samplesperpixel > 8 or page.imagedepth != 1:
                raise PictureError("is a TIFF of a kind that is not known")
            pixels, extra = page.asarray(maxworkers=1), page.extrasamples
            channels_first = pixels.ndim == 3 and page.planarconfig == tifffile.PLANARCONFIG.SEPARATE
            white_is_zero = page.photometric == _WHITE_IS_ZERO
    except PictureError:
        raise
    except Exception as error:  # tifffile raises what it likes on damaged files
        raise PictureError("is not a picture of a known format") from error
    if channels_first:
        pixels = np.moveaxis(pixels, 0, -1)
    color, alpha = _split(pixels, has_alpha=bool(extra) and extra[0] in (_PREMULTIPLIED, _ALPHA))
    if white_is_zero:
        color = ~color
    if alpha is not None and extra[0] == _PREMULTIPLIED:
        highest = np.iinfo(color.dtype).max
        opacity = np.maximum(alpha, 1).reshape(alpha.shape + (1,) * (color.ndim - 2)) / np.float32(highest)
        color = np.minimum(color / opacity, highest).round().astype(color.dtype)
    return color, alpha


def _split(pixels: Pixels, has_alpha: bool) -> tuple[Pixels, Pixels | None]:
    if pixels.ndim == 2:
        return pixels, None
    colors = 3 if pixels.shape[2] >= 3 else 1
    color = pixels[..., :3] if colors == 3 else pixels[..., 0]
    return color, pixels[..., colors] if has_alpha and pixels.shape[2] > colors else None


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Refuses what may be a decompression bomb: a small file that says it is a huge picture."""
    if width * height > max_pixels:
        raise PictureError(
            f"has {width} x {height} pixels, more than max_pixels={max_pixels}: if the file is to be trusted, give "
            f"max_pixels={width * height}"
        )


def write_png(picture: Picture, file: BinaryIO) -> None:
    """Writes 16 bits a channel, with profile, resolution and EXIF."""
    encoded = imagecodecs.png_encode(_joined(picture), level=6)
    after_header = 8 + 25  # signature and IHDR
    file.write(encoded[:after_header])
    if picture.has_profile:
        file.write(_chunk(b"iCCP", b"sRGB\0\0" + zlib.compress(SRGB_PROFILE)))
    if picture.dpi is not None:
        per_metre = [round(dpi / 0.0254) for dpi in picture.dpi]
        file.write(_chunk(b"pHYs", struct.pack(">IIB", *per_metre, 1)))
    if picture.exif is not None:
        file.write(_chunk(b"eXIf", picture.exif.removeprefix(b"Exif\0\0")))
    file.write(memoryview(encoded)[after_header:])


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def write_tiff(picture: Picture, file: BinaryIO) -> None:
    """Writes a TIFF of any depth, compressed without loss, with profile, resolution and EXIF."""
    exif = Image.Exif()
    exif.load(picture.exif or b"")
    nested = {directory: exif.get_ifd(directory) for directory in (_EXIF_DIRECTORY, _GPS_DIRECTORY)}
    nested = {directory: entries for directory, entries in nested.items() if entries}
    # tifffile writes no nested directories: the number before each is free, and keeps the place.
    tags: list[tuple[int, int, int, Any, bool]] = [(directory - 1, 4, 1, 0, True) for directory in nested]
    tags += [(tag, 2, 0, value, True) for tag, value in exif.items() if isinstance(value, str)]
    options: dict[str, Any] = {"extrasamples": ["unassalpha"]} if picture.alpha is not None else {}
    if picture.dpi is not None:
        options |= {"resolution": picture.dpi, "resolutionunit": "INCH"}
    tifffile.imwrite(
        file,
        _joined(picture),
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
        end += file.write(bytes(end % 2))  # directories begin at even places (TIFF 6.0, page 14)
        file.write(content.tobytes(end))
        file.seek(place)
        file.write(struct.pack("<HHII", directory, 4, 1, end))


def _joined(picture: Picture) -> Pixels:
    if picture.alpha is None:
        return picture.pixels
    return np.concatenate((picture.pixels.reshape(*picture.alpha.shape, -1), picture.alpha[..., None]), axis=-1)
