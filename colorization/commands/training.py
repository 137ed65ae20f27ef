"""The work of `train.py`."""

import time
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import seed_everything

from colorization.training.building import build, with_absolute_roots
from colorization.training.ending import ending
from colorization.training.lock import locked
from colorization.training.rate_search import find_learning_rate
from colorization.training.reporting import report, write_result
from colorization.training.resume import begin, find_finished, find_start, restoring
from colorization.training.saving import seconds_before


def train(resolved: dict[str, Any], started: float) -> float | None:
    """Trains as configured.

    Args:
        resolved: the configuration.
        started: when the command began, of `time.perf_counter`.

    Returns:
        The best checkpoint's value of `monitor`, for sweeps to optimize.
    """
    config = with_absolute_roots(resolved)
    folder = Path(config["paths"]["run"])
    if config["lr_find"]:
        seed_everything(config["seed"], workers=True, verbose=False)
        return find_learning_rate(config, folder)
    with locked(folder):
        if result := find_finished(folder, config):
            return result.scores.get(config["monitor"])
        start = find_start(folder, config)
        seed_everything(config["seed"], workers=True, verbose=False)
        torch.set_float32_matmul_precision("high")
        trainer, module, data = build(config, start)
        with ending(trainer, folder):
            begin(trainer, folder, config, start)
            with restoring(module, start.path):
                trainer.fit(module, data, ckpt_path=start.path)
            started -= seconds_before(trainer)
            scores = report(trainer, module, data, folder)
            write_result(trainer, data, config, folder, scores, time.perf_counter() - started)
            return scores.get(config["monitor"])
