"""Trains a network: `python train.py backbone=vgg19 data=folder data.root=photos`. `--help` lists the options."""

from pathlib import Path
from typing import Any

import torch
import wandb
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig
from pytorch_lightning import Trainer, seed_everything
from pytorch_lightning.strategies.launchers import _SubprocessScriptLauncher
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from colorization.checkpoint import build_network, check_same_network, find_resume, read_checkpoint, without_download
from colorization.cli import script
from colorization.config import instantiate, resolve, save
from colorization.data.datamodule import PhotoDataModule
from colorization.errors import ConfigError
from colorization.loggers import WandbRun
from colorization.module import ColorizationModule
from colorization.report import console, print_scores


@script("train")
def main(composed: DictConfig) -> float | None:
    """Trains as configured. Returns the best checkpoint's value of `monitor`, for sweeps to optimize."""
    config = resolve(composed)
    run = Path(config["paths"]["run"])
    seed_everything(config["seed"], workers=True, verbose=False)
    torch.set_float32_matmul_precision("high")

    resume = None
    if config["ckpt_path"] is not None:
        resume = find_resume(config["ckpt_path"], run, Path(config["paths"]["output_dir"]))
        check_same_network(read_checkpoint(resume), config, resume)
    network, objective = build_network(without_download(config) if resume else config)
    module = ColorizationModule(
        network,
        objective,
        config,
        optimizer=instantiate(config["optimizer"], "optimizer"),
        scheduler=instantiate(config["scheduler"], "scheduler"),
    )
    data = instantiate(config["data"], "data")
    trainer = build_trainer(config)
    try:
        save_config(config, run)
        for logger in trainer.loggers:
            logger.log_hyperparams(config)
        trainer.fit(module, data, ckpt_path=resume)
        return report(trainer, module, data, config, run)
    finally:
        wandb.finish()  # the next job of a multirun is to have a W&B run of its own


def build_trainer(config: dict[str, Any]) -> Trainer:
    """The Trainer with its callbacks and loggers."""
    callbacks = [instantiate(node, f"callbacks.{name}") for name, node in config["callbacks"].items() if node]
    loggers = [instantiate(node, f"logger.{name}") for name, node in config["logger"].items() if node]
    trainer: Trainer = instantiate(config["trainer"], "trainer", callbacks=callbacks, logger=loggers)
    if HydraConfig.get().mode is RunMode.MULTIRUN and isinstance(trainer.strategy.launcher, _SubprocessScriptLauncher):
        # The launcher would run the whole multirun again in every process, each with another job's options.
        raise ConfigError(
            "-m does not go together with a strategy that starts this script again on each device: give "
            "trainer.strategy=ddp_spawn, or trainer.devices=1 with jobs in parallel, or run the jobs one by one"
        )
    return trainer


@rank_zero_only
def save_config(config: dict[str, Any], run: Path) -> None:
    """`config.yaml` in the run's folder."""
    save(config, run / "config.yaml")


def report(
    trainer: Trainer, module: ColorizationModule, data: PhotoDataModule, config: dict[str, Any], run: Path
) -> float | None:
    """Scores the best checkpoint and prints what came out and where it is."""
    files = trainer.checkpoint_callback
    best = getattr(files, "best_model_path", "") or getattr(files, "last_model_path", "")
    if not best:
        console.print("No checkpoint was written, so there is nothing to score.")
        return None
    loggers, trainer.loggers = trainer.loggers, []  # their curves have ended
    scores = {name: float(value) for name, value in trainer.validate(module, data, best, verbose=False)[0].items()}
    if trainer.is_global_zero:
        means = {name.removeprefix("val/"): value for name, value in scores.items()}
        print_scores(means, f"Held-out photos of {data}, best checkpoint")
        panels = sorted((run / "panels").glob("*.png"))
        console.print(f"best checkpoint  {best}")
        console.print(f"panels           {panels[-1] if panels else 'none'}")
        console.print(f"configuration    {run / 'config.yaml'}")
        for logger in loggers:
            if isinstance(logger, WandbRun):
                console.print(logger.where())
        if skipped := data.skipped.summary():
            console.print(f"skipped          {skipped}")
        console.print(f"colour a picture python predict.py checkpoint={best} input=PICTURE_OR_FOLDER")
    return scores.get(config["monitor"])


if __name__ == "__main__":
    main()
