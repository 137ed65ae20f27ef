"""Films: coloured frame by frame, with their sound and timing, in colours that hold still."""

from colorization.film.recolor import SUFFIXES, FilmReport, color_film, is_film

__all__ = ["SUFFIXES", "FilmReport", "color_film", "is_film"]
