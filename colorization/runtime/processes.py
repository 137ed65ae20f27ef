"""Which of several processes this one is, as the launcher says: torchrun, or Slurm's srun."""

import os
from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True)
class Process:
    """One of `count` processes: its `index` among all, and its `local` index on its machine."""

    index: int = 0
    count: int = 1
    local: int = 0

    def device(self, name: str) -> str:
        """`name`, or where that leaves the choice, the GPU of this process; processes may outnumber GPUs."""
        import torch

        if self.count > 1 and name in ("auto", "cuda") and torch.cuda.is_available():
            return f"cuda:{self.local % torch.cuda.device_count()}"
        return name


def this_process() -> Process:
    """The place that torchrun or srun gave to this process; without either it is the only one.

    srun is known by SLURM_STEP_NUM_TASKS. SLURM_NTASKS is set in a batch script as well, where one process runs alone.
    """
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
    if "WORLD_SIZE" not in os.environ and "SLURM_STEP_NUM_TASKS" in os.environ:
        names = ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID")
    index, count, local = (int(os.environ.get(name, default)) for name, default in zip(names, (0, 1, 0), strict=True))
    return Process(index, count, local)


def wait_for_all() -> None:
    """Waits for the other processes of torchrun, which ends them all as soon as one exits with an error."""
    from torch import distributed

    if distributed.is_torchelastic_launched():
        distributed.init_process_group("gloo", timeout=timedelta(days=30))
        distributed.barrier()
        distributed.destroy_process_group()


def usable_cores(most: int) -> int:
    """The number of processor cores that this process may use, at most `most`."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, most)
