"""Configuration: the schema of each command, the resolvers, the check of every key, and the one `instantiate`.

A command's root is a dataclass, so that Hydra refuses an unknown key or a value of the wrong type there. Below the
root, the signature of what a `_target_` names is the schema: `resolve` holds every key and value against it. A new
backbone or decoder so brings its own schema along.
"""

import difflib
import functools
import inspect
import os
import pydoc
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pydantic
import torch
from omegaconf import MISSING, DictConfig, OmegaConf

from colorization.errors import ColorizationError, ConfigError, first_line
from colorization.sweeps.presets import gpu_of_job, optuna_direction

# What a `_target_` may name. A checkpoint, which may come from a stranger, may only name what is ours.
TRUSTED_PACKAGES = ("colorization", "torch", "torchvision", "torchmetrics", "pytorch_lightning")
CHECKPOINT_PACKAGES = ("colorization",)

_OWN_KEYS = {"_target_", "_partial_"}
_MORE_IS_BETTER = {"psnr", "ssim", "auc", "auc_rebalanced", "colorfulness", "colorfulness_abs"}
_Node = dict[str, Any]


def _group() -> Any:
    return field(default_factory=dict)


@dataclass
class TrainConfig:
    """The root of `train.py`."""

    backbone: _Node = _group()
    decoder: _Node = _group()
    objective: _Node = _group()
    data: _Node = _group()
    optimizer: _Node = _group()
    scheduler: _Node = _group()
    trainer: _Node = _group()
    callbacks: _Node = _group()
    logger: _Node = _group()
    paths: _Node = _group()
    monitor: str = "val/loss"
    monitor_mode: str = MISSING
    seed: int = 0
    ckpt_path: str | None = None


@dataclass
class EvaluateConfig:
    """The root of `evaluate.py`."""

    checkpoint: str | None = None
    compare: list[str] | None = None
    protocol: _Node = _group()
    resolution: int | None = None
    temperature: float | None = None
    metrics: list[str] | None = None
    lpips_weights: str | None = None
    fid_weights: str | None = None
    data: _Node = _group()
    split: str | None = None
    panel_pictures: int = 8
    trainer: _Node = _group()
    paths: _Node = _group()
    seed: int = 0


@dataclass
class PredictConfig:
    """The root of `predict.py`."""

    checkpoint: str = MISSING
    input: list[str] = MISSING
    output: str = "colorized"
    recursive: bool = True
    suffix: str | None = None
    format: str | None = None
    quality: int | None = None
    compare: bool = False
    overwrite: bool = False
    resolution: int | None = None
    saturation: float = 1.0
    temperature: float | None = None
    device: str = "auto"
    batch_size: int = 8
    max_pixels: int = 200_000_000


@dataclass
class AuditThresholds:
    """What counts as a finding of an audit; see conf/audit.yaml."""

    tiny: int = 64
    sepia: float = 2.0
    low_color: float = 7.5
    near_duplicate: int = 4


@dataclass
class AuditConfig:
    """The root of `python -m colorization.data.audit`."""

    data: _Node = _group()
    split: str = "all"
    exclude: list[str] = field(default_factory=list)
    thresholds: AuditThresholds = field(default_factory=AuditThresholds)
    paths: _Node = _group()


@dataclass
class PrepareConfig:
    """The root of `python -m colorization.data.prepare`."""

    source: str = MISSING
    target: str = MISSING
    size: int = 256
    quality: int = 95
    photos_per_shard: int = 1000
    val_share: float = 0.1
    num_workers: int = MISSING


@dataclass
class ExportConfig:
    """The root of `python -m colorization.export`."""

    checkpoint: str = MISSING
    format: str = "safetensors"
    output: str | None = None
    overwrite: bool = False


