"""From a resolved configuration to trainer, module and photos. Errors that can be found early are found here."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from pytorch_lightning import Trainer
from pytorch_lightning.profilers import AdvancedProfiler, Profiler, PyTorchProfiler, SimpleProfiler
from pytorch_lightning.utilities.rank_zero import rank_zero_only
from pytorch_lightning.utilities.seed import isolate_rng
from torch.optim import Optimizer

from colorization.checkpoints.network import build_network, check_rebuilds, load_weights, without_download
from colorization.checkpoints.shipped import located
from colorization.compat.lightning import relaunches_script
from colorization.config.instantiate import instantiate
from colorization.data.datamodule import PhotoDataModule, absolute_root
from colorization.errors import ConfigError, did_you_mean, first_line
from colorization.runtime.processes import check_accelerator, this_process
from colorization.training.module import ColorizationModule
from colorization.training.resume import Start
from colorization.training.saving import AtomicCheckpointIO

PROFILERS: dict[str, type[Profiler]] = {
    "simple": SimpleProfiler,
    "advanced": AdvancedProfiler,
    "pytorch": PyTorchProfiler,
}


def with_absolute_roots(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration with absolute paths of its photos, so that a checkpoint works in any folder."""
    data = dict(config["data"])
    for key in ("root", "exclude"):
        if paths := data.get(key):
            data[key] = absolute_root(paths) if isinstance(paths, str) else [*map(absolute_root, paths)]
    return {**config, "data": data}


def build(config: dict[str, Any], start: Start) -> tuple[Trainer, ColorizationModule, PhotoDataModule]:
    """Builds everything that a run needs.

    Args:
        config: the resolved configuration.
        start: the checkpoint that the run resumes from, if any; it provides the weights.

    Raises:
        ColorizationError: something can't be built, or there are no photos.
    """
    optimizer, scheduler = (instantiate(config[group], group) for group in ("optimizer", "scheduler"))
    try_out(optimizer, scheduler)
    trainer = build_trainer(config)
    data = instantiate(config["data"], "data")
    open_photos(data)
    has_weights = start.path is not None or config["init_from"] is not None
    network, objective = build_network(without_download(config) if has_weights else config)
    with isolate_rng():
        check_rebuilds(network, objective, config)
    if config["init_from"] is not None and start.path is None:
        load_weights(network, objective, located(config["init_from"], config["paths"]["output_dir"], "init_from"))
    return trainer, ColorizationModule(network, objective, config, optimizer, scheduler), data


def try_out(optimizer: Callable[..., Optimizer], scheduler: Callable[..., Any]) -> None:
    """Builds optimizer and schedule for a single parameter, to check their options.

    Raises:
        ConfigError: an option is refused.
    """
    try:
        made = optimizer([torch.nn.Parameter(torch.zeros(1))])
    except (ValueError, TypeError) as error:
        raise ConfigError(f"optimizer can't be built as configured: {first_line(error)}") from error
    try:
        scheduler(made, 100)
    except (ValueError, TypeError) as error:
        raise ConfigError(f"scheduler can't be built as configured: {first_line(error)}") from error


@rank_zero_only
def open_photos(data: PhotoDataModule) -> None:
    """Downloads and lists the photos, as the trainer would do later.

    Raises:
        DataError: they can't be used.
    """
    data.prepare_data()
    data.setup("fit")


def build_trainer(config: dict[str, Any]) -> Trainer:
    """The Trainer with its callbacks and loggers."""
    callbacks = [instantiate(node, f"callbacks.{name}") for name, node in config["callbacks"].items() if node]
    loggers = [instantiate(node, f"logger.{name}") for name, node in config["logger"].items() if node]
    node = {key: value for key, value in config["trainer"].items() if key != "profiler"}
    check_accelerator(node.get("accelerator"))
    profiler = build_profiler(config["trainer"].get("profiler"), config["paths"]["run"])
    trainer: Trainer = instantiate(
        node, "trainer", callbacks=callbacks, logger=loggers, profiler=profiler, plugins=[AtomicCheckpointIO()]
    )
    several = trainer.num_devices * trainer.num_nodes > 1
    check_launch(trainer)
    if several and relaunches_script(trainer) and HydraConfig.get().mode is RunMode.MULTIRUN:
        # The launcher would run the whole multirun again on every rank, with options of other jobs.
        raise ConfigError(
            "-m does not work with a strategy that starts this script again on each device: give "
            "trainer.strategy=ddp_spawn, or trainer.devices=1 with jobs in parallel, or run each job by itself"
        )
    return trainer


def build_profiler(wanted: Any, run: str) -> Profiler | None:
    """Lightning's profiler of that name, which writes into the run's folder; or what a node with `_target_` names.

    Raises:
        ConfigError: there is none of that name.
    """
    if wanted is None or isinstance(wanted, Mapping):
        return instantiate(wanted, "trainer.profiler") if wanted else None
    if wanted not in PROFILERS:
        raise ConfigError(f"trainer.profiler={wanted} does not exist{did_you_mean(wanted, PROFILERS)}")
    return PROFILERS[wanted](dirpath=run, filename="profile")


def check_launch(trainer: Trainer) -> None:
    """Checks the processes that torchrun or srun has started.

    Raises:
        ConfigError: their number does not match the trainer's, or each would write into another folder.
    """
    started = this_process().count
    if started > 1 and started != trainer.num_devices * trainer.num_nodes:
        raise ConfigError(
            f"{started} processes were started, but trainer.devices={trainer.num_devices} on "
            f"trainer.num_nodes={trainer.num_nodes} machines are {trainer.num_devices * trainer.num_nodes}: make these "
            "numbers equal"
        )
    if started > 1 and not any(word.startswith("hydra.run.dir=") for word in HydraConfig.get().overrides.hydra):
        raise ConfigError(
            f"hydra.run.dir is missing: {started} processes were started, and each would create another folder; "
            "give one for all"
        )
