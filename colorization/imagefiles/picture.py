"""A picture with its metadata."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# uint8 or uint16; float32 in 0..1 only for arrays of a program.
Pixels = NDArray[Any]

# Luminance and chrominance tables of ITU-T T.81 (JPEG), K.1 and K.2, row by row.
_LUMINANCE = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ]
)
_CHROMINANCE = np.full((8, 8), 99)
_CHROMINANCE[:4, :4] = [[17, 18, 24, 47], [18, 21, 26, 66], [24, 26, 56, 99], [47, 66, 99, 99]]


@dataclass(frozen=True)
class Picture:
    """Upright pixels in sRGB, and the metadata of their file.

    Attributes:
        pixels: uint8 or uint16, `(H, W)` if the picture is gray, otherwise `(H, W, 3)`.
        alpha: opacity, `(H, W)` of the same type, or None.
        format: Pillow's name of the file's format, for example `JPEG`.
        exif: an EXIF block for the upright pixels, without preview, or None.
        dpi: pixels per inch, horizontally and vertically, or None.
        has_profile: whether the file had an ICC profile; the pixels are sRGB in any case.
        quality: the JPEG quality that is at least the file's, 1..100, or None.
        provenance: one line of ASCII about what made the picture, written into the file; None for none.
        notes: for the user, about metadata that could not be kept.
    """

    pixels: Pixels
    alpha: Pixels | None = None
    format: str | None = None
    exif: bytes | None = None
    dpi: tuple[float, float] | None = None
    has_profile: bool = False
    quality: int | None = None
    provenance: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.pixels.shape[1], self.pixels.shape[0]


def turn_upright(pixels: Pixels, orientation: int) -> Pixels:
    """A view of `(H, W, ...)` pixels turned upright."""
    if orientation >= 5:  # stored column by column
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


def jpeg_quality(image: Image.Image) -> int | None:
    """The lowest quality of the Independent JPEG Group's scale with tables at least as fine as the file's.

    Returns:
        1..100, or None for anything but a JPEG.
    """
    tables = [np.reshape(table, (8, 8)) for table in getattr(image, "quantization", {}).values()]
    if not tables:
        return None
    for quality in range(1, 100):
        scale = 5000 // quality if quality < 50 else 200 - 2 * quality
        ours = [np.clip((table * scale + 50) // 100, 1, 255) for table in (_LUMINANCE, _CHROMINANCE)]
        if all((mine <= theirs).all() for mine, theirs in zip(ours, tables, strict=False)):
            return quality
    return 100
