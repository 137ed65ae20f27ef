"""From a resolved configuration to trainer, module and photos. What can fail at once fails here, before training."""

import math
from collections.abc import Callable
from typing import Any

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from pytorch_lightning import Trainer
from pytorch_lightning.utilities.rank_zero import rank_zero_only
from pytorch_lightning.utilities.seed import isolate_rng
from torch.optim import Optimizer

from colorization.checkpoints.network import build_network, check_rebuilds, without_download
from colorization.compat.lightning import relaunches_script
from colorization.config.instantiate import instantiate
from colorization.data.datamodule import PhotoDataModule, absolute_root
from colorization.errors import ConfigError, did_you_mean, first_line
from colorization.metrics.scores import Scores
from colorization.runtime.processes import this_process
from colorization.training.module import ColorizationModule
from colorization.training.resume import Start
from colorization.training.saving import AtomicCheckpointIO


def with_absolute_roots(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration with absolute paths to its photos: the checkpoint is to find them from any other folder."""
    data = dict(config["data"])
    for key in ("root", "exclude"):
        if paths := data.get(key):
            data[key] = absolute_root(paths) if isinstance(paths, str) else [*map(absolute_root, paths)]
    return {**config, "data": data}


def check(config: dict[str, Any]) -> None:
    """Refuses values that would otherwise fail only after an epoch, or in a library's words.

    Raises:
        ConfigError: a value can't work.
    """
    monitored = {f"val/{name}" for name in ("loss", *Scores().means)}
    for key, value in (("monitor", config["monitor"]), ("scheduler.monitor", config["scheduler"].get("monitor"))):
        if value is not None and value not in monitored:
            raise ConfigError(f"{key}={value} is not logged{did_you_mean(value, monitored)}")
    if config["monitor_mode"] not in ("min", "max"):
        raise ConfigError(f"monitor_mode={config['monitor_mode']} is neither min nor max: give one of them")
    trainer = config["trainer"]
    for path, value, least, most in (
        ("seed", config["seed"], 0, 2**32 - 1),
        ("trainer.max_epochs", trainer.get("max_epochs", 1), 1, math.inf),
        ("trainer.accumulate_grad_batches", trainer.get("accumulate_grad_batches", 1), 1, math.inf),
        ("trainer.gradient_clip_val", trainer.get("gradient_clip_val") or 0, 0, math.inf),
    ):
        if not least <= value <= most:
            upper = "" if most == math.inf else f" and {most} at the most"
            raise ConfigError(f"{path}={value} can't work: give {least} or more{upper}")
    precision = str(trainer.get("precision", "32-true"))
    if precision == "64" or (precision.endswith("-true") and precision != "32-true"):
        raise ConfigError(
            f"trainer.precision={precision} can't work, because colours are computed in float32: give 32-true, "
            "bf16-mixed or 16-mixed"
        )
    if "checkpoint" not in config["callbacks"]:
        raise ConfigError(
            "callbacks has no checkpoint, so that nothing would be kept: give 'callbacks=[default,...]' with what is "
            "to be added"
        )


def build(config: dict[str, Any], start: Start) -> tuple[Trainer, ColorizationModule, PhotoDataModule]:
    """Everything that a run needs.

    Args:
        config: the resolved configuration.
        start: what the run resumes from, if anything: its weights then come from there.

    Raises:
        ColorizationError: something can't be built, or there are no photos.
    """
    optimizer, scheduler = (instantiate(config[group], group) for group in ("optimizer", "scheduler"))
    try_out(optimizer, scheduler)
    trainer = build_trainer(config)
    data = instantiate(config["data"], "data")
    open_photos(data)
    network, objective = build_network(without_download(config) if start.path else config)
    with isolate_rng():
        check_rebuilds(network, objective, config)
    return trainer, ColorizationModule(network, objective, config, optimizer, scheduler), data


def try_out(optimizer: Callable[..., Optimizer], scheduler: Callable[..., Any]) -> None:
    """Makes optimizer and schedule for a single number, to see whether they take their options.

    Raises:
        ConfigError: they do not.
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
    trainer: Trainer = instantiate(
        config["trainer"], "trainer", callbacks=callbacks, logger=loggers, plugins=[AtomicCheckpointIO()]
    )
    several = trainer.num_devices * trainer.num_nodes > 1
    check_launch(trainer)
    if several and relaunches_script(trainer) and HydraConfig.get().mode is RunMode.MULTIRUN:
        # The launcher would run the whole multirun again in every process, each with another job's options.
        raise ConfigError(
            "-m does not go together with a strategy that starts this script again on each device: give "
            "trainer.strategy=ddp_spawn, or trainer.devices=1 with jobs in parallel, or run the jobs one by one"
        )
    return trainer


def check_launch(trainer: Trainer) -> None:
    """What processes that torchrun or srun has started have to agree on.

    Raises:
        ConfigError: they would be others than the trainer counts on, or each would write into a folder of its own.
    """
    started = this_process().count
    if started > 1 and started != trainer.num_devices * trainer.num_nodes:
        raise ConfigError(
            f"{started} processes were started, but trainer.devices={trainer.num_devices} on "
            f"trainer.num_nodes={trainer.num_nodes} machines are {trainer.num_devices * trainer.num_nodes}: make these "
            "numbers agree"
        )
    if started > 1 and not any(word.startswith("hydra.run.dir=") for word in HydraConfig.get().overrides.hydra):
        raise ConfigError(
            f"hydra.run.dir is missing: {started} processes were started, and each would make a folder of its own; "
            "name one for all"
        )
