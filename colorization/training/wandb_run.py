"""A run on Weights & Biases. The only module, beside the pictures that it is handed, that needs the package wandb."""

import glob
import os
import re
import secrets
import shlex
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import wandb
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import OmegaConf
from pytorch_lightning.loggers import WandbLogger
from pytorch_lightning.loggers.logger import rank_zero_experiment
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from colorization.checkpoints.network import ENTRY, read_checkpoint
from colorization.checkpoints.newest import CHECKPOINTS, LAST
from colorization.compat.lightning import continue_wandb_run, has_begun, is_spawned, wandb_options
from colorization.errors import ConfigError, first_line
from colorization.runtime.installation import command_line
from colorization.training.loggers import RunLogger

# Where a checkpoint keeps what a run on W&B is continued by.
WANDB_ENTRY = "wandb_run"
# Of the configuration, what the artifact of a checkpoint says of itself.
_ESSENTIALS = ("backbone", "decoder", "objective", "optimizer", "monitor", "seed")
# The longest name of a run that W&B takes.
_LONGEST_NAME = 128


class WandbRun(WandbLogger, RunLogger):
    """A run on Weights & Biases: online where W&B is configured, otherwise offline, to be uploaded later. See
    docs/wandb.md for what it holds.

    Args:
        folder: the run's folder. W&B keeps its files there.
        project: the project on W&B.
        entity: the user or team that the project belongs to; None: as W&B is configured.
        group: what the run is shown together with; None: the jobs of a multirun, under the name of their folder.
        job_type: how the run is called within its group.
        tags: words to find the run by.
        name: how the run is called; None: by its folder, and a job of a multirun by its number and what differs from
            job to job.
        mode: `auto`, `online` or `offline`. `auto` follows the variable WANDB_MODE if it is set, then goes online if a
            key is configured.
    """

    def __init__(
        self,
        folder: str,
        project: str = "colorization",
        entity: str | None = None,
        group: str | None = None,
        job_type: str = "train",
        tags: list[str] | None = None,
        name: str | None = None,
        mode: Literal["auto", "online", "offline"] = "auto",
    ) -> None:
        if mode == "auto":
            default = "online" if _is_configured() else "offline"
            self.mode = os.environ.get("WANDB_MODE", default)
        else:
            self.mode = mode
        self.folder = Path(folder).resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._chosen_name = name
        self._earlier: list[str] = []  # folders that hold the run so far
        self._best: tuple[str, float] | None = None  # path and score
        job = _job_of_multirun()
        self._is_job = bool(job)
        # Not WandbLogger's own `offline`: that one sets WANDB_MODE for the rest of the process.
        super().__init__(
            save_dir=self.folder,
            project=project,
            entity=entity,
            group=group or job.get("group") or os.environ.get("WANDB_RUN_GROUP"),
            job_type=job_type,
            tags=tags or None,
            name=name or os.environ.get("WANDB_NAME") or job.get("name") or self.folder.name,
            id=job.get("id"),
            mode=self.mode,
            settings=wandb.Settings(silent=True),
        )
        wandb_options(self).pop("anonymous", None)  # W&B warns of this option even where it is not set

    def resume(self, checkpoint: Mapping[str, Any], path: Path) -> None:
        """Continues the run that the checkpoint was written by, instead of beginning one. Jobs of a multirun that all
        start from the same checkpoint stay runs of their own.
        """
        state = checkpoint.get(WANDB_ENTRY)
        if not isinstance(state, dict) or (self._is_job and self.folder not in path.resolve().parents):
            return
        # The checkpoint may be a stranger's: its folders are looked up by name, in the folder of its run and in ours.
        run_id, names = str(state.get("id")), state.get("folders")
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", run_id):
            return
        continue_wandb_run(self, run_id)
        wandb_options(self)["name"] = self._chosen_name  # it has a name
        for folder in dict.fromkeys((path.resolve().parent.parent, self.folder)):
            there = {part.name: str(part) for part in _offline_parts(folder, run_id)}
            self._earlier += [
                there[name] for name in map(_last_part, names if isinstance(names, list) else ()) if name in there
            ]

    def state(self) -> dict[str, Any]:
        """The run's id, and the names of the folders that hold it as long as it is not uploaded, oldest first."""
        if self.mode == "disabled":
            return {}
        return {WANDB_ENTRY: {"id": self.experiment.id, "folders": [Path(path).name for path in self._folders()]}}

    def _folders(self) -> list[str]:
        return list(dict.fromkeys([*self._earlier, *map(str, _offline_parts(self.folder, self.experiment.id))]))

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:
        """W&B's own run."""
        begins = not has_begun(self)
        if begins and is_spawned(self):
            os.environ["WANDB_DIR"] = str(self.folder)  # W&B would keep its files below the current folder
        with _in_words():
            run: Any = super().experiment
        if begins:
            run.define_metric("pictures")  # an axis to choose, as steps are
        return run

    @rank_zero_only
    def log_hyperparams(self, params: Mapping[str, Any]) -> None:  # type: ignore[override]
        """A configuration, with the commit of the code and the command line."""
        code = {"commit": _commit(), "command": _command()}
        super().log_hyperparams({**params, "code": {key: value for key, value in code.items() if value}})

    @rank_zero_only
    def log_summary(self, values: Mapping[str, Any]) -> None:
        """Values that belong to the run as a whole: columns of the table of runs."""
        if self.mode != "disabled":
            self.experiment.summary.update(dict(values))

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Values, pictures and tables of a step."""
        with _kept_in(self.folder / "wandb"):
            super().log_metrics(metrics, step)

    def note_best(self, checkpoint: str, score: float) -> None:
        """Takes note of the best checkpoint, and of its value of `monitor`."""
        self._best = checkpoint, score

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Uploads best and last checkpoint as versions of one artifact if the run is online and ended well."""
        if status != "success" or self.mode != "online":
            return
        with _in_words():
            if self._best is not None:
                self._upload("best", *self._best)
            last = self.folder / CHECKPOINTS / LAST
            if last.is_file():
                self._upload("last", str(last), None)

    def end(self, succeeded: bool) -> None:
        """Ends the run: of several in one process, each is to be a run of its own."""
        wandb.finish(exit_code=0 if succeeded else 1)

    def _upload(self, alias: str, path: str, score: float | None) -> None:
        checkpoint = read_checkpoint(path)
        config = checkpoint[ENTRY]["config"]
        metadata = {"score": score, "step": checkpoint["global_step"], "epoch": checkpoint["epoch"]}
        metadata |= {key: config[key] for key in _ESSENTIALS if key in config}
        artifact = wandb.Artifact(f"checkpoint-{self.experiment.id}", type="model", metadata=metadata)
        artifact.add_file(path, name=f"{alias}.ckpt", policy="immutable")  # no copy of it is made
        self.experiment.log_artifact(artifact, aliases=[alias])

    def where(self) -> str | None:
        """One line that says where the run is to be seen; None if W&B is switched off."""
        if self.mode == "disabled":
            return None
        if self.mode == "online":
            return f"W&B: {self.experiment.url}"
        folders = [folder for folder in self._folders() if Path(folder).is_dir()]
        return f"W&B: offline; upload with: wandb sync {shlex.join(folders)}"


