"""Trains a network: `colorize-train backbone=vgg19 data=folder data.root=photos`. `--help` lists the options.

This module does not import PyTorch: a refused command does not wait for it.
"""

import time

from omegaconf import DictConfig

from colorization.config.instantiate import resolve, resolve_early
from colorization.runtime.remarks import silence_remarks
from colorization.runtime.stopping import stopping_at_once
from colorization.training.checks import check


def run(composed: DictConfig) -> float | None:
    """Trains as configured. Returns the best checkpoint's value of `monitor`, for sweeps to optimize."""
    started = time.perf_counter()
    check(resolve_early(composed))
    with stopping_at_once():
        from colorization.commands.training import train
    silence_remarks()
    return train(resolve(composed), started)
