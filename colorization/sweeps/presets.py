"""What the presets in conf/sweep compute."""

import os

import torch

from colorization.errors import ConfigError


def optuna_direction(mode: str) -> str:
    """`min` or `max` as Optuna has it."""
    if mode not in ("min", "max"):
        raise ConfigError(f"monitor_mode={mode} is neither min nor max: give one of them")
    return {"min": "minimize", "max": "maximize"}[mode]


def gpu_of_job(number: int) -> str:
    """The GPU that a job of a multirun gets, for CUDA_VISIBLE_DEVICES: one of those that this process may use, in turn;
    none where there are none.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    gpus = [str(index) for index in range(torch.cuda.device_count())] if visible is None else visible.split(",")
    return gpus[number % len(gpus)] if gpus else ""
