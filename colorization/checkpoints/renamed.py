"""Moved classes: checkpoints store the names of their time."""

from typing import Any

# Old to new names of moved classes that configurations name.
RENAMED = {
    "colorization.callbacks.PanelWriter": "colorization.training.callbacks.PanelWriter",
    "colorization.callbacks.Throughput": "colorization.training.callbacks.Throughput",
    "colorization.checkpointing.BestCheckpoint": "colorization.training.saving.BestCheckpoint",
    "colorization.checkpointing.LastCheckpoint": "colorization.training.saving.LastCheckpoint",
    "colorization.dashboard.Dashboard": "colorization.training.dashboard.Dashboard",
    "colorization.data.shards.ShardsDataModule": "colorization.data.tars.photos.ShardsDataModule",
    "colorization.loggers.MetricsFile": "colorization.training.loggers.MetricsFile",
    "colorization.loggers.WandbRun": "colorization.training.wandb_run.WandbRun",
}


def renamed(config: Any) -> Any:
    """A plain configuration with current names."""
    if isinstance(config, dict):
        values = {key: renamed(value) for key, value in config.items()}
        target = values.get("_target_")
        return {**values, "_target_": RENAMED.get(target, target)} if isinstance(target, str) else values
    return [renamed(value) for value in config] if isinstance(config, list) else config
