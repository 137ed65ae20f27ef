"""The runs in a folder: their options, results and checkpoints."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from colorization.errors import ConfigError
from colorization.training.result import RESULT, Result, read_result

_OVERRIDES = ".hydra/overrides.yaml"
_RESUMING = ("ckpt_path=auto", "ckpt_path=last")


@dataclass(frozen=True)
class Job:
    """A run in the folder of a sweep.

    Attributes:
        name: its folder, relative to the sweep's.
        folder: its folder.
        overrides: the options of its command line, by key.
        result: its result; None if it was killed, or has not finished yet.
    """

    name: str
    folder: Path
    overrides: dict[str, str]
    result: Result | None

    @property
    def error(self) -> str | None:
        """Why it failed; None if it did not."""
        if self.result is None:
            return "no result: it was killed, or it has not finished yet"
        return self.result.error

    @property
    def status(self) -> str:
        """`done`, `failed`, or `pruned` if a search ended it early."""
        if self.error is not None:
            return "failed"
        return "pruned" if self.result is not None and self.result.pruned else "done"

    @property
    def scores(self) -> Mapping[str, float]:
        """Its scores. A failed run may have scores: those of an earlier run in the same folder."""
        return {} if self.result is None else self.result.scores

    @property
    def checkpoint(self) -> Path | None:
        """Its best checkpoint, if there is one."""
        path = None if self.result is None or self.result.checkpoint is None else self.folder / self.result.checkpoint
        return path if path is not None and path.is_file() else None

    def config(self) -> dict[str, Any]:
        """The configuration of a run that has scores."""
        config: dict[str, Any] = yaml.safe_load((self.folder / "config.yaml").read_text(encoding="utf-8"))
        return config


def has_results(sweep: Path) -> bool:
    """Whether a job of a multirun has finished in this folder."""
    return any(sweep.glob(f"*/{RESULT}"))


def find_jobs(sweep: Path) -> list[Job]:
    """All runs in a folder, sorted by job number, then by name.

    Raises:
        ConfigError: a result can't be read.
    """
    folders = {file.parent.parent for file in sweep.glob(f"**/{_OVERRIDES}") if _is_of_training(file.parent)}
    folders |= {file.parent for file in sweep.glob(f"**/{RESULT}")}
    jobs = [_read_job(sweep, folder) for folder in folders]
    return sorted(jobs, key=lambda job: (not job.name.isdecimal(), int(job.name) if job.name.isdecimal() else job.name))


def _read_job(sweep: Path, folder: Path) -> Job:
    result = read_result(folder)
    overrides = _composed(folder) if result is None else result.overrides
    # Whether a job was resumed is not an option that tells jobs apart.
    pairs = (override.partition("=") for override in overrides if override not in _RESUMING)
    by_key = {key.lstrip("+"): value for key, _, value in pairs}
    return Job(folder.relative_to(sweep).as_posix(), folder, by_key, result)


def _is_of_training(folder: Path) -> bool:
    """Whether `.hydra` belongs to a job, or to a run of `train.py` that was not refused before it began."""
    try:
        notes = yaml.safe_load((folder / "hydra.yaml").read_text(encoding="utf-8"))
        is_job, script = notes["hydra"]["mode"] == "MULTIRUN", notes["hydra"]["job"]["config_name"]
        return bool(script == "train" and (is_job or (folder.parent / "config.yaml").is_file()))
    except (OSError, yaml.YAMLError, KeyError, TypeError):
        return True  # incomplete: the run was killed when it began


def _composed(folder: Path) -> list[Any]:
    """The options that Hydra wrote before the run began."""
    try:
        return yaml.safe_load((folder / _OVERRIDES).read_text(encoding="utf-8")) or []
    except yaml.YAMLError as error:
        raise ConfigError(f"{folder / _OVERRIDES} can't be read: remove it") from error


def differing_keys(jobs: Sequence[Job]) -> list[str]:
    """The options that differ between jobs, in the order of the command line."""
    keys = dict.fromkeys(key for job in jobs for key in job.overrides)
    return [key for key in keys if len({job.overrides.get(key) for job in jobs}) > 1]
