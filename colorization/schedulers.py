"""Learning-rate schedules. Each takes the optimizer and the number of optimizer steps of the whole run, and returns
what `LightningModule.configure_optimizers` calls `lr_scheduler`.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from typing import Any, Literal

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, OneCycleLR, ReduceLROnPlateau

from colorization.errors import ConfigError


def constant(optimizer: Optimizer, total_steps: int, warmup_steps: int = 0) -> dict[str, Any] | None:
    """A constant learning rate, after an optional warm-up.

    Args:
        warmup_steps: length of the linear warm-up, in optimizer steps.
    """
    if warmup_steps < 0:
        raise ConfigError(f"scheduler.warmup_steps={warmup_steps} is out of range: give 0 or more")
    if warmup_steps == 0:
        return None
    scheduler = LambdaLR(optimizer, lambda step: min((step + 1) / warmup_steps, 1.0))
    return {"scheduler": scheduler, "interval": "step"}


def one_cycle(
    optimizer: Optimizer, total_steps: int, warmup: float = 0.3, cycle_momentum: bool = False
) -> dict[str, Any]:
    """Rises to the optimizer's learning rate, then falls to almost zero (Smith and Topin, "Super-Convergence", 2018).

    Args:
        warmup: share of the run in which the rate rises.
        cycle_momentum: whether momentum, or Adam's first beta, falls from 0.95 to 0.85 while the rate rises, and rises
            again, whatever the optimizer's options say.
    """
    _check_warmup(warmup)
    highest = [group["lr"] for group in optimizer.param_groups]
    scheduler = OneCycleLR(
        optimizer, max_lr=highest, total_steps=total_steps, pct_start=warmup, cycle_momentum=cycle_momentum
    )
    return {"scheduler": scheduler, "interval": "step"}


def cosine(optimizer: Optimizer, total_steps: int, warmup: float = 0.05) -> dict[str, Any]:
    """A linear warm-up, then half a cosine to zero (Loshchilov and Hutter, "SGDR", 2017, without restarts).

    Args:
        warmup: share of the run in which the rate rises.
    """
    _check_warmup(warmup)
    rising = max(round(warmup * total_steps), 1)

    def factor(step: int) -> float:
        if step < rising:
            return (step + 1) / rising
        progress = min((step - rising) / max(total_steps - rising, 1), 1.0)
        return (1 + math.cos(math.pi * progress)) / 2

    return {"scheduler": LambdaLR(optimizer, factor), "interval": "step"}


def multi_step(
    optimizer: Optimizer, total_steps: int, milestones: Sequence[float], gamma: float = 0.1
) -> dict[str, Any]:
    """Multiplies the learning rate by `gamma` at each milestone.

    Args:
        milestones: shares of the run, in rising order.
    """
    if list(milestones) != sorted(milestones) or not all(0 < share < 1 for share in milestones):
        raise ConfigError(
            f"scheduler.milestones={list(milestones)}: give shares of the run, in rising order, as [0.5,0.8]"
        )
    steps = [round(share * total_steps) for share in milestones]
    return {"scheduler": LambdaLR(optimizer, lambda step: gamma ** bisect_right(steps, step)), "interval": "step"}


def plateau(
    optimizer: Optimizer,
    total_steps: int,
    monitor: str,
    mode: Literal["min", "max"],
    factor: float = 0.5,
    patience: int = 5,
) -> dict[str, Any]:
    """Multiplies the learning rate by `factor` whenever `monitor` has not improved for `patience` validations.

    The LightningModule steps it after each validation.
    """
    scheduler = ReduceLROnPlateau(optimizer, mode=mode, factor=factor, patience=patience)
    # Not strict: there are epochs without validation.
    return {"scheduler": scheduler, "interval": "epoch", "monitor": monitor, "strict": False}


def _check_warmup(warmup: float) -> None:
    if not 0 <= warmup < 1:
        raise ConfigError(f"scheduler.warmup={warmup:g} is not a share of a run: give 0 or more, and less than 1")
