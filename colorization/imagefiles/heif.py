"""HEIF, the photos of iPhones: Pillow reads them with the package pillow-heif (extra `heif`)."""

from importlib import import_module
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from colorization.imagefiles.channels import Decoded, split
from colorization.imagefiles.levels import to_levels
from colorization.runtime.installation import install_hint

try:
    _package: Any = import_module("pillow_heif")
except ImportError:
    _package = None
else:
    # It turns pictures upright, and says so in their EXIF.
    _package.register_heif_opener()

HEIF_SUFFIXES = frozenset({".heic", ".heif", ".hif"})
IS_INSTALLED = _package is not None
# Brands of files with HEVC in them, or with any pictures (ISO/IEC 23008-12, B.4 and 10.2).
_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"mif1")


def heif_hint() -> str:
    """What is missing for HEIF, for messages."""
    return f"needs the package pillow-heif: {install_hint('heif')}"


def is_heif(file: BinaryIO) -> bool:
    """Whether an open file begins like HEIF."""
    file.seek(0)
    head = file.read(12)
    return head[4:8] == b"ftyp" and head[8:] in _BRANDS


def is_deep_heif(image: Image.Image) -> bool:
    """Whether an opened picture is HEIF with more than 8 bits per channel, of which Pillow would get 8."""
    return image.format == "HEIF" and image.info.get("bit_depth", 8) > 8


def read_heif(file: BinaryIO) -> Decoded:
    """The channels of such a HEIF, 16 bits each."""
    file.seek(0)
    image = _package.open_heif(file, convert_hdr_to_8bit=False, hdr_to_16bit=False)
    color, alpha = split(np.asarray(image), has_alpha=image.has_alpha)
    bits = image.info["bit_depth"]
    return Decoded(to_levels(color, bits)[0], None if alpha is None else to_levels(alpha, bits)[0])
