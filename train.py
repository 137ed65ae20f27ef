"""Trains a network: `python train.py backbone=vgg19 data=folder data.root=photos`. `--help` lists the options."""

import math
import os
import shlex
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import wandb
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig
from pytorch_lightning import Trainer, seed_everything
from pytorch_lightning.strategies.launchers import _SubprocessScriptLauncher
from pytorch_lightning.utilities.exceptions import MisconfigurationException, SIGTERMException
from pytorch_lightning.utilities.rank_zero import rank_zero_only
from torch.optim import Optimizer

from colorization.checkpoint import build_network, without_download
from colorization.checkpointing import CHECKPOINTS, LAST, WholeFiles, exit_code, seconds_before
from colorization.cli import script
from colorization.config import did_you_mean, instantiate, resolve, save
from colorization.dashboard import WANDB_ENTRY
from colorization.data.datamodule import PhotoDataModule, absolute_root
from colorization.errors import ConfigError, first_line
from colorization.loggers import MetricsFile, WandbRun
from colorization.metrics import Scores
from colorization.module import ColorizationModule
from colorization.processes import this_process
from colorization.report import console, print_table, score_table
from colorization.resume import check_resumable, check_same_command, find_resume
from colorization.sweeps.leaderboard import close_sweep
from colorization.sweeps.results import Result, find_finished, remove_result


@script("train", close_sweep=close_sweep)
def main(composed: DictConfig) -> float | None:
    """Trains as configured. Returns the best checkpoint's value of `monitor`, for sweeps to optimize."""
    started = time.perf_counter()
    config = resolve(composed)
    check(config)
    for key in ("root", "exclude"):
        if paths := config["data"].get(key):
            # The checkpoint is to know its photos again from any other folder.
            config["data"][key] = absolute_root(paths) if isinstance(paths, str) else [*map(absolute_root, paths)]
    run = Path(config["paths"]["run"])
    seed_everything(config["seed"], workers=True, verbose=False)
    torch.set_float32_matmul_precision("high")

    if config["ckpt_path"] == "auto" and (result := find_finished(run, config)):
        return finished_before(result, run).get(config["monitor"])
    resume: Path | None = None
    checkpoint: dict[str, Any] = {}
    if config["ckpt_path"] is not None and (
        found := find_resume(config["ckpt_path"], run, Path(config["paths"]["output_dir"]))
    ):
        resume, checkpoint = found
        check_resumable(checkpoint, config, resume)
        if config["ckpt_path"] == "auto":
            check_same_command(checkpoint, config, resume)
        tell_where(resume, checkpoint)
    if resume is None or not resume.resolve().is_relative_to(run.resolve()):
        refuse_used_folder(run)
    # What can fail at once comes before what takes long or leaves traces: the network's weights, and a run on W&B.
    optimizer, scheduler = (instantiate(config[group], group) for group in ("optimizer", "scheduler"))
    try_out(optimizer, scheduler)
    trainer = build_trainer(config)
    data = instantiate(config["data"], "data")
    open_photos(data)
    network, objective = build_network(without_download(config) if resume else config)
    module = ColorizationModule(network, objective, config, optimizer, scheduler)
    try:
        begin_folder(config, run)
        begin_logging(trainer, config, resume, checkpoint)
        checkpoint.clear()  # the trainer reads it again; its tensors need not stay
        trainer.fit(module, data, ckpt_path=resume)
        started -= seconds_before(trainer)
        scores = report(trainer, module, data, config, run)
        if trainer.is_global_zero:
            write_result(trainer, data, config, run, scores, time.perf_counter() - started)
        return scores.get(config["monitor"])
    except SIGTERMException:
        if trainer.is_global_zero:
            console.print(f"Saved. To go on, repeat the command with {how_to_go_on(run)}", markup=False)
        if (code := exit_code(trainer)) == 130:
            raise KeyboardInterrupt from None  # so that a multirun ends as well, and says what it has
        sys.exit(code)
    except SystemExit as stop:
        if isinstance(stop.__context__, KeyboardInterrupt):  # Lightning's answer to Ctrl-C is an exit code of 1
            raise KeyboardInterrupt from None
        raise
    except MisconfigurationException as error:
        raise ConfigError(first_line(error)) from error
    except wandb.errors.Error as error:
        raise ConfigError(f"W&B: {first_line(error)}; logger.wandb.mode=offline does without its server") from error
    finally:
        # The next job of a multirun is to have a W&B run of its own.
        wandb.finish(exit_code=0 if sys.exc_info()[0] is None else 1)


