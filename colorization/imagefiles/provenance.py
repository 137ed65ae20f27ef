"""A line about what made a picture, in its EXIF, or in a comment if the format has no EXIF."""

import re
import struct
from io import BytesIO
from typing import BinaryIO

from PIL import Image

from colorization.imagefiles.exif import exif_of, provenance_in, with_provenance
from colorization.imagefiles.opening import FORMATS, opened, own_limit, quiet
from colorization.runtime.files import StrPath

_WITH_EXIF = frozenset({"JPEG", "PNG", "TIFF", "WEBP", "AVIF"})
# A comment of PPM, also used for BMP: it begins with # and ends with the line.
_COMMENT = re.compile(rb"#([ -~]*)\n")
_HEAD = 1024


def noted_in_exif(exif: bytes | None, provenance: str | None, file_format: str) -> bytes | None:
    """The EXIF block to write: with the line, if there is one and the format has EXIF."""
    return with_provenance(exif, provenance) if provenance and file_format in _WITH_EXIF else exif


def write_noted(image: Image.Image, file: BinaryIO, file_format: str, provenance: str) -> None:
    """Writes JPEG 2000, BMP or PPM with the line as a comment."""
    if file_format == "JPEG2000":
        image.save(file, file_format, irreversible=False, comment=provenance)
        return
    buffer = BytesIO()
    image.save(buffer, file_format)
    whole = buffer.getbuffer()
    comment = f"#{provenance}\n".encode("ascii", "replace")
    if file_format == "PPM":
        file.write(b"".join((whole[:3], comment)))
        file.write(whole[3:])
        return
    # BMP allows any bytes between its headers and its pixels, whose offset is in the first header.
    size, _, start = struct.unpack_from("<III", whole, 2)
    comment += bytes(-len(comment) % 4)
    places = struct.pack("<III", size + len(comment), 0, start + len(comment))
    file.write(b"".join((whole[:2], places, whole[14:start], comment)))
    file.write(whole[start:])


def read_provenance(path: StrPath) -> str | None:
    """The line about what made a picture; None if there is none.

    Raises:
        PictureError: it can't be read.
    """
    with opened(path) as file, quiet():
        with own_limit():
            image = Image.open(file, formats=FORMATS)
        if image.format in _WITH_EXIF:
            return provenance_in(exif_of(image))
        if image.format == "JPEG2000":
            comment = image.info.get("comment")
            return comment.decode("ascii", "replace") if isinstance(comment, bytes) else None
        file.seek(0)
        found = _COMMENT.search(file.read(_HEAD))
        return found[1].decode() if found else None
