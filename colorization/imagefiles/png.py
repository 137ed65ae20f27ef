"""PNG with 16 bits per channel, of which Pillow keeps 8, and with transparent gray, which it misreads."""

import struct
import zlib
from typing import BinaryIO

import imagecodecs
import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from colorization.imagefiles.channels import Decoded, joined, split
from colorization.imagefiles.picture import Picture
from colorization.imagefiles.profiles import SRGB_PROFILE


def is_deep_png(image: Image.Image) -> bool:
    """Whether a file that Pillow opened is a PNG with 16 bits per channel."""
    return isinstance(image, PngImageFile) and image.mode in ("RGB", "RGBA", "LA", "I;16") and "16" in _raw_mode(image)


def mend_transparency(image: Image.Image) -> None:
    """Scales the transparent level of a gray PNG to 8 bits: Pillow scales only the pixels."""
    level = image.info.get("transparency")
    if isinstance(image, PngImageFile) and image.mode == "L" and isinstance(level, int):
        image.info["transparency"] = level * {"L;2": 85, "L;4": 17}.get(_raw_mode(image), 1)


def _raw_mode(image: PngImageFile) -> str:
    return str(image.tile[0].args) if image.tile else ""


def read_png(file: BinaryIO) -> Decoded:
    """The channels of a PNG with 16 bits each; a transparent colour becomes alpha."""
    file.seek(0)
    return Decoded(*split(imagecodecs.png_decode(file.read()), has_alpha=True))


def write_png(picture: Picture, file: BinaryIO) -> None:
    """Writes a PNG with 16 bits per channel, profile, resolution and EXIF."""
    encoded = imagecodecs.png_encode(np.ascontiguousarray(joined(picture)), level=6)
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
