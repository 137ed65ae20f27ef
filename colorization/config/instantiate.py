"""From a composed configuration to objects: every key and value is checked, and there is one `instantiate`.

The signature of what a `_target_` names is the schema of its node: `resolve` validates every key and value against it.
A new backbone or decoder brings its own schema along.
"""

import functools
import inspect
import pydoc
import typing
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pydantic
from omegaconf import DictConfig, OmegaConf

from colorization.config.mistakes import what_was_meant
from colorization.errors import ColorizationError, ConfigError, first_line

# What a `_target_` may name. What a checkpoint may name, see `colorization.checkpoints.stored_config`.
TRUSTED_PACKAGES = ("colorization", "torch", "torchvision", "torchmetrics", "pytorch_lightning")

_OWN_KEYS = {"_target_", "_partial_"}


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
            raise ConfigError(
                f"{path}.{key} is not an option of {target.__name__}{what_was_meant(key, accepted, accepted)}"
            )
        if not isinstance(checked[key], Mapping):
            checked[key] = _converted(checked[key], accepted[key], f"{path}.{key}")
    return checked


def locate(name: Any, path: str, packages: tuple[str, ...]) -> Callable[..., Any]:
    """The class or function that `name` names, if it belongs to one of `packages`.

    Raises:
        ConfigError: it belongs elsewhere (also by way of an import in one of the packages), or does not exist.
    """
    refusal = ConfigError(f"{path}={name} is refused: only {', '.join(packages)} may be named here")
    if not isinstance(name, str) or not _is_within(name, packages):
        raise refusal
    try:
        found = pydoc.locate(name)
    except pydoc.ErrorDuringImport as error:
        raise ConfigError(f"{path}={name} can't be imported: {first_line(error)}") from error
    if found is None:
        raise ConfigError(f"{path}={name} does not exist")
    if not callable(found):
        raise ConfigError(f"{path}={name} is neither a class nor a function")
    if not _is_within(str(getattr(found, "__module__", "")), packages):
        raise refusal
    return found


def _is_within(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


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
