"""Which checkpoint a run goes on from, and whether it can."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from colorization.checkpoint import ENTRY, read_checkpoint
from colorization.checkpointing import CHECKPOINTS
from colorization.errors import CheckpointError
from colorization.report import warn


def find_resume(ckpt_path: str, run: Path, output_dir: Path) -> tuple[Path, dict[str, Any]] | None:
    """The checkpoint that `ckpt_path` means, and what it holds.

    Args:
        ckpt_path: a path; `last`: the newest whole one of this run's folder if there is one, otherwise of the newest
            run; or `auto`: the newest whole one of this run's folder, or a new run.
        run: this run's folder.
        output_dir: the folder that all runs are in.

    Returns:
        None if `auto` means a new run.

    Raises:
        CheckpointError: there is none, or none that is whole.
    """
    if ckpt_path not in ("last", "auto"):
        path = Path(ckpt_path).expanduser()
        checkpoint = read_checkpoint(path)
        if "loops" not in checkpoint:
            raise CheckpointError(
                f"ckpt_path={path} holds a network without the state of its training: give a .ckpt that train.py wrote"
            )
        return path, checkpoint
    found = _newest_first(run / CHECKPOINTS)
    if not found and ckpt_path == "auto":
        return None
    if not found:
        runs = {path.parent for path in output_dir.glob(f"**/{CHECKPOINTS}/[!.]*.ckpt")}
        found = max((_newest_first(folder) for folder in runs), key=lambda paths: _date(paths[0]), default=[])
    if not found:
        raise CheckpointError(
            f"ckpt_path=last: there is no checkpoint below {output_dir}; give the path of one, or begin anew without "
            "ckpt_path"
        )
    damaged = []
    for path in found:
        try:
            checkpoint = _read_whole(path)
        except CheckpointError as error:
            damaged.append(f"{path.name} can't be used ({error})")
            continue
        if damaged:
            warn(f"{'; '.join(damaged)}; going on from {path}, which is older")
        return path, checkpoint
    raise CheckpointError(
        f"ckpt_path={ckpt_path}: no checkpoint in {found[0].parent} is whole: remove that folder, or give another one, "
        "to begin anew"
    )


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("[!.]*.ckpt"), key=_date, reverse=True)


def _date(path: Path) -> int:
    return path.stat().st_mtime_ns


def _read_whole(path: Path) -> dict[str, Any]:
    """Reads a checkpoint that is as it was written.

    Raises:
        CheckpointError: it is not.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            wrong = archive.testzip()  # PyTorch reads without looking at the check sums
    except (zipfile.BadZipFile, OSError) as error:
        raise CheckpointError(f"it is cut off or damaged: {error}") from error
    if wrong is not None:
        raise CheckpointError(f"its bytes have changed, in {wrong}")
    return read_checkpoint(path)


def check_same_command(checkpoint: Mapping[str, Any], config: Mapping[str, Any], path: str | Path) -> None:
    """Makes sure that what a run learns, and from what, is what the run learned that wrote a checkpoint.

    Raises:
        CheckpointError: an option differs, other than where things are and how many devices and epochs there are.
    """
    before, now = (
        {
            key: value
            for key, value in _leaves(node, "").items()
            if key not in _HOW and key.partition(".")[0] not in _BESIDE and key.rpartition(".")[2] not in _MAY_DIFFER
        }
        for node in (checkpoint[ENTRY]["config"], config)
    )
    for key in sorted(before.keys() | now.keys()):
        first, second = (node.get(key, _LATER.get(key)) for node in (before, now))
        if first != second:
            raise CheckpointError(
                f"ckpt_path=auto: {path} is of a run with {key}={first}, this one has {second}: give it a folder of "
                "its own, or ckpt_path=last to go on with another value"
            )


def check_resumable(checkpoint: Mapping[str, Any], config: Mapping[str, Any], path: str | Path) -> None:
    """Makes sure that a run can go on from a checkpoint.

    Raises:
        CheckpointError: backbone, decoder or objective differ, or the kind of optimizer or schedule.
    """
    for group in ("backbone", "decoder", "objective", "optimizer", "scheduler"):
        before, now = (_leaves(node.get(group), group) for node in (checkpoint[ENTRY]["config"], config))
        if group in ("optimizer", "scheduler"):
            before, now = (
                {key: value for key, value in node.items() if key.endswith("_target_")} for node in (before, now)
            )
        for key in sorted(before.keys() | now.keys()):
            first, second = (node.get(key, _LATER.get(key)) for node in (before, now))
            if key.rpartition(".")[2] not in _MAY_DIFFER and first != second:
                raise CheckpointError(
                    f"ckpt_path={path} was trained with {key}={first}, this run has {second}: repeat the command of "
                    "that run and add ckpt_path"
                )


# Where weights began, and how distributions are decoded, says nothing about how a run goes on.
_MAY_DIFFER = ("pretrained", "weights", "temperature")
# What of a configuration has no influence on what is learned, and options that may change from a start to the next.
_BESIDE = ("callbacks", "ckpt_path", "logger", "paths")
_HOW = (
    *(f"data.{key}" for key in ("root", "num_workers", "cache", "cache_gb", "skipped_file")),
    *(f"trainer.{key}" for key in ("accelerator", "default_root_dir", "devices", "enable_model_summary")),
    *(f"trainer.{key}" for key in ("enable_progress_bar", "log_every_n_steps", "max_epochs", "num_nodes", "strategy")),
)
# Options that came after the first checkpoints, with the values that mean what was before.
_LATER = {"objective.weight": 1.0}


def _leaves(value: Any, path: str) -> dict[str, Any]:
    """All values of a configuration by their whole names."""
    if not isinstance(value, Mapping):
        return {} if value is None else {path: value}
    dotted = f"{path}." if path else ""
    return {key: leaf for name, below in value.items() for key, leaf in _leaves(below, f"{dotted}{name}").items()}
