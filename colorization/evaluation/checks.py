"""Checks of an evaluation's options, without PyTorch."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from colorization.checkpoints.shipped import located
from colorization.data.roots import check_folder, check_photos
from colorization.data.splits import checked_split
from colorization.errors import ConfigError, did_you_mean
from colorization.inference.options import check_adapter, check_resolution
from colorization.metrics.names import FID_BACKENDS, METRICS

_WITH_WEIGHTS = ("lpips", "lpips_vgg", "dists", "msswd", "fid")


def check(config: Mapping[str, Any], paths: Sequence[str], folders: Sequence[str]) -> None:
    """Checks values, and that files exist.

    Args:
        config: of `resolve_early`.
        paths: of the checkpoints.
        folders: of coloured pictures.

    Raises:
        ColorizationError: a value is out of range, or a file or folder is missing.
    """
    if config["panel_pictures"] < 1:
        raise ConfigError(f"panel_pictures={config['panel_pictures']} is too few: give 1 or more")
    check_metrics(config)
    check_resolution(config["resolution"])
    if config["split"] is not None:
        checked_split(config["split"])
    files = [located(path, config["paths"]["output_dir"]) for path in paths]
    check_adapter(files, config["adapter"])
    for folder in folders:
        check_folder(Path(folder).expanduser(), "predictions", "coloured pictures")
    check_photos(config["data"])


def check_metrics(config: Mapping[str, Any]) -> None:
    """Checks the names of metrics, and the network of FID.

    Raises:
        ConfigError: a metric does not exist, or a file is given for a metric that is not requested.
    """
    wanted = config["metrics"]
    if config["fid_backend"] not in FID_BACKENDS:
        raise ConfigError(
            f"fid_backend={config['fid_backend']} does not exist{did_you_mean(config['fid_backend'], FID_BACKENDS)}"
        )
    if wanted is None:
        return
    if not wanted:
        raise ConfigError("metrics=[] is empty: give some, or metrics=null for all")
    for name in wanted:
        if name not in METRICS:
            raise ConfigError(f"metrics: {name} does not exist{did_you_mean(name, METRICS)}")
    for name in _WITH_WEIGHTS:
        if config[f"{name}_weights"] and name not in wanted:
            raise ConfigError(f"{name}_weights has no effect: add {name} to metrics, or drop it")
    if config["fid_statistics"] and "fid" not in wanted:
        raise ConfigError("fid_statistics has no effect: add fid to metrics, or drop it")
