"""Where a run starts: at the beginning, or from a checkpoint of its own, which has to fit it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from pytorch_lightning import Trainer
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from colorization.checkpoints.network import ENTRY, read_checkpoint
from colorization.checkpoints.newest import CHECKPOINTS, newest_first, of_newest_run
from colorization.config.instantiate import save
from colorization.errors import CheckpointError, ColorizationError, ConfigError, first_line
from colorization.runtime.console import console, warn
from colorization.runtime.processes import this_process
from colorization.training.identity import LENGTH, difference
from colorization.training.loggers import RunLogger
from colorization.training.module import ColorizationModule
from colorization.training.result import Result, read_result, remove_result

# What Lightning needs of a checkpoint to resume training.
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
    """Where a run starts.

    Args:
        path: the checkpoint that it resumes from; None for a new run.
        checkpoint: what that holds.
    """

    path: Path | None = None
    checkpoint: dict[str, Any] = field(default_factory=dict)


def find_start(run: Path, config: Mapping[str, Any]) -> Start:
    """The checkpoint that `ckpt_path` means, if any, after making sure that it fits.

    Args:
        run: the run's folder.
        config: its resolved configuration.

    Raises:
        CheckpointError: there is none, or it is of a run that learns something else.
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
            f"hydra.run.dir={run} holds a run already: give another folder, or resume that run with ckpt_path=last"
        )


@rank_zero_only
def begin(trainer: Trainer, run: Path, config: dict[str, Any], start: Start) -> None:
    """Writes `config.yaml`, and tells the loggers where the run starts. The checkpoint's contents are dropped: the
    trainer reads the file again, and its tensors need not stay in memory.
    """
    remove_result(run)  # first: a result belongs to the configuration beside it
    save(config, run / "config.yaml")
    for logger in trainer.loggers:
        if isinstance(logger, RunLogger) and start.path is not None:
            logger.resume(start.checkpoint, start.path)
        logger.log_hyperparams(config)
    start.checkpoint.clear()


def find_finished(run: Path, config: Mapping[str, Any]) -> Result | None:
    """With `ckpt_path=auto`, the result that the same run left in this folder at its end; None if it has to train.

    Raises:
        ConfigError: what it left can't be read.
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
        return None  # other photos may lie elsewhere
    result = replace(result, error=None)
    if this_process().index == 0:
        result.write(run)  # without what went wrong since then
        console.print(f"{run} holds this run already, and it is finished", markup=False)
    return result


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
        return path, _read(path)
    found = newest_first(run / CHECKPOINTS)
    if not found and ckpt_path == "auto":
        return None
    if not found:
        found = of_newest_run(output_dir)
    if not found:
        raise CheckpointError(
            f"ckpt_path=last: there is no checkpoint below {output_dir}; give the path of one, or start without "
            "ckpt_path"
        )
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
    """Reads a checkpoint that training can be resumed from.

    Raises:
        CheckpointError: it can't be read, or has no state of a training.
    """
    checkpoint = read_checkpoint(path)
    for key, kind in _STATE.items():
        if not isinstance(checkpoint.get(key), kind):
            raise CheckpointError(
                f"ckpt_path={path} holds a network without the state of its training ({key}): give a .ckpt that "
                "train.py wrote"
            )
    return checkpoint


@contextmanager
def restoring(module: ColorizationModule, path: Path | None) -> Iterator[None]:
    """Says of which checkpoint it is if the state of a training can't be restored inside.

    Args:
        module: knows whether its training has begun.
        path: the checkpoint that training is resumed from, if any.

    Raises:
        CheckpointError: what it holds does not fit its network, optimizer or callbacks.
    """
    try:
        yield
    except (ValueError, TypeError, LookupError, AttributeError, RuntimeError) as error:
        if path is None or module.has_begun or isinstance(error, ColorizationError):
            raise
        raise CheckpointError(
            f"ckpt_path={path} can't be resumed: the state of its training does not fit this run "
            f"({first_line(error)[:200]}); give another checkpoint, or start without ckpt_path"
        ) from error


def check_resumable(before: Mapping[str, Any], config: Mapping[str, Any], path: Path) -> None:
    """Makes sure that a run can be resumed, and says which options differ from those it was begun with.

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
                f"ckpt_path=auto: {path} is of a run with {key}={old}, this one has {new}: give it a folder of its "
                "own, or ckpt_path=last to resume with another value"
            )
        if key.partition(".")[0] in _OF_THE_CHECKPOINT:
            raise CheckpointError(
                f"ckpt_path={path} was trained with {key}={old}, this run has {new}: repeat the command of that run "
                "and add ckpt_path"
            )
        _warn_of_change(key, old, new)
        ignore += (key,)
    # Photos may have moved, so that this is no difference between runs; but they may also be others.
    roots = [node["data"].get("root") for node in (before, config)]
    if roots[0] != roots[1]:
        _warn_of_change("data.root", *roots)


def _warn_of_change(key: str, old: Any, new: Any) -> None:
    warn(f"resumed with {key}={new}, the run was begun with {old}")


# What lies in the checkpoint, and can't be changed by an option: weights and the state of optimizer and schedule.
_OF_THE_CHECKPOINT = ("backbone", "decoder", "objective", "optimizer", "scheduler")
