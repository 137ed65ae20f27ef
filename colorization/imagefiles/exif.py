"""Reading and writing EXIF and resolution of picture files."""

import contextlib
import math
from typing import Any

from PIL import ExifTags, Image

# Tags of the first EXIF directory about the picture itself; the others describe how its pixels were stored, or belong
# to the preview. CIPA DC-008 (Exif 2.32), table 4; XP tags: Windows.
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
# The program that processed the picture: not in the standard, but in use (see ExifTool).
_PROCESSING_SOFTWARE = 0x000B
_EXIF_DIRECTORY, _GPS_DIRECTORY = 0x8769, 0x8825
_COLOR_SPACE, _WIDTH, _HEIGHT, _INTEROPERABILITY = 0xA001, 0xA002, 0xA003, 0xA005


def exif_of(image: Image.Image) -> Image.Exif:
    """A file's EXIF; empty if it is corrupt."""
    try:
        return image.getexif()
    except Exception:  # Pillow's reader raises any exception on corrupt blocks
        return Image.Exif()


def orientation(exif: Image.Exif) -> int:
    """The orientation tag, 1..8 (CIPA DC-008, 4.6.4 A); 1, upright, if it is missing or corrupt."""
    try:
        value = exif.get(_ORIENTATION, 1)
    except Exception:  # Pillow's reader raises any exception on corrupt blocks
        return 1
    return value if value in range(1, 9) else 1


def resolution(dpi: Any, orientation: int) -> tuple[float, float] | None:
    """Pixels per inch, horizontally and vertically in the upright picture.

    Args:
        dpi: the file's resolution of the stored pixels.
        orientation: of the stored pixels.

    Returns:
        None if it is missing or invalid.
    """
    try:
        across, down = (float(number) for number in dpi)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    if not (math.isfinite(across) and math.isfinite(down) and 0 < across < 1e6 and 0 < down < 1e6):
        return None
    return (down, across) if orientation >= 5 else (across, down)


def kept_exif(exif: Image.Exif) -> dict[int, dict[int, Any]]:
    """The EXIF entries to keep, without orientation and preview. Call it before a TIFF is decoded: Pillow then closes
    it.

    Returns:
        Tags and values by directory: 0 for the first one, the EXIF and the GPS directory by their tags.
    """
    kept: dict[int, dict[int, Any]] = {}
    with contextlib.suppress(Exception):  # a corrupt block is kept as far as it can be read
        kept[0] = {tag: exif[tag] for tag in _KEPT_TAGS & exif.keys()}
        for directory in (_EXIF_DIRECTORY, _GPS_DIRECTORY):
            entries = exif.get_ifd(directory).items()
            kept[directory] = {tag: value for tag, value in entries if tag != _INTEROPERABILITY}
    return kept


def exif_block(kept: dict[int, dict[int, Any]], size: tuple[int, int]) -> bytes | None:
    """An EXIF block for sRGB pixels of `size` (W, H); None if it is empty."""
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
    except Exception:  # entries of a corrupt block may not be writable
        return None


def shortened(block: bytes, most: int) -> tuple[bytes | None, list[str]]:
    """An EXIF block of at most `most` bytes: the longest entries are left out first.

    Returns:
        The block, None if nothing remains; and the names of the entries that were left out.
    """
    left_out: list[str] = []
    exif = Image.Exif()
    exif.load(block)
    directories: dict[int, Any] = {0: exif}
    directories |= {number: exif.get_ifd(number) for number in (_EXIF_DIRECTORY, _GPS_DIRECTORY) if number in exif}
    while len(block) > most:
        sizes = [
            (len(value) if isinstance(value, str | bytes | tuple) else 1, number, tag)
            for number, entries in directories.items()
            for tag, value in entries.items()
            if tag not in directories
        ]
        if not sizes:
            return None, left_out
        _, number, tag = max(sizes)
        del directories[number][tag]
        left_out.append(ExifTags.TAGS.get(tag, f"tag {tag}"))
        block = exif.tobytes()
    return block, left_out


def with_provenance(block: bytes | None, provenance: str) -> bytes:
    """An EXIF block with the program that made the picture."""
    exif = Image.Exif()
    exif.load(block or b"")
    exif[_PROCESSING_SOFTWARE] = provenance
    return exif.tobytes()


def provenance_in(exif: Image.Exif) -> str | None:
    """The entry that `with_provenance` wrote."""
    found = exif.get(_PROCESSING_SOFTWARE)
    return found if isinstance(found, str) else None