def register() -> None:
    """Makes schemas and resolvers known to Hydra. To be called before composing."""
    from hydra.core.config_store import ConfigStore  # not above: inference does without Hydra

    store = ConfigStore.instance()
    store.store(name="train_schema", node=TrainConfig)
    store.store(name="evaluate_schema", node=EvaluateConfig)
    store.store(name="predict_schema", node=PredictConfig)
    store.store(name="audit_schema", node=AuditConfig)
    store.store(name="prepare_schema", node=PrepareConfig)
    store.store(name="export_schema", node=ExportConfig)
    OmegaConf.register_new_resolver("fastest_precision", fastest_precision, replace=True)
    OmegaConf.register_new_resolver("usable_cores", usable_cores, replace=True)
    OmegaConf.register_new_resolver("better", better, replace=True)
    OmegaConf.register_new_resolver("optuna_direction", optuna_direction, replace=True)
    OmegaConf.register_new_resolver("gpu_of_job", gpu_of_job, replace=True)


def fastest_precision(accelerator: str) -> str:
    """Mixed precision where the hardware has it, for a Trainer's `accelerator`.

    bfloat16 on a GPU or CPU that computes in it, float16 on an older NVIDIA GPU, float32 elsewhere. (On a CPU without
    bfloat16 instructions autocast may be slower than float32.)
    """
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "16-mixed"
    on_cpu = accelerator == "cpu" or (accelerator == "auto" and not torch.backends.mps.is_available())
    capabilities = torch.cpu.get_capabilities() if on_cpu else {}
    return "bf16-mixed" if capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") else "32-true"


def better(metric: str) -> str:
    """Whether more of a logged metric is better (`max`) or less (`min`)."""
    return "max" if metric.rpartition("/")[2].removeprefix("gray_") in _MORE_IS_BETTER else "min"


