"""How a command runs: Hydra composes, and a user's mistake ends in one sentence and exit code 1.

Nothing here imports PyTorch.
"""

import functools
import logging
import os
import pkgutil
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, MissingMandatoryValue, OmegaConfBaseException

import colorization
from colorization.commands.arguments import Grammar
from colorization.config.resolvers import register
from colorization.errors import ColorizationError, ConfigError, did_you_mean, shown
from colorization.sweeps.jobs import attempt, closing

# In the wheel conf/ is colorization.conf; in a checkout it lies beside the package.
_PACKAGE = Path(__file__).parent.parent
CONF = next(folder for folder in (_PACKAGE / "conf", _PACKAGE.parent / "conf") if folder.is_dir())
_FULL_ERROR = "HYDRA_FULL_ERROR"
# The extras that bring what the presets in conf/sweep choose.
_PLUGINS = {
    "hydra/sweeper/optuna": "optuna",
    "hydra/launcher/joblib": "joblib",
    "hydra/launcher/submitit_slurm": "submitit",
    "hydra/launcher/submitit_local": "submitit",
}
_SWEEPS = {f"sweep={preset}" for preset in ("optuna", "joblib", "submitit")}
# At once, not in a script's main function: the processes that launchers of sweeps start have no such function.
register()


@dataclass(frozen=True)
class Command:
    """A command: the root of its configuration, and what runs once that is composed.

    Args:
        name: of the root in conf/.
        run: `MODULE:FUNCTION`, a function of the composed configuration. Its module is imported after composing, so
            that help and a mistyped option do not wait for PyTorch.
        grammar: what its words mean.
        close_sweep: `MODULE:FUNCTION`, called with a multirun's folder when its jobs are over, whether they failed or
            not; None lets the first job that fails end the multirun.
    """

    name: str
    run: str
    grammar: Grammar
    close_sweep: str | None = None

    def __call__(self) -> None:
        """Runs the command with the words of `sys.argv`."""
        _quiet()
        asked_for_traceback = os.environ.get(_FULL_ERROR, "0") not in ("", "0")
        # Hydra then raises its errors instead of printing them.
        with _environment(_FULL_ERROR, "1"), one_sentence(asked_for_traceback):
            if "--version" in sys.argv[1:]:
                print(f"colorization {colorization.__version__}")
                return
            sys.argv[1:] = self.grammar.to_overrides(sys.argv[1:])
            if any(word in _SWEEPS for word in sys.argv):
                sys.argv.insert(1, "--multirun")
            task = _Task(self.run, asked_for_traceback, self.close_sweep is not None)
            with closing(self._close) if self.close_sweep is not None else nullcontext():
                hydra.main(version_base="1.3", config_path=str(CONF), config_name=self.name)(task)()

    def _close(self, folder: Path) -> None:
        assert self.close_sweep is not None
        pkgutil.resolve_name(self.close_sweep)(folder)


class _Task:
    """A command's function, as Hydra and its launchers call it. It can be pickled: it names the function.

    Args:
        function: `MODULE:FUNCTION`.
        asked_for_traceback: whether a user's mistake is to show one.
        sweeps: whether a job of a multirun may fail without ending the others.
    """

    def __init__(self, function: str, asked_for_traceback: bool, sweeps: bool) -> None:
        self.__module__, _, self.__name__ = function.partition(":")  # where Hydra takes the job's name from
        self.function = function
        self.asked_for_traceback = asked_for_traceback
        self.sweeps = sweeps

    def __call__(self, config: DictConfig) -> Any:
        _quiet()  # also in the processes of a launcher
        # Processes that the trainer launches are to see what the user had set.
        with _environment(_FULL_ERROR, "1" if self.asked_for_traceback else None):
            if self.sweeps and HydraConfig.get().mode is RunMode.MULTIRUN:
                return attempt(functools.partial(self._run, config), self._sentence)
            with one_sentence(self.asked_for_traceback):
                return self._run(config)

    def _run(self, config: DictConfig) -> Any:
        return pkgutil.resolve_name(self.function)(config)

    def _sentence(self, error: Exception) -> str | None:
        return None if self.asked_for_traceback else _sentence_of_mistake(error)


@contextmanager
def one_sentence(asked_for_traceback: bool = False) -> Iterator[None]:
    """Ends the program with one sentence and exit code 1 on a user's mistake, unless a traceback is asked for.

    Ctrl-C ends it with exit code 130, as a shell has it for a program that an interrupt ended.
    """
    try:
        yield
    except KeyboardInterrupt as stop:
        print(f"Stopped{f': {stop}' if stop.args else ''}", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        sentence = _sentence_of_mistake(error)
        if asked_for_traceback or sentence is None:
            raise
        sys.exit(f"Error: {shown(sentence)}")


def _sentence_of_mistake(error: Exception) -> str | None:
    """One sentence for a user's mistake; None for any other error."""
    # The system's errors are one if they name a file: no such folder, no permission, disk full.
    if isinstance(error, ColorizationError | HydraException | OmegaConfBaseException) or (
        isinstance(error, OSError) and error.filename is not None
    ):
        return explain(error)
    return None


@contextmanager
def _environment(name: str, value: str | None) -> Iterator[None]:
    """Sets an environment variable, or takes it away, for a while."""
    before = os.environ.pop(name, None)
    if value is not None:
        os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name, None)
        if before is not None:
            os.environ[name] = before


