"""Picture files are opened so that none of them can wait, run a program, fill the memory or warn."""

import contextlib
import io
import os
import threading
import warnings
from collections.abc import Iterator
from typing import BinaryIO

from PIL import Image

from colorization.errors import PictureError, first_line
from colorization.runtime.files import StrPath, open_regular

# What Pillow may try. The others are rare, and one of them, EPS, runs a program on the file.
FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "PPM", "JPEG2000", "AVIF")
# A file that says it has more pixels may be a decompression bomb. The largest cameras have 150 million.
MAX_PIXELS = 200_000_000

_pillows_limit = threading.Lock()


@contextlib.contextmanager
def opened(source: StrPath | BinaryIO) -> Iterator[BinaryIO]:
    if not isinstance(source, str | os.PathLike):
        yield source if source.seekable() else io.BytesIO(source.read())
        return
    try:
        file = open_regular(source)
    except OSError as error:
        raise PictureError(f"can't be read: {error.strerror or error}") from error
    with file:
        yield file


@contextlib.contextmanager
def quiet() -> Iterator[None]:
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
def own_limit() -> Iterator[None]:
    """Sets Pillow's limit of pixels, a global, aside while the head of a file is read."""
    with _pillows_limit:
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before
