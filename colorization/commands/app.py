"""Serves a page for colouring pictures in a browser: `colorize-app`. `--help` lists the options.

This module does not import PyTorch: a refused command does not wait for it.
"""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from colorization.app.serving import Serving, is_local
from colorization.checkpoints.shipped import DEFAULT, located
from colorization.config.instantiate import resolve_early
from colorization.errors import ConfigError
from colorization.runtime.console import console
from colorization.runtime.stopping import stopping_at_once


def run(composed: DictConfig) -> None:
    """Loads the checkpoints, and serves the page until Ctrl-C."""
    config = resolve_early(composed)
    serving = check(config)
    first = located(config["checkpoint"], config["paths"]["output_dir"])
    with stopping_at_once():
        from colorization.app.models import Models, find_models
        from colorization.app.server import serve
        from colorization.app.work import Limits
    folder = config["checkpoints"] and Path(config["checkpoints"]).expanduser()
    name = "default" if config["checkpoint"] == DEFAULT else first.name
    models = Models(find_models(first, name, folder), config["device"], config["trust"])
    limits = Limits(config["max_files"], config["max_pixels"], config["max_seconds"])
    serve(models, limits, serving, lambda address: console.print(f"{address} (Ctrl-C ends it)", markup=False))


def check(config: dict[str, Any]) -> Serving:
    """Checks the options, and returns those of the server.

    Raises:
        ConfigError: a value is out of range, or others could use the page without a password.
    """
    for key in ("max_upload_mb", "max_files", "max_pixels", "max_resolution", "max_seconds", "queue", "keep_minutes"):
        if not config[key] > 0:  # NaN as well
            raise ConfigError(f"{key}={config[key]} is out of range: give more than 0")
    if not 0 <= config["port"] < 2**16:
        raise ConfigError(f"port={config['port']} is out of range: give 1 to 65535, or 0 for any that is free")
    auth = None
    if config["auth"] is not None:
        user, colon, password = config["auth"].partition(":")
        if not (user and colon and password):
            raise ConfigError("auth has to be a name and a password: give auth=NAME:PASSWORD")
        auth = (user, password)
    elif not is_local(config["host"]):
        raise ConfigError(
            f"host={config['host']} lets other machines in: give auth=NAME:PASSWORD as well, or leave out host"
        )
    return Serving(
        config["host"],
        config["port"],
        auth,
        config["max_upload_mb"],
        config["max_resolution"],
        config["queue"],
        config["keep_minutes"],
    )
