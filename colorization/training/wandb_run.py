"""A run on Weights & Biases. Imported only with logger=wandb."""

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

from colorization.checkpoints.finding import CHECKPOINTS, LAST
from colorization.checkpoints.network import ENTRY, read_checkpoint
from colorization.compat.lightning import continue_wandb_run, has_begun, is_spawned, wandb_options
from colorization.errors import ConfigError, first_line
from colorization.runtime.installation import command_line
from colorization.training.loggers import RunLogger

# The entry of a checkpoint for resuming a run on W&B.
WANDB_ENTRY = "wandb_run"
# Options in the metadata of a checkpoint's artifact.
_ESSENTIALS = ("backbone", "decoder", "objective", "optimizer", "monitor", "seed")
# Maximum length of a run's name on W&B.
_LONGEST_NAME = 128


class WandbRun(WandbLogger, RunLogger):
    """A run on Weights & Biases: online if W&B is configured, otherwise offline, for a later upload. See docs/wandb.md
    for what it logs.

    Args:
        folder: the run's folder. W&B keeps its files there.
        project: the project on W&B.
        entity: user or team of the project; None: as W&B is configured.
        group: W&B's group; None: the folder of a multirun.
        job_type: W&B's job type.
        tags: W&B's tags.
        name: name of the run; None: its folder, or for a job of a multirun its number and the options that differ.
        mode: `auto`, `online` or `offline`. `auto` uses the variable WANDB_MODE if it is set; otherwise it is online if
            a key is configured.
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
        self._earlier: list[str] = []  # folders with earlier parts of the run
        self._best: tuple[str, float] | None = None  # path and score
        job = _job_of_multirun()
        self._is_job = bool(job)
        # Not WandbLogger's `offline`, which sets WANDB_MODE for the whole process.
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
        wandb_options(self).pop("anonymous", None)  # W&B warns of this option even if it is not set

    def resume(self, checkpoint: Mapping[str, Any], path: Path) -> None:
        """Continues the run that wrote the checkpoint. Jobs of a multirun that start from the same checkpoint are
        separate runs.
        """
        state = checkpoint.get(WANDB_ENTRY)
        if not isinstance(state, dict) or (self._is_job and self.folder not in path.resolve().parents):
            return
        # The checkpoint may come from a stranger: its folders are found by name, in its run's folder and in this one.
        run_id, names = str(state.get("id")), state.get("folders")
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", run_id):
            return
        continue_wandb_run(self, run_id)
        wandb_options(self)["name"] = self._chosen_name  # the run has a name already
        for folder in dict.fromkeys((path.resolve().parent.parent, self.folder)):
            there = {part.name: str(part) for part in _offline_parts(folder, run_id)}
            self._earlier += [
                there[name] for name in map(_last_part, names if isinstance(names, list) else ()) if name in there
            ]

    def state(self) -> dict[str, Any]:
        """The run's id, and the names of its offline folders, oldest first."""
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
            os.environ["WANDB_DIR"] = str(self.folder)  # otherwise W&B would write into the current folder
        with _in_words():
            run: Any = super().experiment
        if begins:
            run.define_metric("pictures")  # a second x-axis
        return run

    @rank_zero_only
    def log_hyperparams(self, params: Mapping[str, Any]) -> None:  # type: ignore[override]
        """Logs a configuration, with the commit of the code and the command line."""
        code = {"commit": _commit(), "command": _command()}
        super().log_hyperparams({**params, "code": {key: value for key, value in code.items() if value}})

    @rank_zero_only
    def log_summary(self, values: Mapping[str, Any]) -> None:
        """Logs values of the run as a whole: columns in the table of runs."""
        if self.mode != "disabled":
            self.experiment.summary.update(dict(values))

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Logs values, pictures and tables of a step."""
        with _kept_in(self.folder / "wandb"):
            super().log_metrics(metrics, step)

    def note_best(self, checkpoint: str, score: float) -> None:
        """Records the best checkpoint, and its value of `monitor`."""
        self._best = checkpoint, score

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Uploads best and last checkpoint as versions of one artifact, if the run is online and succeeded."""
        if status != "success" or self.mode != "online":
            return
        with _in_words():
            if self._best is not None:
                self._upload("best", *self._best)
            last = self.folder / CHECKPOINTS / LAST
            if last.is_file():
                self._upload("last", str(last), None)

    def end(self, succeeded: bool) -> None:
        """Ends the run, so that the next job in the same process begins its own."""
        wandb.finish(exit_code=0 if succeeded else 1)

    def _upload(self, alias: str, path: str, score: float | None) -> None:
        checkpoint = read_checkpoint(path)
        config = checkpoint[ENTRY]["config"]
        metadata = {"score": score, "step": checkpoint["global_step"], "epoch": checkpoint["epoch"]}
        metadata |= {key: config[key] for key in _ESSENTIALS if key in config}
        artifact = wandb.Artifact(f"checkpoint-{self.experiment.id}", type="model", metadata=metadata)
        artifact.add_file(path, name=f"{alias}.ckpt", policy="immutable")  # without a copy
        self.experiment.log_artifact(artifact, aliases=[alias])

    def where(self) -> str | None:
        """One line about where to see the run; None if W&B is disabled."""
        if self.mode == "disabled":
            return None
        if self.mode == "online":
            return f"W&B: {self.experiment.url}"
        folders = [folder for folder in self._folders() if Path(folder).is_dir()]
        return f"W&B: offline; upload with: wandb sync {shlex.join(folders)}"


@contextmanager
def _in_words() -> Iterator[None]:
    """Turns W&B's exceptions into a `ConfigError`."""
    try:
        yield
    except wandb.errors.Error as error:
        raise ConfigError(f"W&B: {first_line(error)}; logger.wandb.mode=offline does not need the server") from error


def _offline_parts(folder: Path, run_id: str) -> list[Path]:
    """W&B's offline folders of a run in the run's folder, oldest first."""
    return sorted((folder / "wandb").glob(f"offline-run-*-{glob.escape(run_id)}"))


def _last_part(path: Any) -> str:
    """The name of a folder; older checkpoints store whole paths."""
    return str(path).rpartition("/")[2]


def _is_configured() -> bool:
    """Whether W&B finds a key on this machine, without a prompt or network access."""
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
    # A new id: WANDB_RUN_ID would be the same for every job.
    return {"group": sweep.name, "name": name[:_LONGEST_NAME], "id": secrets.token_hex(4)}


def _command() -> str | None:
    """The command that repeats this run, also for a job of a multirun; None outside of a command."""
    if not HydraConfig.initialized():
        return None
    hydra = HydraConfig.get()
    return f"{command_line('train')} {shlex.join(hydra.overrides.task)}"


def _commit() -> str | None:
    """The commit of this code, with `-dirty` for uncommitted changes; None outside of a repository."""
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
    """Makes W&B store media of tables in `folder`, where the upload finds them, not in the user's home folder."""
    variable = "WANDB_DATA_DIR"
    if variable in os.environ:
        yield
        return
    os.environ[variable] = str(folder)
    try:
        yield
    finally:
        del os.environ[variable]
