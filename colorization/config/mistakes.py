"""One sentence for a user's mistake: what is wrong, where, and what to type. Does not import PyTorch."""

import difflib
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, MissingMandatoryValue, OmegaConfBaseException
from yaml import MarkedYAMLError

from colorization.compat.omegaconf import root_of
from colorization.config.declared import declared
from colorization.errors import ColorizationError, ConfigError, did_you_mean, shown
from colorization.runtime.installation import command_line, install_hint

# The extras of the presets in conf/sweep.
_PLUGINS = {
    "hydra/launcher/joblib": "joblib",
    "hydra/launcher/submitit_slurm": "submitit",
    "hydra/launcher/submitit_local": "submitit",
}
SWEEPS = frozenset(f"sweep={preset}" for preset in ("optuna", "joblib", "submitit"))
# Names of options in other projects, by their names here.
_ELSEWHERE = {
    "batch_size": ("batch", "batchsize", "bs", "b"),
    "ckpt_path": ("resume", "resume_from", "resume_from_checkpoint"),
    "devices": ("gpu", "gpus", "num_gpus", "n_gpus", "num_devices"),
    "lr": ("learning_rate", "learningrate", "base_lr"),
    "max_epochs": ("epoch", "epochs", "num_epochs", "n_epochs", "e"),
    "num_workers": ("workers", "nworkers", "n_workers", "jobs", "j"),
    "precision": ("amp", "fp16", "bf16"),
    "root": ("data_dir", "data_root", "dataset_path"),
    "size": ("image_size", "img_size", "imgsz", "crop_size"),
    "weight_decay": ("wd",),
}
_HERE = {word: name for name, words in _ELSEWHERE.items() for word in words}
# A group and the name of an option in it, as in `callbacks/ema`.
_MEMBER = re.compile(r"((?:hydra/)?[^/]+)/(.+)")


@contextmanager
def one_sentence(asked_for_traceback: bool = False) -> Iterator[None]:
    """Ends the program with one sentence and exit code 1 on a user's mistake, unless a traceback is asked for.

    Ctrl-C ends it with exit code 130, as is usual for an interrupted program.
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
    # An OSError with a file name is one: missing folder, no permission, full disk. So is an error in a YAML file.
    if (
        isinstance(error, ColorizationError | HydraException | OmegaConfBaseException)
        or (isinstance(error, OSError) and error.filename is not None)
        or (isinstance(error, MarkedYAMLError) and error.problem_mark is not None)
    ):
        return explain(error)
    return None


def explain(error: BaseException) -> str:
    """One sentence for a user's mistake: what is wrong, where, and what to type."""
    if isinstance(error, ColorizationError):
        # An exception of a loader process is its traceback as text, with the message at the end of the last line.
        from_loader = str(error).startswith("Caught ")
        return str(error).strip().splitlines()[-1].partition(": ")[2] if from_loader else str(error)
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    if isinstance(error, MarkedYAMLError) and (mark := error.problem_mark) is not None:
        is_twice = "duplicate key" in str(error.problem)
        advice = "name each key once" if is_twice else "look for a missing bracket, quote, space or indent"
        return f"{os.path.relpath(mark.name)}, line {mark.line + 1}: is not valid YAML: {error.problem}; {advice}"
    if isinstance(error, MissingConfigException) and error.missing_cfg_file in _PLUGINS:
        extra = _PLUGINS[error.missing_cfg_file]
        return f"{error.missing_cfg_file} needs a plugin of Hydra: {install_hint(extra)}"
    if isinstance(error, MissingConfigException) and (found := _MEMBER.fullmatch(error.missing_cfg_file or "")):
        group, name = found.groups()
        if group == "data" and Path(name).expanduser().is_dir():
            return f"data={name} is a folder: give data=folder data.root={name}"
        return f"{group}={name} does not exist{did_you_mean(name, error.options or _files_of(group, error))}"
    if isinstance(error, OverrideParseException):
        key, equals, value = error.override.partition("=")
        if not equals:
            return f"{error.override} is not KEY=VALUE: give for example data=folder data.root=FOLDER, or input=PICTURE"
        return f"""{error.override} can't be read: write '{key}="{value}"', with both kinds of quotes"""
    for cause in (error, error.__cause__, error.__context__):
        if isinstance(cause, ConfigKeyError | ConfigAttributeError) and cause.full_key:
            parent = cause.parent_node
            valid = [str(key) for key in parent] if isinstance(parent, DictConfig) else []
            if sentence := _of_a_choice(cause.full_key):
                return sentence
            if cause.full_key.startswith("data.") and isinstance(parent, DictConfig) and "_target_" not in parent:
                return f"{cause.full_key} belongs to a source of photos: give one, such as data=folder data.root=PHOTOS"
            everywhere = options_of(root_of(parent)) if isinstance(parent, DictConfig) else {}
            is_typo = bool(difflib.get_close_matches(str(cause.key), valid, cutoff=0.8)) or same_option(
                str(cause.key), everywhere
            )
            if not is_typo and isinstance(parent, DictConfig) and _is_accepted(str(cause.key), parent):
                return f"{cause.full_key} is not in conf/: add it with +{cause.full_key}=VALUE"
            return f"{cause.full_key} is not an option{what_was_meant(str(cause.key), valid, everywhere)}"
        if isinstance(cause, MissingMandatoryValue):
            return _of_missing(str(cause.full_key))
        if isinstance(cause, OmegaConfBaseException):
            if "is not a ListConfig" in str(cause.msg or cause):
                return f"{cause.full_key} takes a list, also for one value: write '{cause.full_key}=[A,B]'"
            key = f"{cause.full_key}: " if cause.full_key else ""
            return key + str(cause.msg or cause).splitlines()[0]
    if "Ambiguous value" in str(error):
        return (
            f"{str(error).splitlines()[0]}: put several values of one run in brackets, as in "
            "'callbacks=[default,ema]', or add -m for one run each"
        )
    return " ".join(line.strip() for line in str(error).splitlines() if line.strip())


