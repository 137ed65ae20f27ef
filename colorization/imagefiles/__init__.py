"""Picture files: finding, reading as upright sRGB, and writing with their metadata."""

from colorization.imagefiles.finding import (
    FILM_SUFFIXES,
    SUFFIXES,
    find_pictures,
    is_film,
    is_picture,
    walk_pictures,
)
from colorization.imagefiles.picture import Picture
from colorization.imagefiles.reading import (
    MAX_PIXELS,
    Shrink,
    colors_of,
    from_pil,
    is_gray_mode,
    open_picture,
    read_colors,
    read_picture,
    to_rgb,
)
from colorization.imagefiles.saving import FORMATS, output_name, save_picture, writable_endings, write_picture

__all__ = [
    "FILM_SUFFIXES",
    "FORMATS",
    "MAX_PIXELS",
    "SUFFIXES",
    "Picture",
    "Shrink",
    "colors_of",
    "find_pictures",
    "from_pil",
    "is_film",
    "is_gray_mode",
    "is_picture",
    "open_picture",
    "output_name",
    "read_colors",
    "read_picture",
    "save_picture",
    "to_rgb",
    "walk_pictures",
    "writable_endings",
    "write_picture",
]
