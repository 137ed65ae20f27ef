"""From a composed configuration to objects: every key and value is validated, and there is one `instantiate`.

The signature of a `_target_` is the schema of its node: `resolve` validates every key and value against it. So a new
backbone or decoder defines its own schema.
"""

import difflib
import functools
import importlib.util
import inspect
import pkgutil
import pydoc
import sys
import typing
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pydantic
from omegaconf import DictConfig, OmegaConf

from colorization.config.declared import Signature, declared
from colorization.config.mistakes import what_was_meant
from colorization.config.resolvers import without_pytorch
from colorization.errors import ColorizationError, ConfigError, first_line

# Allowed prefixes of a `_target_`. Your own YAML may name anything importable (None); for checkpoints, see
# `colorization.checkpoints.stored_config`.
Packages = tuple[str, ...] | None
# From a `_target_`, its key and the allowed packages to its signature; None if it is not known yet.
_Look = Callable[[Any, str, Packages], Signature | None]

_OWN_KEYS = {"_target_", "_partial_"}


def resolve(config: DictConfig) -> dict[str, Any]:
    """A composed configuration as a plain dict, with interpolations resolved and every key and value validated.

    Raises:
        ConfigError: a key is unknown, or a value has the wrong type.
        omegaconf.errors.OmegaConfBaseException: a value is missing, or an interpolation can't be resolved.
    """
    return _checked(config, _imported)


def resolve_early(config: DictConfig) -> dict[str, Any]:
    """As `resolve`, but imports neither PyTorch nor what a `_target_` names. Values that only PyTorch knows are None,
    and nodes whose signature can't be read from a source file are not validated.
    """

    def look(name: Any, path: str, packages: Packages) -> Signature | None:
        found = declared(name) if isinstance(name, str) else None
        if found is None:
            return None
        # Or None: what the command fills in later.
        accepted = {key: typing.Optional[kind] for key, kind in found.accepted.items()}  # noqa: UP045  `kind` is a value
        return replace(found, accepted=accepted)

    with without_pytorch():
        return _checked(config, look)


def _checked(config: DictConfig, look: _Look) -> dict[str, Any]:
    plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    assert isinstance(plain, dict)
    _refuse_empty(plain, "")
    return {str(key): _check(value, str(key), None, look) for key, value in plain.items()}


def _refuse_empty(value: Any, path: str) -> None:
    """Refuses empty values: mostly unset shell variables, and as a path they would mean the current folder."""
    if value == "":
        raise ConfigError(f"{path}= is empty: give a value, or null for none")
    items = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        _refuse_empty(item, f"{path}.{key}".removeprefix("."))


def instantiate(node: Mapping[str, Any], path: str, packages: Packages = None, **arguments: Any) -> Any:
    """Builds the `_target_` of a node and of the nodes in it. It is the only place where a configuration turns into
    objects. Strings are taken literally: Hydra's own `instantiate` would resolve interpolations in them, and so run
    resolvers named in a stranger's checkpoint.

    Args:
        node: a plain node with `_target_`; with `_partial_: true`, the result is a partial function.
        path: its key in the configuration, for messages.
        packages: allowed prefixes of a `_target_`; None for any, in the user's own configuration.
        arguments: further arguments.

    Raises:
        ConfigError: `_target_` is missing, foreign or unknown, or refuses its arguments.
    """
    if "_target_" not in node:
        raise ConfigError(f"{path} has no _target_: choose another option, or give it a _target_")
    return _build(_check(node, path, packages, _imported), path, packages, arguments)


def _build(value: Any, path: str, packages: Packages, arguments: Mapping[str, Any] | None = None) -> Any:
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
    except Exception as error:  # a library's constructor can raise any exception
        raise ConfigError(f"{path} can't be built as configured: {first_line(error)}") from error


def _check(value: Any, path: str, packages: Packages, look: _Look) -> Any:
    """Validates every node in `value` against the signature of its `_target_`, and converts it to its types."""
    if isinstance(value, list):
        return [_check(item, f"{path}.{index}", packages, look) for index, item in enumerate(value)]
    if not isinstance(value, Mapping):
        return value
    checked = {str(key): _check(item, f"{path}.{key}", packages, look) for key, item in value.items()}
    signature = look(checked["_target_"], f"{path}._target_", packages) if "_target_" in checked else None
    if signature is None:
        return checked
    for key in checked:
        if key in _OWN_KEYS or (key not in signature.accepted and signature.takes_anything):
            continue
        if key not in signature.accepted:
            raise ConfigError(
                f"{path}.{key} is not an option of {signature.name}"
                f"{what_was_meant(key, signature.accepted, signature.accepted)}"
            )
        if not isinstance(checked[key], Mapping):
            checked[key] = _converted(checked[key], signature.accepted[key], f"{path}.{key}")
    return checked


def _imported(name: Any, path: str, packages: Packages) -> Signature:
    target = locate(name, path, packages)
    return Signature(target.__name__, parameters(target), takes_anything(target))


