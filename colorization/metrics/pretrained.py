"""The files of weights that metrics need: from the user, from torch's cache, or from a download."""

from pathlib import Path
from typing import Any

from colorization.errors import ConfigError
from colorization.weights.downloads import cached, download
from colorization.weights.safe_load import UnreadableError, load_state_dict


class UnavailableError(ConfigError):
    """The network of a metric is not available on this machine."""


def find_weights(metric: str, weights: str | None, url: str, what: str, may_download: bool) -> Path:
    """The file of a metric's network.

    Args:
        metric: its name; the option is `METRIC_weights`.
        weights: the file that the user gave; None: torch's cache.
        url: where the file is published; its name ends in `-HASH`.
        what: the file in words, with its size.
        may_download: download it if it is not in the cache.

    Raises:
        UnavailableError: it is neither in the cache nor downloaded.
        ConfigError: the given file does not exist.
    """
    if weights is not None:
        path = Path(weights).expanduser()
        if not path.is_file():
            raise ConfigError(f"{metric}_weights={path} does not exist: give the path of {what}")
        return path
    if cached(url).is_file():
        return cached(url)
    if not may_download:
        raise UnavailableError(
            f"{metric} needs {what}: name the file with {metric}_weights=FILE, or name {metric} in metrics=[...] to "
            "download it"
        )
    try:
        return download(url)
    except (OSError, RuntimeError) as error:
        raise UnavailableError(
            f"metrics: {metric} needs {what}, and the download failed: fetch {url} and put it at {cached(url)}, "
            f"or name a local file with {metric}_weights=FILE"
        ) from error


def read_weights(metric: str, path: Path) -> dict[str, Any]:
    """The state dict in a metric's file.

    Raises:
        ConfigError: it can't be read.
    """
    try:
        return load_state_dict(path)
    except UnreadableError as error:
        raise ConfigError(f"{metric}_weights={path} {error}; give another file") from error
