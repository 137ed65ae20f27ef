"""Films: coloured frame by frame, with their sound and timing, in colours that hold still."""

from colorization.film.recolor import FilmReport, color_film

__all__ = ["FilmReport", "color_film"]