@contextmanager
def _in_words() -> Iterator[None]:
    """Turns what W&B raises into a user's mistake."""
    try:
        yield
    except wandb.errors.Error as error:
        raise ConfigError(f"W&B: {first_line(error)}; logger.wandb.mode=offline does without its server") from error


def _offline_parts(folder: Path, run_id: str) -> list[Path]:
    """The folders that W&B keeps of a run in a run's folder, oldest first."""
    return sorted((folder / "wandb").glob(f"offline-run-*-{glob.escape(run_id)}"))


def _last_part(path: Any) -> str:
    """What a folder is called; older checkpoints have whole paths."""
    return str(path).rpartition("/")[2]


def _is_configured() -> bool:
    """Whether W&B finds a key on this machine. Asks neither the user nor the network."""
    return wandb.login(prompt=False, verify=False)


def _job_of_multirun() -> dict[str, str]:
    """Group, name and id of a run that is a job of a multirun; empty for any other run."""
    if not HydraConfig.initialized() or HydraConfig.get().mode is not RunMode.MULTIRUN:
        return {}
    hydra = HydraConfig.get()
    sweep = Path(hydra.sweep.dir)
    all_jobs = sweep / "multirun.yaml"
    given = OmegaConf.load(all_jobs).hydra.overrides.task if all_jobs.is_file() else []
    parsed = OverridesParser.create().parse_overrides([*given])
    common = {override.get_key_element() for override in parsed if not override.is_sweep_override()}
    own = (override for override in hydra.overrides.task if override.partition("=")[0] not in common)
    name = " ".join([str(hydra.job.num), *own])
    # An id of its own, because WANDB_RUN_ID would be that of every job.
    return {"group": sweep.name, "name": name[:_LONGEST_NAME], "id": secrets.token_hex(4)}


def _command() -> str | None:
    """The command that repeats this run, also if it is a job of a multirun; None outside of a script."""
    if not HydraConfig.initialized():
        return None
    hydra = HydraConfig.get()
    return f"{command_line('train')} {shlex.join(hydra.overrides.task)}"


def _commit() -> str | None:
    """The commit of this code, with `-dirty` behind it if it was changed since; None if it is in no repository."""
    file = Path(__file__).resolve()
    for options in (
        ["ls-files", "--error-unmatch", file.name],
        ["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
    ):
        try:
            done = subprocess.run(["git", *options], cwd=file.parent, capture_output=True, text=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            return None
    return done.stdout.strip()


@contextmanager
def _kept_in(folder: Path) -> Iterator[None]:
    """Lets W&B copy what a table holds into `folder`, where it is found when the run is uploaded; it would copy it into
    the user's home, and leave it there.
    """
    variable = "WANDB_DATA_DIR"
    if variable in os.environ:
        yield
        return
    os.environ[variable] = str(folder)
    try:
        yield
    finally:
        del os.environ[variable]