def explain(error: BaseException) -> str:
    """One sentence for a user's mistake: what is wrong where, and what was perhaps meant."""
    if isinstance(error, ColorizationError):
        # What was raised in a loader process comes as that process's traceback, whose last line ends in the message.
        from_loader = str(error).startswith("Caught ")
        return str(error).strip().splitlines()[-1].partition(": ")[2] if from_loader else str(error)
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, MissingConfigException) and error.missing_cfg_file in _PLUGINS:
        extra = _PLUGINS[error.missing_cfg_file]
        return f"{error.missing_cfg_file} needs a plugin of Hydra: pip install 'colorization[{extra}]'"
    if isinstance(error, MissingConfigException) and error.options and error.missing_cfg_file:
        group, _, name = error.missing_cfg_file.partition("/")
        return f"{group}={name} does not exist{did_you_mean(name, error.options)}"
    if isinstance(error, OverrideParseException):
        key, equals, value = error.override.partition("=")
        if not equals:
            return f"{error.override} is no KEY=VALUE: say what it is, for instance data.root=FOLDER or input=PICTURE"
        return f"""{error.override} can't be read: write '{key}="{value}"', with both kinds of quotes"""
    for cause in (error, error.__cause__, error.__context__):
        if isinstance(cause, ConfigKeyError | ConfigAttributeError) and cause.full_key:
            parent = cause.parent_node
            valid = [str(key) for key in parent] if isinstance(parent, DictConfig) else []
            if cause.full_key == "sweep":
                return (
                    "sweep takes optuna, joblib or submitit and has no keys; conf/sweep/wandb.yaml is for W&B's own "
                    "command: wandb sweep conf/sweep/wandb.yaml"
                )
            if cause.full_key == "data.root":
                return "data.root belongs to data=folder, data=shards and data=torchvision: choose one of them as well"
            if cause.full_key.startswith(("hydra.launcher.", "hydra.sweeper.")) and not _SWEEPS & set(sys.argv):
                return f"{cause.full_key} belongs to a sweep: give sweep=joblib, submitit or optuna as well"
            if isinstance(parent, DictConfig) and _is_accepted(str(cause.key), parent):
                return f"{cause.full_key} has no value in conf/ to be changed: add one with +{cause.full_key}=VALUE"
            return f"{cause.full_key} is not an option{did_you_mean(str(cause.key), valid)}"
        if isinstance(cause, MissingMandatoryValue):
            return f"{cause.full_key} is missing: give {cause.full_key}=VALUE on the command line"
        if isinstance(cause, OmegaConfBaseException):
            if "is not a ListConfig" in str(cause.msg or cause):
                return f"{cause.full_key} takes a list, also of one: write '{cause.full_key}=[A,B]'"
            key = f"{cause.full_key}: " if cause.full_key else ""
            return key + str(cause.msg or cause).splitlines()[0]
    if "Ambiguous value" in str(error):
        return (
            f"{str(error).splitlines()[0]}: put several values of one run in brackets, as in "
            "'callbacks=[default,ema]', or add -m to make a run for each"
        )
    return " ".join(line.strip() for line in str(error).splitlines() if line.strip())


def _is_accepted(key: str, node: DictConfig) -> bool:
    try:
        from colorization.config.instantiate import TRUSTED_PACKAGES, locate, parameters

        target = node.get("_target_")
        return target is not None and key in parameters(locate(target, "_target_", TRUSTED_PACKAGES))
    except ConfigError:  # Hydra's own parts
        return False


def _quiet() -> None:
    """Silences remarks of libraries that a user can do nothing about."""
    for name in ("pytorch_lightning", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message=".*is smaller than the logging interval.*")
    warnings.filterwarnings("ignore", message=".*Using `DistributedSampler` with the dataloaders.*")
    warnings.filterwarnings("ignore", message=".*your dataloader is not resumable.*")  # its sampler is
    warnings.filterwarnings("ignore", message=".*The dirpath has changed from.*")
    warnings.filterwarnings("ignore", message=".*exists and is not empty.*")
    warnings.filterwarnings("ignore", message=".*module\\(s\\) in eval mode.*")
    warnings.filterwarnings("ignore", message=".*does not have many workers.*")
    warnings.filterwarnings("ignore", message=".*`isinstance\\(treespec, LeafSpec\\)` is deprecated.*")
