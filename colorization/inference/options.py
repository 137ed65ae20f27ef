"""Checks of options, without PyTorch."""

import re
from collections.abc import Sequence
from pathlib import Path

from colorization.errors import ConfigError
from colorization.runtime.files import StrPath


def check_resolution(wanted: int | None) -> None:
    """Checks a resolution.

    Raises:
        ConfigError: it is too small.
    """
    if wanted is not None and wanted < 16:
        raise ConfigError(f"resolution={wanted} is too small: give 16 or more")


def check_device_name(name: str) -> None:
    """Checks the name of a device: `auto`, or PyTorch's, with or without an index.

    Raises:
        ConfigError: it is not one.
    """
    if not re.fullmatch(r"auto|(cpu|cuda|mps|xpu)(:\d+)?", name):
        raise ConfigError(f"device={name} does not exist: give auto, cpu, cuda or mps")


def takes_adapter(path: StrPath) -> bool:
    """Whether a file is used with an adapter that is given beside it."""
    return Path(path).suffix.lower() == ".onnx"


def check_adapter(paths: Sequence[StrPath], adapter: object) -> None:
    """Checks that an adapter has an ONNX file.

    Raises:
        ConfigError: it has none.
    """
    if adapter and not any(takes_adapter(path) for path in paths):
        named = ", ".join(map(str, paths))
        raise ConfigError(f"adapter has no effect on {named}: it is for files that end in .onnx, leave it out")
