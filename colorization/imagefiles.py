"""Picture files of the real world: found, read as upright 8-bit sRGB, and written whole or not at all."""

import contextlib
import io
import os
import warnings
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
import tifffile
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError
from PIL.TiffImagePlugin import BITSPERSAMPLE, TiffImageFile

from colorization.errors import PictureError

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".ppm", ".pgm", ".pnm", ".jp2", ".avif"}
)

_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
_GRAY_MODES = ("1", "L", "LA", "La", "I", "F")


def is_picture(name: str) -> bool:
    """Whether a file's name ends like a picture's and the file is not hidden."""
    return os.path.splitext(name)[1].lower() in SUFFIXES and not os.path.basename(name).startswith(".")


def find_pictures(folder: Path) -> list[str]:
    """Names of all pictures below a folder, relative to it, with `/`, sorted. Links to folders are not followed."""
    return sorted(_walk(os.fspath(folder), ""))


def _walk(folder: str, prefix: str) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(entry.path, f"{prefix}{entry.name}/")
            elif is_picture(entry.name):
                yield prefix + entry.name


def is_gray_mode(image: Image.Image) -> bool:
    """Whether a picture's file says that it has no colour at all."""
    return image.mode in _GRAY_MODES or image.mode.startswith("I;")


def open_picture(source: Path | BinaryIO) -> Image.Image:
    """Opens and decodes a picture; still in the mode, size and orientation of the file.

    Args:
        source: a path, or an open binary file.

    Raises:
        PictureError: it can't be read, is truncated, or is so large that it looks like a decompression bomb.
    """
    with warnings.catch_warnings():
        # Pillow's size warning comes at half the size that it refuses; the refusal is enough.
        warnings.simplefilter("ignore")
        try:
            image = Image.open(source)
            if (
                isinstance(image, TiffImageFile)
                and image.mode == "RGB"
                and max(image.tag_v2.get(BITSPERSAMPLE, (8,))) > 8
            ):
                return _open_tiff(source)  # Pillow garbles 16-bit colour whose channels lie one behind the other
            image.load()
            return image
        except UnidentifiedImageError:
            return _open_tiff(source)
        except Image.DecompressionBombError as error:
            raise PictureError(f"too large to be trusted: {error}") from error
        except Exception as error:  # Pillow's decoders raise what they like on damaged files
            raise PictureError(f"can't be decoded: {error}") from error


def _open_tiff(source: Path | BinaryIO) -> Image.Image:
    """The TIFFs that Pillow does not know: 16-bit colour, for one. Brought to 8 bits."""
    try:
        if not isinstance(source, Path):
            source.seek(0)
        pixels = np.squeeze(tifffile.imread(source))
        if pixels.ndim == 3 and pixels.shape[0] in (3, 4):
            pixels = np.moveaxis(pixels, 0, -1)
        if pixels.dtype == np.uint16:
            pixels = np.round(pixels / 257).astype(np.uint8)
        return Image.fromarray(np.ascontiguousarray(pixels))
    except Exception as error:
        raise PictureError("is not a picture of a known format") from error


def to_rgb(image: Image.Image) -> Image.Image:
    """Any decoded picture as upright 8-bit sRGB (mode `RGB`): EXIF orientation and ICC profile applied, transparent
    parts laid on white, 16 bits brought to 8.
    """
    profile = image.info.get("icc_profile")
    with contextlib.suppress(Exception):  # a damaged EXIF block says nothing about orientation
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I") or image.mode == "F":
        return _gray_to_8_bits(image).convert("RGB")
    if image.mode in ("LA", "PA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
    if image.mode == "RGBA":
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image).convert("RGB")
    if image.mode not in ("RGB", "CMYK"):
        image = image.convert("RGB")
    if profile is not None:
        image = _to_srgb(image, profile)
    return image if image.mode == "RGB" else image.convert("RGB")


def _to_srgb(image: Image.Image, profile: bytes) -> Image.Image:
    """Converts from an embedded profile. A profile that is damaged or of another mode says nothing, and is ignored."""
    try:
        transform = _transform_to_srgb(profile, image.mode)
        return image if transform is None else transform.apply(image)
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image


@lru_cache(maxsize=16)
def _transform_to_srgb(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    if ImageCms.getProfileDescription(source).startswith("sRGB"):
        return None
    return ImageCms.ImageCmsTransform(source, _SRGB, mode, "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC)


def _gray_to_8_bits(image: Image.Image) -> Image.Image:
    pixels = np.asarray(image, dtype=np.float64)
    highest = 65535.0 if image.mode.startswith("I") else 1.0 if pixels.max() <= 1 else 255.0
    return Image.fromarray(np.clip(np.round(pixels / highest * 255), 0, 255).astype(np.uint8))


def write_picture(image: Image.Image, path: Path) -> None:
    """Writes a picture in the format that its name's ending says, by way of a temporary file beside it.

    Raises:
        PictureError: the folder or the format can't be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file_format = Image.registered_extensions().get(path.suffix.lower())
        if file_format is None:
            raise ValueError(f"{path.suffix or 'a name without ending'} names no picture format")
        # 4:4:4: halving the colour's resolution is no way to keep colours.
        options = {"quality": 95, "subsampling": 0} if file_format == "JPEG" else {}
        image.save(temporary, format=file_format, **options)
        temporary.replace(path)
    except (OSError, ValueError) as error:
        raise PictureError(f"{path} can't be written: {error}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