def _files_of(group: str, error: MissingConfigException) -> set[str]:
    """The options of a group, from the search path in Hydra's message: it tells no options for a list of a group."""
    folders = re.findall(r"path=file://(.+)", str(error))
    return {path.stem for folder in folders for path in Path(folder, group).glob("*.yaml")}


def _of_missing(full_key: str) -> str:
    if full_key == "input":
        return f"{full_key} is missing: name a picture or a folder, as in {command_line('predict')} photo.jpg"
    return f"{full_key} is missing: give {full_key}=VALUE on the command line"


def _of_a_choice(key: str) -> str | None:
    """What has to be chosen before there is such a key; None if the key belongs to no choice."""
    if key == "sweep":
        return (
            f"{key} takes optuna, joblib or submitit and has no keys; for a sweep of W&B, type wandb sweep "
            "conf/sweep/wandb.yaml"
        )
    if key == "data.root":
        return f"{key} belongs to data=folder, data=shards and data=torchvision: choose one of them, too"
    if re.fullmatch(r"hydra\.(launcher|sweeper)\..+", key) and not SWEEPS & set(sys.argv):
        return f"{key} belongs to a sweep: give sweep=joblib, submitit or optuna, too"
    return None


def _is_accepted(key: str, node: DictConfig) -> bool:
    target = node.get("_target_")
    if target is None:
        return False
    if signature := declared(target):
        return key in signature.accepted
    from colorization.config.instantiate import locate, parameters

    try:
        return key in parameters(locate(target, "_target_"))
    except ConfigError:  # Hydra's own parts
        return False


def options_of(node: Any, path: str = "") -> dict[str, Any]:
    """All options of a configuration by full name, with their values; interpolations are not resolved."""
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
    """The full names of options whose last part is that of `key`, or a synonym of it."""
    word = key.rpartition(".")[2].lower().replace("-", "_")
    return [name for name in options if name.rpartition(".")[2] in (word, _HERE.get(word))]


def what_was_meant(key: str, siblings: Iterable[str], everywhere: Iterable[str]) -> str:
    """The end of a message about an unknown key: an option of that name in another place, or with a similar name.

    Args:
        key: the typed key, without its groups.
        siblings: the valid keys in its place.
        everywhere: the full names of all options.
    """
    siblings, everywhere = list(siblings), list(everywhere)
    found = same_option(key, everywhere)
    if not found and not difflib.get_close_matches(key, siblings):
        words = difflib.get_close_matches(key, {name.rpartition(".")[2] for name in everywhere}, cutoff=0.75)
        found = [name for word in words for name in everywhere if name.rpartition(".")[2] == word]
    return f"; did you mean {' or '.join(found[:3])}?" if found else did_you_mean(key, siblings)


def check_composed(config: DictConfig) -> None:
    """Checks what can be checked without PyTorch: unknown keys of the root, which `+KEY=VALUE` can add, and missing
    values.

    Raises:
        ConfigError: a key is unknown, or a value is missing.
    """
    options = options_of(config)
    root: Any = OmegaConf.get_type(config)
    known = [field.name for field in fields(root)]
    for key in map(str, config):
        if key not in known:
            raise ConfigError(f"{key} is not an option{what_was_meant(key, known, options.keys() - {key})}")
    for key, value in options.items():
        if value == MISSING:
            raise ConfigError(_of_missing(key))
