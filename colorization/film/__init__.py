"""Films: coloured frame by frame without flicker, with their sound and timing."""

from colorization.film.frames import frame_at
from colorization.film.recolor import WITHOUT_PROVENANCE, FilmReport, color_film, film_provenance

__all__ = ["WITHOUT_PROVENANCE", "FilmReport", "color_film", "film_provenance", "frame_at"]
