"""Checks of a training's options, without PyTorch."""

import math
from pathlib import Path
from typing import Any

from colorization.checkpoints.finding import to_resume
from colorization.checkpoints.shipped import located
from colorization.data.roots import check_photos
from colorization.errors import ConfigError, did_you_mean
from colorization.metrics.names import LOGGED
from colorization.weights.files import existing


def check(config: dict[str, Any]) -> None:
    """Checks values that would otherwise fail after an epoch, or with a library's message, and that files exist.

    Args:
        config: of `resolve_early`.

    Raises:
        ColorizationError: a value is out of range, or a file or folder is missing.
    """
    check_monitor("monitor", config["monitor"])
    if (monitor := config["scheduler"].get("monitor")) is not None:
        check_monitor("scheduler.monitor", monitor)
    if config["monitor_mode"] not in ("min", "max"):
        raise ConfigError(f"monitor_mode={config['monitor_mode']} is neither min nor max: give one of them")
    trainer = config["trainer"]
    for path, value, least, most in (
        ("seed", config["seed"], 0, 2**32 - 1),
        ("optimizer.lr", config["optimizer"].get("lr"), 0, math.inf),
        ("trainer.max_epochs", trainer.get("max_epochs", 1), 1, math.inf),
        ("trainer.accumulate_grad_batches", trainer.get("accumulate_grad_batches", 1), 1, math.inf),
        ("trainer.gradient_clip_val", trainer.get("gradient_clip_val") or 0, 0, math.inf),
    ):
        if isinstance(value, int | float) and not least <= value <= most:
            upper = "" if most == math.inf else f", at most {most}"
            raise ConfigError(f"{path}={value} is out of range: give {least} or more{upper}")
    precision = str(trainer.get("precision"))
    if precision == "64" or (precision.endswith("-true") and precision != "32-true"):
        raise ConfigError(
            f"trainer.precision={precision} is not supported, because colours are computed in float32: give 32-true, "
            "bf16-mixed or 16-mixed"
        )
    if "checkpoint" not in config["callbacks"]:
        raise ConfigError(
            "callbacks has no checkpoint, so that nothing would be saved: give 'callbacks=[default,...]' with the "
            "callbacks to add"
        )
    run, output_dir = Path(config["paths"]["run"]), config["paths"]["output_dir"]
    check_photos(config["data"])
    if config["ckpt_path"] is not None:
        to_resume(config["ckpt_path"], run, Path(output_dir))
    elif config["init_from"] is not None:
        located(config["init_from"], output_dir, "init_from")
    elif weights := config["backbone"].get("weights"):
        existing(weights, "backbone.weights")


def check_monitor(key: str, name: str) -> None:
    """Checks the name of the metric to monitor, the value of an option.

    Raises:
        ConfigError: it is not logged.
    """
    logged = {f"val/{metric}" for metric in ("loss", *LOGGED)}
    if name not in logged:
        raise ConfigError(f"{key}={name} is not logged{did_you_mean(name, logged)}")
