"""The start of a run: from scratch, or resumed from a checkpoint that fits it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from pytorch_lightning import Trainer
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from colorization.checkpoints.finding import CHECKPOINTS, to_resume
from colorization.checkpoints.network import ENTRY, read_checkpoint
from colorization.config.instantiate import save
from colorization.errors import CheckpointError, ColorizationError, ConfigError, first_line
from colorization.runtime.console import console, warn
from colorization.runtime.processes import this_process
from colorization.training.identity import LENGTH, difference
from colorization.training.loggers import RunLogger
from colorization.training.module import ColorizationModule
from colorization.training.result import Result, read_result, remove_result

# Entries of a checkpoint that Lightning needs to resume training.
_STATE = {
    "loops": dict,
    "global_step": int,
    "epoch": int,
    "callbacks": dict,
    "optimizer_states": list,
    "lr_schedulers": list,
    "pytorch-lightning_version": str,
}


@dataclass(frozen=True)
class Start:
    """The start of a run.

    Args:
        path: the checkpoint that it resumes from; None for a new run.
        checkpoint: its contents.
    """

    path: Path | None = None
    checkpoint: dict[str, Any] = field(default_factory=dict)


def find_start(run: Path, config: Mapping[str, Any]) -> Start:
    """Finds the checkpoint of `ckpt_path`, if any, and checks that it fits.

    Args:
        run: the run's folder.
        config: its resolved configuration.

    Raises:
        CheckpointError: it does not exist, or belongs to another kind of run.
        ConfigError: a new run would overwrite another one.
    """
    start = Start()
    wanted = config["ckpt_path"]
    if wanted is not None and (found := find_resume(wanted, run, Path(config["paths"]["output_dir"]))):
        start = Start(*found)
        path, checkpoint = found
        check_resumable(checkpoint[ENTRY]["config"], config, path)
        _announce(path, checkpoint)
    if start.path is None or not start.path.resolve().is_relative_to(run.resolve()):
        _refuse_used_folder(run)
    return start


@rank_zero_only
def _announce(path: Path, checkpoint: Mapping[str, Any]) -> None:
    step, epoch = checkpoint["global_step"], checkpoint["epoch"]
    console.print(f"Resuming from {path}, after step {step}, epoch {epoch + 1}", markup=False)


@rank_zero_only
def _refuse_used_folder(run: Path) -> None:
    if any((run / CHECKPOINTS).glob("[!.]*.ckpt")):
        raise ConfigError(
            f"hydra.run.dir={run} already holds a run: give another folder, or resume that run with ckpt_path=last"
        )


@rank_zero_only
def begin(trainer: Trainer, run: Path, config: dict[str, Any], start: Start) -> None:
    """Writes `config.yaml`, and starts or resumes the loggers. Drops the checkpoint's contents to free memory: the
    trainer reads the file again.
    """
    remove_result(run)  # first: a result belongs to the configuration beside it
    save(config, run / "config.yaml")
    for logger in trainer.loggers:
        if isinstance(logger, RunLogger) and start.path is not None:
            logger.resume(start.checkpoint, start.path)
        logger.log_hyperparams(config)
    start.checkpoint.clear()


def find_finished(run: Path, config: Mapping[str, Any]) -> Result | None:
    """With `ckpt_path=auto`, the result of the same run in this folder if it is finished; otherwise None.

    Raises:
        ConfigError: the result can't be read.
    """
    if config["ckpt_path"] != "auto":
        return None
    result = read_result(run)
    if result is None or not result.scores:
        return None
    before: Any
    try:
        before = OmegaConf.to_container(OmegaConf.load(run / "config.yaml"))
    except (OSError, yaml.YAMLError):
        return None
    assert isinstance(before, dict)
    if difference(before, config) is not None or before["data"].get("root") != config["data"].get("root"):
        return None  # another folder may hold other photos
    result = replace(result, error=None)
    if this_process().index == 0:
        result.write(run)  # without a later error
        console.print(f"{run} already holds this run, and it is finished", markup=False)
    return result


def find_resume(ckpt_path: str, run: Path, output_dir: Path) -> tuple[Path, dict[str, Any]] | None:
    """Finds and reads the checkpoint of `ckpt_path`.

    Args:
        ckpt_path: a path; `last`: the newest intact checkpoint of this run's folder or, without one, of the newest run;
            or `auto`: the newest intact checkpoint of this run's folder, or a new run.
        run: this run's folder.
        output_dir: the folder of all runs.

    Returns:
        None if `auto` means a new run.

    Raises:
        CheckpointError: there is none, or all are corrupt.
    """
    found = to_resume(ckpt_path, run, output_dir)
    if not found:
        return None
    if ckpt_path not in ("last", "auto"):
        return found[0], _read(found[0])
    best: tuple[Path, dict[str, Any]] | None = None
    corrupt = []
    for path in found:
        try:
            checkpoint = _read(path)
        except CheckpointError as error:
            corrupt.append(f"{path.name} can't be used ({error})")
            continue
        if best is None or (checkpoint["global_step"], _date(path)) > (best[1]["global_step"], _date(best[0])):
            best = path, checkpoint
    if best is None:
        raise CheckpointError(
            f"ckpt_path={ckpt_path}: no checkpoint in {found[0].parent} can be read: remove that folder, or give "
            "another one, to start from scratch"
        )
    if corrupt:
        warn(f"{'; '.join(corrupt)}; resuming from {best[0]}, the newest of the others")
    return best


def _date(path: Path) -> int:
    return path.stat().st_mtime_ns


def _read(path: Path) -> dict[str, Any]:
    """Reads a checkpoint for resuming.

    Raises:
        CheckpointError: it can't be read, or lacks the state of training.
    """
    checkpoint = read_checkpoint(path)
    for key, kind in _STATE.items():
        if not isinstance(checkpoint.get(key), kind):
            raise CheckpointError(
                f"ckpt_path={path} has a network without the state of its training ({key}): give a .ckpt that "
                "train.py wrote"
            )
    return checkpoint


@contextmanager
def restoring(module: ColorizationModule, path: Path | None) -> Iterator[None]:
    """Reports an error in the context as one of the checkpoint, if training has not begun.

    Args:
        module: the module, which records whether training has begun.
        path: the checkpoint that training is resumed from, if any.

    Raises:
        CheckpointError: its state does not fit the network, optimizer or callbacks.
    """
    try:
        yield
    except (ValueError, TypeError, LookupError, AttributeError, RuntimeError) as error:
        if path is None or module.has_begun or isinstance(error, ColorizationError):
            raise
        raise CheckpointError(
            f"ckpt_path={path} can't be resumed: the state of its training does not fit this run "
            f"({first_line(error)[:200]}); give another checkpoint, or start from scratch without ckpt_path"
        ) from error


def check_resumable(before: Mapping[str, Any], config: Mapping[str, Any], path: Path) -> None:
    """Checks that a run can be resumed, and warns of options that have changed.

    Args:
        before: the configuration of the run that wrote the checkpoint.
        config: this run's.
        path: the checkpoint.

    Raises:
        CheckpointError: network, objective, optimizer or schedule differ; with `ckpt_path=auto`, anything that
            influences what is learned.
    """
    ignore: tuple[str, ...] = (LENGTH,)
    while found := difference(before, config, ignore=ignore):
        key, old, new = found
        if config["ckpt_path"] == "auto":
            raise CheckpointError(
                f"ckpt_path=auto: {path} is of a run with {key}={old}, but this run has {new}: give another "
                "folder, or ckpt_path=last to resume with the new value"
            )
        if key.partition(".")[0] in _OF_THE_CHECKPOINT and not fnmatchcase(key, _WEIGHTS_OF_TERMS):
            raise CheckpointError(
                f"ckpt_path={path} was trained with {key}={old}, but this run has {new}: repeat the command of that "
                "run and add ckpt_path"
            )
        _warn_of_change(key, old, new)
        ignore += (key,)
    # Photos may have moved, so this is not another run; but they may also be other photos.
    roots = [node["data"].get("root") for node in (before, config)]
    if roots[0] != roots[1]:
        _warn_of_change("data.root", *roots)


def _warn_of_change(key: str, old: Any, new: Any) -> None:
    warn(f"resumed with {key}={new}, the run was begun with {old}")


# Groups whose state is in the checkpoint, so that options can't change them.
_OF_THE_CHECKPOINT = ("backbone", "decoder", "objective", "optimizer", "scheduler")
# A checkpoint does not hold them, and the file may have moved.
_WEIGHTS_OF_TERMS = "objective.terms.*.weights"
