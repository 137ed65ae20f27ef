"""Files of weights that an option names, without PyTorch."""

from pathlib import Path

from colorization.errors import ConfigError


def existing(weights: str | Path, option: str) -> Path:
    """The path of a file of weights.

    Args:
        weights: as the user names it.
        option: the option that does, for messages.

    Raises:
        ConfigError: there is no such file.
    """
    path = Path(weights).expanduser()
    if not path.is_file():
        raise ConfigError(f"{option}={path} does not exist: give the path of a state dict")
    return path
