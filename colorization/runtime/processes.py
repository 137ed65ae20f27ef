"""Rank and world size of this process, as set by torchrun or Slurm's srun, and the hardware that it may use."""

import os
import signal
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from colorization.errors import ConfigError

# Signals that ask a program to stop and save: Ctrl-C, termination, and Slurm's warning (SIGUSR1, not on Windows).
STOP_SIGNALS: tuple[signal.Signals, ...] = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGUSR1") if hasattr(signal, name)
)


@dataclass(frozen=True)
class Process:
    """A process of a launcher: its rank `index`, the world size `count`, and its `local` rank on its machine."""

    index: int = 0
    count: int = 1
    local: int = 0

    def device(self, name: str) -> str:
        """`name`, or the GPU of this process if `name` leaves the choice; there may be more processes than GPUs."""
        import torch

        if self.count > 1 and name in ("auto", "cuda") and torch.cuda.is_available():
            return f"cuda:{self.local % torch.cuda.device_count()}"
        return name


def this_process() -> Process:
    """Rank and world size from torchrun or srun; without either, rank 0 of 1.

    srun is recognized by SLURM_STEP_NUM_TASKS: SLURM_NTASKS is also set in a batch script, which is a single process.
    """
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
    if "WORLD_SIZE" not in os.environ and "SLURM_STEP_NUM_TASKS" in os.environ:
        names = ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID")
    index, count, local = (int(os.environ.get(name, default)) for name, default in zip(names, (0, 1, 0), strict=True))
    return Process(index, count, local)


def wait_for_all() -> None:
    """Waits for the other ranks: torchrun ends all of them as soon as one exits with an error."""
    from torch import distributed

    if distributed.is_torchelastic_launched():
        distributed.init_process_group("gloo", timeout=timedelta(days=30))
        distributed.barrier()
        distributed.destroy_process_group()


def check_accelerator(name: Any) -> None:
    """Checks that this machine has the GPU of a trainer's `accelerator`.

    Raises:
        ConfigError: it has none.
    """
    import torch

    found = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    found["gpu"] = any(found.values())
    if name in found and not found[name]:
        raise ConfigError(
            f"trainer.accelerator={name} is not available: PyTorch finds no such GPU here; give trainer=auto or "
            "trainer=cpu instead"
        )


def usable_cores(most: int) -> int:
    """The number of CPU cores that this process may use, at most `most`."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, most)
