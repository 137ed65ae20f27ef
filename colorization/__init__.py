"""Fully automatic image colorization by transfer learning."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from colorization.inference.colorizer import Colorizer

__version__ = "0.1.0"
__all__ = ["Colorizer"]


def __getattr__(name: str) -> Any:
    """Imports PyTorch lazily: a command's help does not need it."""
    if name == "Colorizer":
        from colorization.inference.colorizer import Colorizer

        return Colorizer
    raise AttributeError(f"module {__name__} has no attribute {name}")