def usable_cores(most: int) -> int:
    """The number of processor cores that this process may use, `most` at the most."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, most)


def resolve(config: DictConfig) -> dict[str, Any]:
    """A composed configuration as a plain dict: interpolations resolved, every key and value checked.

    Raises:
        ConfigError: a key is unknown to what it configures, or a value has the wrong type.
        omegaconf.errors.OmegaConfBaseException: a value is missing, or an interpolation leads nowhere.
    """
    plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    assert isinstance(plain, dict)
    _refuse_empty(plain, "")
    return {str(key): _check(value, str(key), TRUSTED_PACKAGES) for key, value in plain.items()}


def _refuse_empty(value: Any, path: str) -> None:
    """An empty value is mostly an unset shell variable, and an empty path would mean the current folder."""
    if value == "":
        raise ConfigError(f"{path}= is empty: give a value, or null for none")
    items = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        _refuse_empty(item, f"{path}.{key}".removeprefix("."))


def instantiate(
    node: Mapping[str, Any], path: str, packages: tuple[str, ...] = TRUSTED_PACKAGES, **arguments: Any
) -> Any:
    """Builds what a node's `_target_` names, and what the nodes below it name. The only place where a configuration
    turns into objects. Strings are taken as they are: Hydra's own `instantiate` would resolve interpolations in them,
    and so run what a stranger's checkpoint says.

    Args:
        node: a plain node with `_target_`; with `_partial_: true`, the result waits for more arguments.
        path: where it stands in the configuration, for messages.
        packages: the packages that a `_target_` may name.
        arguments: passed on besides the node's own.

    Raises:
        ConfigError: `_target_` is missing, foreign or unknown, or refuses its arguments.
    """
    if "_target_" not in node:
        raise ConfigError(f"{path} names nothing to build: choose another option, or give it a _target_")
    return _build(_check(node, path, packages), path, packages, arguments)


def _build(value: Any, path: str, packages: tuple[str, ...], arguments: Mapping[str, Any] | None = None) -> Any:
    if isinstance(value, list):
        return [_build(item, f"{path}.{index}", packages) for index, item in enumerate(value)]
    if not isinstance(value, Mapping):
        return value
    options = {key: _build(item, f"{path}.{key}", packages) for key, item in value.items() if key not in _OWN_KEYS}
    if "_target_" not in value:
        return options
    target = locate(value["_target_"], f"{path}._target_", packages)
    if value.get("_partial_"):
        return functools.partial(target, **options, **(arguments or {}))
    try:
        return target(**options, **(arguments or {}))
    except ColorizationError:
        raise
    except Exception as error:  # whatever a library's constructor raises about the options it was given
        raise ConfigError(f"{path} can't be built as configured: {first_line(error)}") from error


def did_you_mean(key: str, valid: Iterable[str]) -> str:
    """The end of a message about an unknown key: what was perhaps meant, and all that is valid."""
    names = sorted(name for name in valid if name not in _OWN_KEYS)
    close = difflib.get_close_matches(key, names, n=3, cutoff=0.6)
    hint = f"; did you mean {' or '.join(close)}?" if close else ","
    return f"{hint} valid are {', '.join(names) or 'none'}"


def _check(value: Any, path: str, packages: tuple[str, ...]) -> Any:
    """`value` with every node below it held against the signature of its `_target_`, and converted to its types."""
    if isinstance(value, list):
        return [_check(item, f"{path}.{index}", packages) for index, item in enumerate(value)]
    if not isinstance(value, Mapping):
        return value
    checked = {str(key): _check(item, f"{path}.{key}", packages) for key, item in value.items()}
    if "_target_" not in checked:
        return checked
    target = locate(checked["_target_"], f"{path}._target_", packages)
    accepted = parameters(target)
    for key in checked.keys() - _OWN_KEYS:
        if key not in accepted:
            raise ConfigError(f"{path}.{key} is not an option of {target.__name__}{did_you_mean(key, accepted)}")
        if not isinstance(checked[key], Mapping):
            checked[key] = _converted(checked[key], accepted[key], f"{path}.{key}")
    return checked


def locate(name: Any, path: str, packages: tuple[str, ...]) -> Callable[..., Any]:
    """The class or function that `name` names, if it belongs to one of `packages`.

    Raises:
        ConfigError: it belongs elsewhere (also by way of an import in one of the packages), or does not exist.
    """
    refusal = ConfigError(f"{path}={name} is refused: only {', '.join(packages)} may be named here")
    if not isinstance(name, str) or name.split(".")[0] not in packages:
        raise refusal
    try:
        found = pydoc.locate(name)
    except pydoc.ErrorDuringImport as error:
        raise ConfigError(f"{path}={name} can't be imported: {first_line(error)}") from error
    if found is None:
        raise ConfigError(f"{path}={name} does not exist")
    if not callable(found):
        raise ConfigError(f"{path}={name} is neither a class nor a function")
    if str(getattr(found, "__module__", "")).split(".")[0] not in packages:
        raise refusal
    if packages == CHECKPOINT_PACKAGES and not (isinstance(found, type) and issubclass(found, torch.nn.Module)):
        raise ConfigError(f"{path}={name} is refused: a checkpoint may only name parts of networks")
    return found


@cache
def parameters(target: Callable[..., Any]) -> dict[str, Any]:
    """The names that `target` takes, each with its type (`Any` where it has none).

    A class that takes `**options` hands them to its base class, whose names so count too.
    """
    function = target.__init__ if inspect.isclass(target) else target
    try:
        hints = typing.get_type_hints(function)
    except (NameError, TypeError):
        hints = {}
    accepted: dict[str, Any] = {}
    takes_more = False
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            takes_more = True
        elif parameter.kind is not parameter.VAR_POSITIONAL and parameter.name != "self":
            accepted[parameter.name] = hints.get(parameter.name, Any)
    if takes_more and inspect.isclass(target) and target.__mro__[1] is not object:
        accepted = parameters(target.__mro__[1]) | accepted
    return accepted


def _converted(value: Any, annotation: Any, path: str) -> Any:
    try:
        adapter = pydantic.TypeAdapter(annotation, config=pydantic.ConfigDict(arbitrary_types_allowed=True))
    except pydantic.errors.PydanticUserError:
        return value  # an annotation that pydantic has no schema for is left to the target itself
    except TypeError:
        adapter = pydantic.TypeAdapter(annotation)
    try:
        converted = adapter.validate_python(value)
    except pydantic.ValidationError as error:
        reasons = dict.fromkeys(detail["msg"].removeprefix("Input ") for detail in error.errors())
        raise ConfigError(f"{path}={value}: the value {', or '.join(reasons)}") from error
    return list(converted) if isinstance(converted, tuple) else converted


def save(config: dict[str, Any], path: Path) -> None:
    """Writes a plain configuration as YAML."""
    path.parent.mkdir(parents=True, exist_ok=True)
    OmegaConf.save(OmegaConf.create(config), path)
