"""Fully automatic image colorization by transfer learning."""

from colorization.inference import Colorizer

__version__ = "0.1.0"
__all__ = ["Colorizer"]
