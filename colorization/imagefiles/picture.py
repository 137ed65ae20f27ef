"""A picture with everything about it that has to be kept when it is written again."""

import contextlib
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

# uint8 or uint16; float32 in 0..1 where a program's own array is coloured.
Pixels = NDArray[Any]

# Tags of a file's first EXIF directory that say something about the picture; the others describe how the file stored
# its pixels, or belong to the small preview that it carried. CIPA DC-008 (Exif 2.32), table 4; XP tags: Windows.
_KEPT_TAGS = frozenset(
    {
        0x010D,  # DocumentName
        0x010E,  # ImageDescription
        0x010F,  # Make
        0x0110,  # Model
        0x0131,  # Software
        0x0132,  # DateTime
        0x013B,  # Artist
        0x013C,  # HostComputer
        0x4746,  # Rating
        0x8298,  # Copyright
        *range(0x9C9B, 0x9CA0),  # XPTitle, XPComment, XPAuthor, XPKeywords, XPSubject
    }
)
_ORIENTATION = 0x0112
_EXIF_DIRECTORY, _GPS_DIRECTORY = 0x8769, 0x8825
_COLOR_SPACE, _WIDTH, _HEIGHT, _INTEROPERABILITY = 0xA001, 0xA002, 0xA003, 0xA005

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
    """Upright pixels in sRGB, and what has to be kept of the file they came from.

    Attributes:
        pixels: uint8 or uint16, `(H, W)` if the picture is gray, otherwise `(H, W, 3)`.
        alpha: opacity, `(H, W)` of the same type, or None.
        format: Pillow's name of the file's format, for instance `JPEG`.
        exif: an EXIF block that goes with the upright pixels and holds no preview, or None.
        dpi: pixels per inch, horizontally and vertically, or None.
        has_profile: whether the file carried an ICC profile; the pixels are sRGB in any case.
        quality: the JPEG quality that is nowhere coarser than the file's, 1..100, or None.
        notes: sentences about what could not be kept, for the person who asked.
    """

    pixels: Pixels
    alpha: Pixels | None = None
    format: str | None = None
    exif: bytes | None = None
    dpi: tuple[float, float] | None = None
    has_profile: bool = False
    quality: int | None = None
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.pixels.shape[1], self.pixels.shape[0]


def orientation(image: Image.Image) -> int:
    """How a file says that its picture lies, 1..8 (CIPA DC-008, 4.6.4 A); 1 is upright. A damaged block says 1."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # Pillow's reader raises what it likes on damaged blocks
        return 1
    return value if value in range(1, 9) else 1


def turn_upright(pixels: Pixels, orientation: int) -> Pixels:
    """A view of `(H, W, ...)` pixels as they are to be seen."""
    if orientation >= 5:  # stored column by column
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


def resolution(image: Image.Image, orientation: int) -> tuple[float, float] | None:
    """A file's pixels per inch, horizontally and vertically in the upright picture, if it says something possible."""
    try:
        across, down = (float(dpi) for dpi in image.info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    if not (math.isfinite(across) and math.isfinite(down) and 0 < across < 1e6 and 0 < down < 1e6):
        return None
    return (down, across) if orientation >= 5 else (across, down)


def kept_exif(image: Image.Image) -> dict[int, dict[int, Any]]:
    """What is worth keeping of a file's EXIF, without orientation and preview. Has to be asked for before a TIFF is
    decoded, because Pillow then closes it.

    Returns:
        Tags and values of the first directory, as number 0, and of those for details and place, by their own numbers.
    """
    kept: dict[int, dict[int, Any]] = {}
    with contextlib.suppress(Exception):  # a damaged block is kept as far as it can be read
        exif = image.getexif()
        kept[0] = {tag: exif[tag] for tag in _KEPT_TAGS & exif.keys()}
        for directory in (_EXIF_DIRECTORY, _GPS_DIRECTORY):
            entries = exif.get_ifd(directory).items()
            kept[directory] = {tag: value for tag, value in entries if tag != _INTEROPERABILITY}
    return kept


def exif_block(kept: dict[int, dict[int, Any]], size: tuple[int, int]) -> bytes | None:
    """An EXIF block to be written with sRGB pixels of `size` (W, H). None if there is nothing in it."""
    if not any(kept.values()):
        return None
    exif = Image.Exif()
    for directory, entries in kept.items():
        if entries:
            (exif if directory == 0 else exif.get_ifd(directory)).update(entries)
    if kept.get(_EXIF_DIRECTORY):
        exif.get_ifd(_EXIF_DIRECTORY).update({_COLOR_SPACE: 1, _WIDTH: size[0], _HEIGHT: size[1]})
    try:
        return exif.tobytes()
    except Exception:  # what a damaged block held need not be writable
        return None


def jpeg_quality(image: Image.Image) -> int | None:
    """The least quality of the Independent JPEG Group's scale whose tables are nowhere coarser than the file's.

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