def locate(name: Any, path: str, packages: Packages = None) -> Callable[..., Any]:
    """Imports a class or function by name.

    Args:
        name: its module and name.
        path: its key in the configuration, for messages.
        packages: allowed prefixes, also of the module that defines it; None for any.

    Raises:
        ConfigError: it is not allowed, can't be imported or does not exist.
    """
    if not isinstance(name, str) or not _is_within(name, packages):
        raise _refusal(name, path, packages)
    try:
        found = pydoc.locate(name)
    except pydoc.ErrorDuringImport as error:
        raise ConfigError(f"{path}={name} can't be imported: {first_line(error)}") from error
    if found is None:
        package = name.partition(".")[0]
        if package.isidentifier() and importlib.util.find_spec(package) is None:
            raise ConfigError(
                f"{path}={name}: there is no package {package}: install it, or put PYTHONPATH=FOLDER, with its "
                "folder, before the command"
            )
        raise ConfigError(f"{path}={name} does not exist{_similar(name)}")
    if not callable(found):
        raise ConfigError(f"{path}={name} is neither a class nor a function")
    if not _is_within(str(getattr(found, "__module__", "")), packages):
        raise _refusal(name, path, packages)
    return found


def _similar(name: str) -> str:
    """The end of a message about a name that does not exist: similar public names in its module or package."""
    parent, _, last = name.rpartition(".")
    while parent and (found := pydoc.locate(parent)) is None:
        parent, _, last = parent.rpartition(".")
    if not parent:
        return ""
    modules = (module.name for module in pkgutil.iter_modules(getattr(found, "__path__", ())))
    names = {each for each in (*dir(found), *modules) if not each.startswith("_")}
    close = difflib.get_close_matches(last, names)
    return f"; did you mean {' or '.join(f'{parent}.{each}' for each in close)}?" if close else f": look in {parent}"


def _is_within(name: str, packages: Packages) -> bool:
    return packages is None or any(name == package or name.startswith(f"{package}.") for package in packages)


def _refusal(name: Any, path: str, packages: Packages) -> ConfigError:
    if packages is None:
        return ConfigError(f"{path}={name} is not a name: give PACKAGE.MODULE.NAME")
    package = str(name).partition(".")[0]
    is_others = package.isidentifier() and package not in {*sys.stdlib_module_names, __name__.partition(".")[0]}
    trust = (
        f"; if you trust the package {package} and this file, give trust=[{package}], in Python trusted=['{package}']"
        if is_others
        else ""
    )
    return ConfigError(f"{path}={name} is refused: only {', '.join(packages)} may be named here{trust}")


def packages_named(value: Any) -> tuple[str, ...]:
    """Other packages that a plain configuration names, sorted."""
    if isinstance(value, list):
        found = {name for item in value for name in packages_named(item)}
    elif isinstance(value, Mapping):
        found = {name for item in value.values() for name in packages_named(item)}
        found.add(str(value.get("_target_", "")).partition(".")[0])
    else:
        found = set()
    return tuple(sorted(found - {"", __name__.partition(".")[0]}))


@cache
def parameters(target: Callable[..., Any]) -> dict[str, Any]:
    """The parameters of `target` with their types (`Any` if there is no annotation).

    A class with `**options` passes them to its base class, whose parameters count as well.
    """
    function = target.__init__ if inspect.isclass(target) else target
    try:
        hints = typing.get_type_hints(function)
    except (NameError, TypeError, AttributeError):
        hints = {}
    accepted: dict[str, Any] = {}
    takes_more = False
    for parameter in _signature(target):
        if parameter.kind is parameter.VAR_KEYWORD:
            takes_more = True
        elif parameter.kind is not parameter.VAR_POSITIONAL and parameter.name != "self":
            accepted[parameter.name] = hints.get(parameter.name, Any)
    if takes_more and inspect.isclass(target) and target.__mro__[1] is not object:
        accepted = parameters(target.__mro__[1]) | accepted
    return accepted


def _signature(target: Callable[..., Any]) -> list[inspect.Parameter]:
    """The parameters of `target`; a C function without a signature counts as `**options`."""
    try:
        return list(inspect.signature(target.__init__ if inspect.isclass(target) else target).parameters.values())
    except (ValueError, TypeError):
        return [inspect.Parameter("options", inspect.Parameter.VAR_KEYWORD)]


@cache
def takes_anything(target: Callable[..., Any]) -> bool:
    """Whether `target` takes any `**options`, and does not pass them to a base class with a signature."""
    if all(parameter.kind is not parameter.VAR_KEYWORD for parameter in _signature(target)):
        return False
    return not inspect.isclass(target) or target.__mro__[1] is object or takes_anything(target.__mro__[1])


def _converted(value: Any, annotation: Any, path: str) -> Any:
    try:
        adapter = pydantic.TypeAdapter(annotation, config=pydantic.ConfigDict(arbitrary_types_allowed=True))
    except pydantic.errors.PydanticUserError:
        return value  # pydantic has no schema for the annotation: the target has to check it
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
