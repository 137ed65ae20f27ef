"""The learning-rate finder: Lightning's range test (Smith, 2017, https://arxiv.org/abs/1506.01186), with its plot."""

import math
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from hydra.core.hydra_config import HydraConfig
from pytorch_lightning.tuner.tuning import Tuner

from colorization.errors import ConfigError
from colorization.runtime.console import console
from colorization.runtime.installation import command_line, install_hint
from colorization.training.building import build
from colorization.training.resume import Start

PLOT = "lr_find.png"
_STEPS = 100
_LOWEST = 1e-6
# Of the smoothed loss: its average begins with few batches.
_UNSTEADY_STEPS = 10
# The slope is taken over so many steps, a third of a decade.
_REACH = 6
# A loss that rose to so many times its first value has diverged.
_DIVERGED = 4


def find_learning_rate(config: dict[str, Any], run: Path) -> float:
    """Raises the learning rate from 1e-6 to 1 over 100 steps without validation, and suggests the one at which the loss
    falls fastest over its logarithm. Prints the command that trains with it, and writes the plot `lr_find.png`;
    nothing is trained.

    All parameters have the same rate, also where `backbone.rate` is not 1.

    Args:
        config: the resolved configuration.
        run: the run's folder.

    Raises:
        ConfigError: matplotlib is missing, a checkpoint is to be resumed, or no rate can be suggested.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise ConfigError(f"lr_find=true needs the package matplotlib for its plot: {install_hint('plot')}") from None
    if config["ckpt_path"] is not None:
        raise ConfigError("lr_find=true searches from the first step on: leave out ckpt_path")
    unlimited = {"check_val_every_n_epoch": 10**9, "profiler": None}
    trainer, module, data = build({**config, "trainer": {**config["trainer"], **unlimited}}, Start())
    batches = max(data.count("train") // (config["data"]["batch_size"] * trainer.world_size), 1)
    trainer.fit_loop.max_epochs = max(trainer.max_epochs or 1, math.ceil(_STEPS / batches) + 1)
    module.may_diverge = True
    found = Tuner(trainer).lr_find(
        module, datamodule=data, min_lr=_LOWEST, num_training=_STEPS, early_stop_threshold=None, update_attr=False
    )
    assert found is not None  # only a trainer with fast_dev_run has none
    rate = steepest(found.results["lr"], found.results["loss"])
    if rate is None:
        raise ConfigError("lr_find=true found no learning rate: the loss fell at none")
    if trainer.is_global_zero:
        figure = Figure()
        axes = figure.subplots()
        found.plot(ax=axes)
        axes.axvline(rate, color="red")
        run.mkdir(parents=True, exist_ok=True)
        figure.savefig(run / PLOT)
        console.print(f"optimizer.lr={rate:.2g} is suggested; it was {config['optimizer'].get('lr')}")
        console.print(f"plot  {run / PLOT}", markup=False)
        console.print("train with this command:")
        dropped = ("lr_find=", "optimizer.lr=")
        words = [word for word in HydraConfig.get().overrides.task if not word.lstrip("+").startswith(dropped)]
        console.print(f"  {command_line('train')} {shlex.join([*words, f'optimizer.lr={rate:.2g}'])}", markup=False)
    return rate


def steepest(rates: Sequence[float], losses: Sequence[float]) -> float | None:
    """The learning rate at which the loss falls fastest over the logarithm of the rate. (Lightning's own suggestion is
    over the rate itself, and so among the lowest rates.)

    Args:
        rates: in equal steps of their logarithm.
        losses: one each, smoothed; once it has diverged or is not finite, it no longer counts.

    Returns:
        One of the rates; None if the loss falls nowhere.
    """
    steady = np.asarray(losses[_UNSTEADY_STEPS:])
    counts = steady <= steady[:1] + (_DIVERGED - 1) * np.abs(steady[:1])  # false for NaN
    steady = steady[: len(steady) if counts.all() else np.argmin(counts)]
    if len(steady) <= _REACH:
        return None
    slopes = steady[_REACH:] - steady[:-_REACH]
    if slopes.min() >= 0:
        return None
    return rates[_UNSTEADY_STEPS + int(np.argmin(slopes)) + _REACH // 2]
