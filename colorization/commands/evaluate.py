"""Scores checkpoints and coloured pictures: `python evaluate.py checkpoint=PATH data=folder data.root=photos`. `--help`
lists the options.

This module does not import PyTorch: a refused command does not wait for it.
"""

from pathlib import Path

from omegaconf import DictConfig

from colorization.checkpoints.shipped import NEWEST_RUN, located
from colorization.config.instantiate import resolve_early
from colorization.errors import ConfigError
from colorization.evaluation.checks import check
from colorization.runtime.remarks import silence_remarks
from colorization.runtime.stopping import stopping_at_once


def run(composed: DictConfig) -> None:
    """Scores checkpoints on photos that they were not trained on, and folders of coloured pictures, compared with the
    all-gray baseline.
    """
    paths, folders = checkpoint_paths(composed), prediction_paths(composed)
    check(resolve_early(composed), paths, folders)
    with stopping_at_once():
        from colorization.commands.evaluating import evaluate
    silence_remarks()
    evaluate(composed, paths, folders)


def checkpoint_paths(composed: DictConfig) -> list[str]:
    """The checkpoints that are scored.

    Raises:
        ConfigError: none is named, or one twice.
    """
    one, several = composed.checkpoint, composed.compare
    output_dir = composed.paths.output_dir
    if one is not None and several is not None:
        raise ConfigError("checkpoint and compare do not go together: name all checkpoints in compare=[A,B]")
    if one is not None:
        return [str(located(one, output_dir)) if one == NEWEST_RUN else one]
    if several is None and composed.predictions is not None:
        return []
    if several is None:
        raise ConfigError(
            "checkpoint is missing: give checkpoint=PATH, compare=[A,B] for several, or predictions=[FOLDER] for "
            "pictures that are coloured already"
        )
    paths = [str(located(path, output_dir) if path == NEWEST_RUN else path) for path in several]
    if len(paths) < 2:
        raise ConfigError(f"compare={paths} compares nothing: give two checkpoints or more, or checkpoint=PATH for one")
    files = [Path(path).expanduser().resolve() for path in paths]
    for path, file in zip(paths, files, strict=True):
        if files.count(file) > 1:
            raise ConfigError(f"compare names {path} twice: name each checkpoint once")
    return paths


def prediction_paths(composed: DictConfig) -> list[str]:
    """The folders of coloured pictures that are scored.

    Raises:
        ConfigError: one is named twice, or an option does not fit.
    """
    paths = list(composed.predictions or [])
    if composed.predictions is not None and not paths:
        raise ConfigError("predictions=[] is empty: give folders of coloured pictures, or leave it out")
    folders = [Path(path).expanduser().resolve() for path in paths]
    for path, folder in zip(paths, folders, strict=True):
        if folders.count(folder) > 1:
            raise ConfigError(f"predictions names {path} twice: name each folder once")
    if composed.best_of < 1 or (composed.best_of > 1 and not paths):
        what = "has no effect without predictions" if composed.best_of > 1 else "is too small: give 1 or more"
        raise ConfigError(f"best_of={composed.best_of} {what}")
    return paths
