"""Resolvers for YAML files, and their registration with Hydra. Imports PyTorch only when one is called."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from omegaconf import OmegaConf

from colorization.config import schemas
from colorization.config.installed import InstalledConfigs
from colorization.errors import ConfigError
from colorization.runtime.installation import command_line
from colorization.runtime.processes import usable_cores

_HIGHER_IS_BETTER = {"psnr", "ssim", "auc", "auc_rebalanced", "colorfulness", "colorfulness_abs"}


def register() -> None:
    """Registers schemas, resolvers and the YAML of other packages. Call it before composing."""
    Plugins.instance().register(InstalledConfigs)
    store = ConfigStore.instance()
    for name, schema in schemas.ROOTS.items():
        store.store(name=f"{name}_schema", node=schema)
    for resolver in (fastest_precision, usable_cores, better, optuna_direction, gpu_of_job, command_line):
        OmegaConf.register_new_resolver(resolver.__name__, resolver, replace=True)


@contextmanager
def without_pytorch() -> Iterator[None]:
    """In this context, resolvers that ask PyTorch give None."""
    asking = (fastest_precision, gpu_of_job)
    for resolver in asking:
        OmegaConf.register_new_resolver(resolver.__name__, lambda _: None, replace=True)
    try:
        yield
    finally:
        for resolver in asking:
            OmegaConf.register_new_resolver(resolver.__name__, resolver, replace=True)


def fastest_precision(accelerator: str) -> str:
    """Mixed precision where the hardware supports it, for a Trainer's `accelerator`.

    bfloat16 on a GPU or CPU with bfloat16 instructions, float16 on an older NVIDIA GPU, float32 otherwise. (On a CPU
    without bfloat16 instructions autocast may be slower than float32.)
    """
    import torch

    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "16-mixed"
    on_cpu = accelerator == "cpu" or (accelerator == "auto" and not torch.backends.mps.is_available())
    capabilities = torch.cpu.get_capabilities() if on_cpu else {}
    return "bf16-mixed" if capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") else "32-true"


def better(metric: str) -> str:
    """Whether a higher value of a logged metric is better (`max`) or a lower one (`min`)."""
    return "max" if metric.rpartition("/")[2].removeprefix("gray_") in _HIGHER_IS_BETTER else "min"


def optuna_direction(mode: str) -> str:
    """Optuna's name of `min` or `max`.

    Raises:
        ConfigError: it is neither.
    """
    if mode not in ("min", "max"):
        raise ConfigError(f"monitor_mode={mode} is neither min nor max: give one of them")
    return {"min": "minimize", "max": "maximize"}[mode]


def gpu_of_job(number: int) -> str:
    """The GPU of a multirun's job, for CUDA_VISIBLE_DEVICES: one of the visible GPUs, in turn; an empty string if there
    are none.
    """
    import torch

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    gpus = [str(index) for index in range(torch.cuda.device_count())] if visible is None else visible.split(",")
    return gpus[number % len(gpus)] if gpus else ""
