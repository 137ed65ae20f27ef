"""Writing pictures atomically, with all metadata that their format supports."""

import dataclasses
import io
import os
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from colorization.errors import PictureError
from colorization.imagefiles.exif import shortened
from colorization.imagefiles.heif import HEIF_SUFFIXES
from colorization.imagefiles.picture import Picture, Pixels
from colorization.imagefiles.png import write_png
from colorization.imagefiles.profiles import SRGB_PROFILE
from colorization.imagefiles.provenance import noted_in_exif, write_noted
from colorization.imagefiles.tiff import write_tiff
from colorization.runtime.files import StrPath, atomic_file

# Options of each format. Chroma subsampling (4:2:0) would lose colours.
_OPTIONS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "PNG": {},
    "TIFF": {},
    # Lossy WebP is 4:2:0. For lossless, quality is the effort: 100 takes three times as long for 0.2 % fewer bytes.
    "WEBP": {"lossless": True, "quality": 50, "exact": True},
    "AVIF": {"quality": 95, "subsampling": "4:4:4"},
    "JPEG2000": {"irreversible": False},
    "BMP": {},
    "PPM": {},
}
# Pillow's names of them by the endings of their files; only these are written.
FORMATS = {
    **{"jpg": "JPEG", "jpeg": "JPEG", "jpe": "JPEG", "png": "PNG", "webp": "WEBP", "avif": "AVIF", "tif": "TIFF"},
    **{"tiff": "TIFF", "jp2": "JPEG2000", "bmp": "BMP", "ppm": "PPM", "pnm": "PPM"},
}
# Maximum side in pixels (AVIF: that of its decoders), and maximum size of EXIF in bytes (a JPEG segment's length has
# 16 bits).
_MOST_PIXELS = {"JPEG": 65500, "WEBP": 16383, "AVIF": 32768}
_MOST_EXIF = {"JPEG": 65533}
_WITH_ALPHA = frozenset({"PNG", "TIFF", "WEBP", "AVIF", "JPEG2000"})
_WITH_16_BITS = frozenset({"PNG", "TIFF"})
# Endings that can't hold a coloured picture, and their replacements.
_ENDINGS = {".gif": ".png", ".pgm": ".ppm", **dict.fromkeys(HEIF_SUFFIXES, ".jpg")}


def output_name(name: str) -> str:
    """The name of a coloured picture that keeps its own, except that a GIF, with 256 colours, becomes a PNG, and HEIF a
    JPEG.
    """
    stem, ending = os.path.splitext(name)
    return stem + _ENDINGS.get(ending.lower(), ending)


def writable_endings() -> list[str]:
    """The endings of `FORMATS`, without the dot, that Pillow can write here."""
    Image.init()
    return [ending for ending, name in FORMATS.items() if name in Image.SAVE]


def file_format(ending: str) -> str:
    """Pillow's name of the format of an ending, such as `.jpg`, `jpg` or `JPG`.

    Raises:
        PictureError: coloured pictures can't be written in it.
    """
    name, valid = ending.lower().removeprefix("."), writable_endings()
    if name not in valid:
        what = f"{ending} is not a format for coloured pictures" if ending else "the name has no ending"
        raise PictureError(f"{what}: give one of {', '.join(valid)}")
    return FORMATS[name]


def save_picture(
    picture: Picture, target: StrPath | BinaryIO, format: str | None = None, quality: int | None = None
) -> list[str]:
    """Writes a picture with its EXIF, resolution, profile, transparency and depth, as far as the format supports them.

    The write is atomic: a file is written under a hidden name in the same folder, and renamed when it is complete. An
    existing file is replaced.

    Args:
        picture: the picture.
        target: a path, whose folder is created if necessary, or an open binary file.
        format: an ending such as `jpg`; by default that of the path, or the picture's format for an open file.
        quality: 1..100 for JPEG, AVIF and lossy WebP. By default WebP is lossless, AVIF has 95, and JPEG has 95 or the
            quality of the picture's own file, if higher. JPEG and AVIF have full-resolution colour (4:4:4).

    Returns:
        Notes about what could not be kept: those of the picture, and for example transparency in a JPEG.

    Raises:
        PictureError: it can't be written there.
    """
    if isinstance(target, str | os.PathLike):
        target = Path(target)
        try:
            chosen = file_format(target.suffix if format is None else format)
        except PictureError as error:
            raise PictureError(f"{target} can't be written: {error}") from error
    else:
        chosen = file_format(format) if format is not None else picture.format if picture.format in _OPTIONS else "PNG"
    _check_sides(picture, chosen)
    notes = list(picture.notes)
    if picture.alpha is not None and chosen not in _WITH_ALPHA:
        picture = on_white(picture)
        notes.append(f"{chosen} has no transparency: transparent parts are white")
    if picture.pixels.dtype == np.uint16 and chosen not in _WITH_16_BITS:
        picture = to_8_bits(picture)
        notes.append(f"{chosen} has 8 bits per channel, not 16")
    exif = noted_in_exif(picture.exif, picture.provenance, chosen)
    if exif is not None and len(exif) > _MOST_EXIF.get(chosen, len(exif)):
        exif, left_out = shortened(exif, _MOST_EXIF[chosen])
        notes.append(f"its EXIF is too long for {chosen}: left out {', '.join(left_out)}")
    picture = dataclasses.replace(picture, exif=exif)
    if isinstance(target, Path):
        _write_whole(picture, target, chosen, quality)
    else:
        whole = io.BytesIO()
        try:
            _write(picture, whole, chosen, quality)
        except Exception as error:  # encoders raise any exception
            raise PictureError(f"can't be written as {chosen}: {error}") from error
        target.write(whole.getbuffer())
    return notes


