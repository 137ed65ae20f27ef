"""Picture files of the real world: found, read as upright sRGB, and written without losing what was in them."""

from colorization.imagefiles.picture import Picture
from colorization.imagefiles.reading import (
    FILM_SUFFIXES,
    MAX_PIXELS,
    SUFFIXES,
    find_pictures,
    from_pil,
    is_film,
    is_gray_mode,
    is_picture,
    open_picture,
    read_picture,
    to_rgb,
    walk_pictures,
)
from colorization.imagefiles.saving import output_name, save_picture, write_picture

__all__ = [
    "FILM_SUFFIXES",
    "MAX_PIXELS",
    "SUFFIXES",
    "Picture",
    "find_pictures",
    "from_pil",
    "is_film",
    "is_gray_mode",
    "is_picture",
    "open_picture",
    "output_name",
    "read_picture",
    "save_picture",
    "to_rgb",
    "walk_pictures",
    "write_picture",
]