def check(config: dict[str, Any]) -> None:
    """What would otherwise come out only after an epoch, or as a library's riddle.

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


@rank_zero_only
def tell_where(resume: Path, checkpoint: dict[str, Any]) -> None:
    """Says where a run goes on."""
    step, epoch = (checkpoint[key] for key in ("global_step", "epoch"))
    console.print(f"Going on from {resume}, behind step {step} in epoch {epoch}", markup=False)


def finished_before(result: Result, run: Path) -> Mapping[str, float]:
    """Says that this run has come to its end before, and returns its scores."""
    if this_process().index == 0:
        result.write(run)  # without what went wrong since then
        console.print(f"{run} holds this run already, and it is at its end", markup=False)
    return result.scores


@rank_zero_only
def refuse_used_folder(run: Path) -> None:
    """Keeps a new run from overwriting another.

    Raises:
        ConfigError: the folder holds the checkpoints of a run.
    """
    if any((run / CHECKPOINTS).glob("[!.]*.ckpt")):
        raise ConfigError(
            f"hydra.run.dir={run} holds a run already: give another folder, or go on with that run by ckpt_path=last"
        )


def build_trainer(config: dict[str, Any]) -> Trainer:
    """The Trainer with its callbacks and loggers."""
    callbacks = [instantiate(node, f"callbacks.{name}") for name, node in config["callbacks"].items() if node]
    loggers = [instantiate(node, f"logger.{name}") for name, node in config["logger"].items() if node]
    trainer: Trainer = instantiate(
        config["trainer"], "trainer", callbacks=callbacks, logger=loggers, plugins=[WholeFiles()]
    )
    several = trainer.num_devices * trainer.num_nodes > 1
    check_launch(trainer)
    relaunches = isinstance(trainer.strategy.launcher, _SubprocessScriptLauncher)
    if several and relaunches and HydraConfig.get().mode is RunMode.MULTIRUN:
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


def how_to_go_on(run: Path) -> str:
    """The options that a stopped run, or a multirun of which this is a job, goes on with."""
    hydra = HydraConfig.get()
    if hydra.mode is RunMode.MULTIRUN:
        return shlex.join(["ckpt_path=auto", f"hydra.sweep.dir={hydra.sweep.dir}"])
    return shlex.join(["ckpt_path=last", f"hydra.run.dir={run}"])


@rank_zero_only
def begin_folder(config: dict[str, Any], run: Path) -> None:
    """`config.yaml` in the run's folder, and no more a result of what was trained there before."""
    remove_result(run)  # first: a result belongs to the configuration beside it
    save(config, run / "config.yaml")


@rank_zero_only
def begin_logging(trainer: Trainer, config: dict[str, Any], resume: Path | None, checkpoint: dict[str, Any]) -> None:
    """Tells the loggers the configuration and, if the run goes on from the checkpoint at `resume`, where it is."""
    for logger in trainer.loggers:
        if isinstance(logger, WandbRun) and resume is not None and WANDB_ENTRY in checkpoint:
            logger.go_on(checkpoint[WANDB_ENTRY], resume)
        logger.log_hyperparams(config)
        if isinstance(logger, MetricsFile):
            logger.forget_from(checkpoint.get("global_step", 0))


def report(
    trainer: Trainer, module: ColorizationModule, data: PhotoDataModule, config: dict[str, Any], run: Path
) -> dict[str, float]:
    """Scores the best checkpoint and prints what came out and where it is. Returns its scores by logged name."""
    best = best_checkpoint(trainer, run)
    if best is None:
        console.print("No checkpoint was written, so there is nothing to score.")
        return {}
    loggers, trainer.loggers = trainer.loggers, []  # their curves have ended
    validated = trainer.validate(module, data, best, verbose=False)
    scores = {name: float(value) for means in validated for name, value in means.items()}
    if trainer.is_global_zero:
        if scores:
            means = {name.removeprefix("val/"): value for name, value in scores.items()}
            print_table(score_table(means), f"Held-out photos of {data} ({data.count('val')}), best checkpoint")
        panels = sorted((run / "panels").glob("*.png"))
        console.print(f"best checkpoint  {best}")
        console.print(f"panels           {panels[-1] if panels else 'none'}")
        console.print(f"configuration    {run / 'config.yaml'}")
        if skipped := data.skipped.summary():
            console.print(f"skipped          {skipped}")
        for logger in loggers:
            if isinstance(logger, WandbRun) and (where := logger.where()):
                logger.log_summary({f"best/{name.removeprefix('val/')}": value for name, value in scores.items()})
                console.print(where)
        console.print("colour pictures with this command:")
        console.print(f"  python predict.py checkpoint={best} input=PICTURE_OR_FOLDER")
    return scores


def best_checkpoint(trainer: Trainer, run: Path) -> Path | None:
    """The checkpoint that a run is judged by; None if it wrote none."""
    best = Path(getattr(trainer.checkpoint_callback, "best_model_path", ""))
    return next((path for path in (best, run / CHECKPOINTS / LAST) if path.is_file()), None)


def write_result(
    trainer: Trainer, data: PhotoDataModule, config: dict[str, Any], run: Path, scores: dict[str, float], seconds: float
) -> None:
    """`result.json` in the run's folder."""
    best = best_checkpoint(trainer, run)
    Result(
        overrides=list(HydraConfig.get().overrides.task),
        seconds=seconds,
        monitor=config["monitor"],
        mode=config["monitor_mode"],
        scores=scores,
        photos=f"held-out photos of {data} ({data.count('val')}) at {config['data']['size']} px",
        checkpoint=os.path.relpath(best, run) if best else None,
    ).write(run)


if __name__ == "__main__":
    main()