def write_picture(image: Image.Image, path: StrPath) -> None:
    """Writes a Pillow picture atomically, in the format of its ending.

    Raises:
        PictureError: the folder or the format can't be written.
    """
    alpha = np.asarray(image.getchannel("A")) if image.mode == "RGBA" else None
    color = image if image.mode in ("L", "RGB") else image.convert("RGB")
    save_picture(Picture(np.asarray(color), alpha), path)


def _check_sides(picture: Picture, file_format: str) -> None:
    """Checks the size of a picture.

    Raises:
        PictureError: it is too large for the format.
    """
    most = _MOST_PIXELS.get(file_format)
    if most is not None and max(picture.size) > most:
        width, height = picture.size
        raise PictureError(
            f"has {width} x {height} pixels, but {file_format} allows {most} per side: give format=png or format=tif"
        )


def _write_whole(picture: Picture, path: Path, file_format: str, quality: int | None) -> None:
    try:
        with atomic_file(path, sync=True) as temporary, temporary.open("w+b") as file:
            _write(picture, file, file_format, quality)
    except Exception as error:  # encoders raise any exception
        raise PictureError(f"{path} can't be written: {error}") from error


def _write(picture: Picture, file: BinaryIO, file_format: str, quality: int | None) -> None:
    if file_format == "TIFF":
        write_tiff(picture, file)
        return
    if picture.pixels.dtype == np.uint16:
        write_png(picture, file)
        return
    options = dict(_OPTIONS[file_format])
    if quality is not None and file_format == "WEBP":
        options = {"quality": quality, "exact": True}
    elif quality is not None and "quality" in options:
        options["quality"] = quality
    elif file_format == "JPEG":
        options["quality"] = max(options["quality"], picture.quality or 0)
    if picture.dpi is not None:
        options["dpi"] = picture.dpi
    if picture.exif is not None:
        options["exif"] = picture.exif
    if picture.has_profile:
        options["icc_profile"] = SRGB_PROFILE
    image = to_pil(picture)
    if picture.provenance and file_format in ("JPEG2000", "BMP", "PPM"):
        write_noted(image, file, file_format, picture.provenance)
    else:
        image.save(file, format=file_format, **options)


def to_pil(picture: Picture) -> Image.Image:
    """An 8-bit picture as a Pillow picture: mode `L`, `LA`, `RGB` or `RGBA`."""
    image = Image.fromarray(np.ascontiguousarray(picture.pixels))
    if picture.alpha is not None:
        image.putalpha(Image.fromarray(np.ascontiguousarray(picture.alpha)))
    return image


def on_white(picture: Picture) -> Picture:
    """The picture on white, without transparency."""
    if picture.alpha is None:
        return picture
    highest = np.iinfo(picture.pixels.dtype).max
    pixels = np.empty_like(picture.pixels)
    for color, alpha, row in zip(picture.pixels, picture.alpha, pixels, strict=True):
        opacity = alpha.reshape(len(alpha), *(1,) * (color.ndim - 1)) / np.float32(highest)
        row[...] = (highest + (color.astype(np.float32) - highest) * opacity).round()
    return dataclasses.replace(picture, pixels=pixels, alpha=None)


def to_8_bits(picture: Picture) -> Picture:
    """The picture with 8 bits per channel."""
    if picture.pixels.dtype == np.uint8:
        return picture
    alpha = None if picture.alpha is None else _rounded(picture.alpha)
    return dataclasses.replace(picture, pixels=_rounded(picture.pixels), alpha=alpha)


def _rounded(deep: Pixels) -> Pixels:
    shallow = np.empty(deep.shape, np.uint8)
    for row, target in zip(deep, shallow, strict=True):
        target[...] = (row.astype(np.uint32) + 128) // 257
    return shallow
