"""A script for sweeps that trains nothing: its loss says how far the learning rate is from 1e-3."""

import math
import os
import signal
import time
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from colorization.commands.arguments import Grammar
from colorization.commands.entry import Command
from colorization.config.schemas import TrainConfig
from colorization.errors import ConfigError
from colorization.sweeps.results import Result

RUNS = "runs.txt"  # in a run's folder: a line for each time that it was run
SECONDS = "TOY_SECONDS"  # environment variable: duration of a run
MISTAKE, BUG, STOP, KILLED = 101, 102, 103, 104


def main(config: DictConfig) -> float:
    """Returns the loss; some seeds are a user's mistake, a bug, Ctrl-C, or a kill."""
    assert config.trainer.precision  # a resolver of ours, which a launcher's process has to know
    if config.seed == MISTAKE:
        raise ConfigError("seed is not to my taste")
    if config.seed == BUG:
        raise ZeroDivisionError("a bug")
    if config.seed == STOP:
        raise KeyboardInterrupt
    if config.seed == KILLED:
        os.kill(os.getpid(), signal.SIGKILL)
    run = Path(config.paths.run)
    run.mkdir(parents=True, exist_ok=True)
    with (run / RUNS).open("a") as file:
        file.write("begun\n")
    time.sleep(float(os.environ.get(SECONDS, 0)))
    loss = abs(math.log10(config.optimizer.lr) + 3)
    scores = {"val/loss": loss, "val/psnr": 30 - loss, "val/gray_psnr": 22.0}
    overrides = list(HydraConfig.get().overrides.task)
    devices = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    result = Result(overrides, 1.0, None, config.monitor, config.monitor_mode, scores, f"photos {devices}")
    result.write(run)
    (run / "config.yaml").write_text(f"objective: {config.objective._target_}")
    return scores[config.monitor]


command = Command(
    "train",
    "tests.helpers.toy_sweep:main",
    Grammar(TrainConfig),
    close_sweep="colorization.sweeps.leaderboard:close_sweep",
)
