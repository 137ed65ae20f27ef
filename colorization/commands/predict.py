"""Colours pictures: `python predict.py checkpoint=FILE PICTURE_OR_FOLDER ...`. `--help` lists the options.

This module does not import PyTorch: a refused command does not wait for it.
"""

import math
from typing import Any

from omegaconf import DictConfig

from colorization.checkpoints.shipped import located
from colorization.config.instantiate import resolve, resolve_early
from colorization.config.schemas import PredictConfig
from colorization.errors import ConfigError, did_you_mean
from colorization.imagefiles import writable_endings
from colorization.inference.jobs import list_jobs
from colorization.inference.options import check_adapter, check_device_name, check_resolution
from colorization.runtime.stopping import stopping_at_once


def run(composed: DictConfig) -> None:
    """Colours pictures. A failure does not stop the other pictures, and a second call resumes an interrupted one."""
    config = resolve_early(composed)
    check(config)
    if "-" in config["input"]:
        with stopping_at_once():
            from colorization.commands.coloring import color_stream
        color_stream(resolve(composed))
        return
    listing = list_jobs(
        config["input"],
        config["output"],
        recursive=config["recursive"],
        suffix=config["suffix"],
        file_format=config["format"] and config["format"].lower(),
        overwrite=config["overwrite"],
    )
    checkpoint = located(config["checkpoint"], config["paths"]["output_dir"])
    check_adapter([checkpoint], config["adapter"])
    with stopping_at_once():
        from colorization.commands.coloring import color
    color(listing, resolve(composed))


def check(config: dict[str, Any]) -> None:
    """Checks the options.

    Raises:
        ConfigError: a value is out of range.
    """
    for key, least, most in (("quality", 1, 100), ("batch_size", 1, math.inf), ("max_pixels", 1, math.inf)):
        if config[key] is not None and not least <= config[key] <= most:
            raise ConfigError(
                f"{key}={config[key]}: give {least} or more{'' if most == math.inf else f', up to {most}'}"
            )
    if config["format"] is not None:
        formats = writable_endings()
        if config["format"].lower() not in formats:
            raise ConfigError(f"format={config['format']} can't be written{did_you_mean(config['format'], formats)}")
    if config["suffix"] is not None and "/" in config["suffix"]:
        raise ConfigError(f"suffix={config['suffix']} is a part of a file name: leave out /")
    if config["output"] == "-" and "-" not in config["input"]:
        raise ConfigError(
            "output=- is not a folder: for standard output, give the picture on standard input, as in `colorize - < "
            "gray.jpg > coloured.png`; for a folder of this name, give output=./-"
        )
    check_resolution(config["resolution"])
    check_device_name(config["device"])
    if "-" in config["input"]:
        if len(config["input"]) > 1:
            raise ConfigError("input=- is a single picture on standard input: leave out other inputs")
        for key in ("output", "suffix", "compare"):
            if config[key] != getattr(PredictConfig, key):
                raise ConfigError(f"input=- is written to standard output: leave out {key}, or give a file as input")
