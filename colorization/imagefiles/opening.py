"""Opening picture files safely: they can't block, run a program, exhaust memory or emit warnings."""

import contextlib
import io
import os
import threading
import warnings
from collections.abc import Iterator
from typing import BinaryIO

from PIL import Image

from colorization.errors import PictureError, first_line
from colorization.imagefiles import heif
from colorization.runtime.files import StrPath, open_regular

# Formats for Pillow. The others are rare, and EPS runs a program on the file.
FORMATS = (
    "JPEG",
    "PNG",
    "WEBP",
    "TIFF",
    "BMP",
    "GIF",
    "PPM",
    "JPEG2000",
    "AVIF",
    *(["HEIF"] if heif.IS_INSTALLED else []),
)
# More pixels may be a decompression bomb. The largest cameras have 150 million.
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
    """Turns exceptions of Pillow's decoders into a `PictureError`, and silences their warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        except PictureError:
            raise
        except Exception as error:  # decoders raise any exception on corrupt files
            raise PictureError(f"can't be decoded: {first_line(error)}") from error


@contextlib.contextmanager
def own_limit() -> Iterator[None]:
    """Disables Pillow's global limit of pixels while the header of a file is read."""
    with _pillows_limit:
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before
