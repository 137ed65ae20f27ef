"""Pictures written whole or not at all, with everything that their format can hold."""

import dataclasses
import io
import os
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from colorization.errors import PictureError
from colorization.imagefiles.exif import shortened
from colorization.imagefiles.picture import Picture, Pixels
from colorization.imagefiles.png import write_png
from colorization.imagefiles.profiles import SRGB_PROFILE
from colorization.imagefiles.provenance import noted_in_exif, write_noted
from colorization.imagefiles.tiff import write_tiff
from colorization.runtime.files import StrPath, atomic_file

# What each format is asked for. Halving the colour's resolution (4:2:0) is no way to keep colours.
_OPTIONS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "PNG": {},
    "TIFF": {},
    "WEBP": {"lossless": True, "quality": 50, "exact": True},  # with loss it would be 4:2:0; here 50 is the effort
    "AVIF": {"quality": 95, "subsampling": "4:4:4"},
    "JPEG2000": {"irreversible": False},
    "BMP": {},
    "PPM": {},
}
# How many pixels a side may have in a format, and how many bytes its EXIF (a segment's length has 16 bits).
_MOST_PIXELS = {"JPEG": 65500, "WEBP": 16383, "AVIF": 65536}
_MOST_EXIF = {"JPEG": 65533}
_WITH_ALPHA = frozenset({"PNG", "TIFF", "WEBP", "AVIF", "JPEG2000"})
_WITH_16_BITS = frozenset({"PNG", "TIFF"})
# Endings that can't hold a coloured picture, and what takes their place.
_ENDINGS = {".gif": ".png", ".pgm": ".ppm"}


def output_name(name: str) -> str:
    """The name that a coloured picture gets, if it keeps its own: a GIF, which has but 256 colours, becomes a PNG."""
    stem, ending = os.path.splitext(name)
    return stem + _ENDINGS.get(ending.lower(), ending)


def file_format(ending: str) -> str:
    """Pillow's name of the format that a name's ending says, such as `.jpg` or `jpg`.

    Raises:
        PictureError: it says none that coloured pictures can be written in.
    """
    found = Image.registered_extensions().get("." + ending.lower().removeprefix("."))
    if found not in _OPTIONS:
        what = f"{ending} is" if ending else "a name without ending names"
        raise PictureError(f"{what} no format that coloured pictures are written in: give one of jpg, png, tif, webp")
    return found


def save_picture(
    picture: Picture, target: StrPath | BinaryIO, format: str | None = None, quality: int | None = None
) -> list[str]:
    """Writes a picture with its EXIF, resolution, profile, transparency and depth, as far as the format has them.

    A file is written under another, hidden name in the same folder and renamed when it is whole, so that nothing is
    ever found under its own name but the whole picture. What was there before is replaced.

    Args:
        picture: what to write.
        target: a path, whose folder is made if need be, or an open binary file.
        format: an ending such as `jpg`; by default that of the path, and for an open file that of the picture.
        quality: 1..100 for JPEG, AVIF and lossy WebP. By default WebP is lossless, AVIF gets 95 and JPEG 95 or as much
            as the picture's own file had, if that is more. JPEG and AVIF keep the full resolution of colour (4:4:4).

    Returns:
        Sentences about what could not be kept: those of the picture, and for instance transparency in a JPEG.

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
        notes.append(f"{chosen} holds 8 of the 16 bits of a channel")
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
        except Exception as error:  # encoders raise what they like
            raise PictureError(f"can't be written as {chosen}: {error}") from error
        target.write(whole.getbuffer())
    return notes


def write_picture(image: Image.Image, path: StrPath) -> None:
    """Writes a picture of Pillow's in the format that its name's ending says, whole or not at all.

    Raises:
        PictureError: the folder or the format can't be written.
    """
    alpha = np.asarray(image.getchannel("A")) if image.mode == "RGBA" else None
    color = image if image.mode in ("L", "RGB") else image.convert("RGB")
    save_picture(Picture(np.asarray(color), alpha), path)


def _check_sides(picture: Picture, file_format: str) -> None:
    """Refuses a picture that is too long or too wide for the format.

    Raises:
        PictureError: it is.
    """
    most = _MOST_PIXELS.get(file_format)
    if most is not None and max(picture.size) > most:
        width, height = picture.size
        raise PictureError(
            f"has {width} x {height} pixels, and {file_format} ends at {most} a side: give format=png or format=tif"
        )


def _write_whole(picture: Picture, path: Path, file_format: str, quality: int | None) -> None:
    try:
        with atomic_file(path, sync=True) as temporary, temporary.open("w+b") as file:
            _write(picture, file, file_format, quality)
    except Exception as error:  # encoders raise what they like
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
    elif "quality" in options:
        options["quality"] = max(options["quality"], picture.quality or 0) if quality is None else quality
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
    """An 8-bit picture as one of Pillow's: mode `L`, `LA`, `RGB` or `RGBA`."""
    image = Image.fromarray(np.ascontiguousarray(picture.pixels))
    if picture.alpha is not None:
        image.putalpha(Image.fromarray(np.ascontiguousarray(picture.alpha)))
    return image


def on_white(picture: Picture) -> Picture:
    """The picture without transparency: laid on white."""
    if picture.alpha is None:
        return picture
    highest = np.iinfo(picture.pixels.dtype).max
    pixels = np.empty_like(picture.pixels)
    for color, alpha, row in zip(picture.pixels, picture.alpha, pixels, strict=True):
        opacity = alpha.reshape(len(alpha), *(1,) * (color.ndim - 1)) / np.float32(highest)
        row[...] = (highest + (color.astype(np.float32) - highest) * opacity).round()
    return dataclasses.replace(picture, pixels=pixels, alpha=None)


def to_8_bits(picture: Picture) -> Picture:
    """The picture with 8 bits a channel."""
    if picture.pixels.dtype == np.uint8:
        return picture
    alpha = None if picture.alpha is None else _rounded(picture.alpha)
    return dataclasses.replace(picture, pixels=_rounded(picture.pixels), alpha=alpha)


def _rounded(deep: Pixels) -> Pixels:
    shallow = np.empty(deep.shape, np.uint8)
    for row, target in zip(deep, shallow, strict=True):
        target[...] = (row.astype(np.uint32) + 128) // 257
    return shallow
