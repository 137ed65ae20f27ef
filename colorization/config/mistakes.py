"""A user's mistake becomes one sentence: what is wrong, where, and what was perhaps meant. Imports no PyTorch."""

import difflib
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from typing import Any

from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, MissingMandatoryValue, OmegaConfBaseException

from colorization.compat.omegaconf import root_of
from colorization.errors import ColorizationError, ConfigError, did_you_mean, shown
from colorization.runtime.installation import install_hint

# The extras that bring what the presets in conf/sweep choose.
_PLUGINS = {
    "hydra/sweeper/optuna": "optuna",
    "hydra/launcher/joblib": "joblib",
    "hydra/launcher/submitit_slurm": "submitit",
    "hydra/launcher/submitit_local": "submitit",
}
SWEEPS = {f"sweep={preset}" for preset in ("optuna", "joblib", "submitit")}
# What options are called elsewhere, by their names here.
_ELSEWHERE = {
    "batch_size": ("batch", "batchsize", "bs"),
    "ckpt_path": ("resume", "resume_from", "resume_from_checkpoint"),
    "devices": ("gpu", "gpus", "num_gpus", "n_gpus", "num_devices"),
    "lr": ("learning_rate", "learningrate", "base_lr"),
    "max_epochs": ("epoch", "epochs", "num_epochs", "n_epochs"),
    "num_workers": ("workers", "nworkers", "n_workers", "jobs"),
    "precision": ("amp", "fp16", "bf16"),
    "root": ("data_dir", "data_root", "dataset_path"),
    "size": ("image_size", "img_size", "imgsz", "crop_size"),
    "weight_decay": ("wd",),
}
_HERE = {word: name for name, words in _ELSEWHERE.items() for word in words}


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
        sentence = sentence_of_mistake(error)
        if asked_for_traceback or sentence is None:
            raise
        sys.exit(f"Error: {shown(sentence)}")


def sentence_of_mistake(error: Exception) -> str | None:
    """One sentence for a user's mistake; None for any other error."""
    # The system's errors are one if they name a file: no such folder, no permission, disk full.
    if isinstance(error, ColorizationError | HydraException | OmegaConfBaseException) or (
        isinstance(error, OSError) and error.filename is not None
    ):
        return explain(error)
    return None


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
        return f"{error.missing_cfg_file} needs a plugin of Hydra: {install_hint(extra)}"
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
            if cause.full_key.startswith(("hydra.launcher.", "hydra.sweeper.")) and not SWEEPS & set(sys.argv):
                return f"{cause.full_key} belongs to a sweep: give sweep=joblib, submitit or optuna as well"
            everywhere = options_of(root_of(parent)) if isinstance(parent, DictConfig) else {}
            is_typo = bool(difflib.get_close_matches(str(cause.key), valid, cutoff=0.8)) or same_option(
                str(cause.key), everywhere
            )
            if not is_typo and isinstance(parent, DictConfig) and _is_accepted(str(cause.key), parent):
                return f"{cause.full_key} has no value in conf/ to be changed: add one with +{cause.full_key}=VALUE"
            return f"{cause.full_key} is not an option{what_was_meant(str(cause.key), valid, everywhere)}"
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


def options_of(node: Any, path: str = "") -> dict[str, Any]:
    """All options of a configuration by their whole names, with their values; interpolations as they are written."""
    if isinstance(node, DictConfig):
        node = OmegaConf.to_container(node)
    if not isinstance(node, Mapping) or not node:
        return {} if path.rpartition(".")[2].startswith("_") else {path: node}
    dotted = f"{path}." if path else ""
    return {
        name: value
        for key, below in node.items()
        if path or key != "hydra"
        for name, value in options_of(below, f"{dotted}{key}").items()
    }


def same_option(key: str, options: Iterable[str]) -> list[str]:
    """The options, by their whole names, whose last word is that of `key`, or what is called so elsewhere."""
    word = key.rpartition(".")[2].lower().replace("-", "_")
    return [name for name in options if name.rpartition(".")[2] in (word, _HERE.get(word))]


def what_was_meant(key: str, siblings: Iterable[str], everywhere: Iterable[str]) -> str:
    """The end of a message about an unknown key: an option of that name in another place, or one that is spelled alike.

    Args:
        key: what was typed, without the groups before it.
        siblings: what would be valid in its place.
        everywhere: the whole names of all options.
    """
    siblings, everywhere = list(siblings), list(everywhere)
    found = same_option(key, everywhere)
    if not found and not difflib.get_close_matches(key, siblings):
        words = difflib.get_close_matches(key, {name.rpartition(".")[2] for name in everywhere}, cutoff=0.75)
        found = [name for word in words for name in everywhere if name.rpartition(".")[2] == word]
    return f"; did you mean {' or '.join(found[:3])}?" if found else did_you_mean(key, siblings)


def check_composed(config: DictConfig) -> None:
    """Refuses what can be refused without PyTorch: unknown keys of the root, which Hydra lets `+KEY=VALUE` add, and
    missing values.

    Raises:
        ConfigError: there is one.
    """
    options = options_of(config)
    known = [field.name for field in fields(OmegaConf.get_type(config))]
    for key in config:
        if key not in known:
            raise ConfigError(f"{key} is not an option{what_was_meant(str(key), known, options.keys() - {key})}")
    for key, value in options.items():
        if value == MISSING:
            raise ConfigError(f"{key} is missing: give {key}=VALUE on the command line")
