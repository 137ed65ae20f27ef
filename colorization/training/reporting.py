"""The report at the end of a run."""

import os
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from pytorch_lightning import Trainer

from colorization.checkpoints.finding import CHECKPOINTS, LAST
from colorization.checkpoints.network import packages_needed
from colorization.data.datamodule import PhotoDataModule
from colorization.metrics.tables import score_table
from colorization.runtime.console import console, print_table
from colorization.runtime.installation import predict_command
from colorization.training.loggers import RunLogger
from colorization.training.module import ColorizationModule
from colorization.training.result import Result


def report(trainer: Trainer, module: ColorizationModule, data: PhotoDataModule, run: Path) -> dict[str, float]:
    """Scores the best checkpoint, prints scores and paths, and returns the scores by logged name."""
    best = best_checkpoint(trainer, run)
    if best is None:
        console.print("No checkpoint was written: there is nothing to score.")
        return {}
    loggers, trainer.loggers = trainer.loggers, []  # training curves have ended
    try:
        validated = trainer.validate(module, data, best, verbose=False)
    finally:
        trainer.loggers = loggers
    scores = {name: float(value) for means in validated for name, value in means.items()}
    if trainer.is_global_zero:
        if scores:
            means = {name.removeprefix("val/"): value for name, value in scores.items()}
            print_table(score_table(means), f"Held-out photos of {data} ({data.count('val')}), best checkpoint")
        panels = sorted((run / "panels").glob("*.png"))
        console.print(f"best checkpoint  {best}", markup=False)
        console.print(f"panels           {panels[-1] if panels else 'none'}", markup=False)
        console.print(f"configuration    {run / 'config.yaml'}", markup=False)
        if skipped := data.skipped.summary():
            console.print(f"skipped          {skipped}")
        for logger in loggers:
            if isinstance(logger, RunLogger) and (where := logger.where()):
                logger.log_summary({f"best/{name.removeprefix('val/')}": value for name, value in scores.items()})
                console.print(where)
        console.print("colour pictures with this command:")
        console.print(f"  {predict_command(best, packages_needed(module.config))}", markup=False)
    return scores


def best_checkpoint(trainer: Trainer, run: Path) -> Path | None:
    """The best checkpoint of a run, or its last one; None if it wrote none."""
    best = Path(getattr(trainer.checkpoint_callback, "best_model_path", ""))
    return next((path for path in (best, run / CHECKPOINTS / LAST) if path.is_file()), None)


def write_result(
    trainer: Trainer, data: PhotoDataModule, config: dict[str, Any], run: Path, scores: dict[str, float], seconds: float
) -> None:
    """Writes `result.json` into the run's folder."""
    if not trainer.is_global_zero:
        return
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
