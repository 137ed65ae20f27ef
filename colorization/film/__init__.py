"""Films: coloured frame by frame without flicker, with their sound and timing."""

from colorization.film.recolor import FilmReport, color_film

__all__ = ["FilmReport", "color_film"]
