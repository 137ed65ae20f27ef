"""Which nodes of a stored configuration are built.

A checkpoint may come from a stranger. A user's own configuration may build anything. A node of a stored one is built
only if it is a part of a network, belongs to an allowed package, and is the value of an option of such a type.
Pretrained weights and files are removed at any depth, because the trained weights replace them.
"""

import os
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from colorization.config.instantiate import locate, parameters
from colorization.errors import ConfigError
from colorization.objectives.base import Objective
from colorization.objectives.terms.base import Term

# The modules with our networks and objectives.
_OWN = ("colorization.backbones", "colorization.decoders", "colorization.objectives")
# Options for initial weights, and the values that turn them off.
NO_BEGINNING = {"pretrained": False, "weights": None}
# Options of objectives for training only: further terms, which may need files, and their weights.
OF_TRAINING = ("terms", "weight")

# Maximum length of a string: libraries search for names similar to an unknown one.
_LONGEST = 1000


def packages_of(trusted: Sequence[str]) -> tuple[str, ...]:
    """Allowed prefixes of a `_target_` in a file: our parts of networks, and packages that the user trusts."""
    return (*_OWN, *([trusted] if isinstance(trusted, str) else trusted))


def buildable(value: Any, expected: Any, path: str, packages: tuple[str, ...]) -> Any:
    """A stored value, prepared for `instantiate`.

    Args:
        value: a plain value.
        expected: the type of its option.
        path: its key in the configuration, for messages.
        packages: allowed prefixes of a `_target_`, see `packages_of`.

    Raises:
        ConfigError: it names a class of another package or of another kind than expected, or the option takes no part
            of a network.
    """
    if isinstance(value, list):
        return [buildable(item, expected, f"{path}.{index}", packages) for index, item in enumerate(value)]
    if isinstance(value, str) and len(value) > _LONGEST:
        raise ConfigError(f"{path} is refused: it has more than {_LONGEST} characters")
    if not isinstance(value, Mapping):
        return value
    if "_target_" not in value:
        return {key: buildable(item, expected, f"{path}.{key}", packages) for key, item in value.items()}
    kinds = _parts_in(expected)
    if not kinds:
        raise ConfigError(f"{path}._target_={value['_target_']} is refused: {path} takes no part of a network")
    target = locate(value["_target_"], f"{path}._target_", packages)
    if not (isinstance(target, type) and issubclass(target, kinds)):
        names = " or ".join(kind.__name__ for kind in kinds)
        raise ConfigError(f"{path}._target_={value['_target_']} is not a {names}")
    if issubclass(target, Term):
        raise ConfigError(f"{path}._target_={value['_target_']} is refused: terms of a loss are for training only")
    left_out = OF_TRAINING if issubclass(target, Objective) else ()
    accepted = parameters(target)  # type: ignore[arg-type]
    options = {
        key: buildable(item, accepted.get(key), f"{path}.{key}", packages)
        for key, item in value.items()
        if key not in left_out and not _is_path(accepted.get(key))
    }
    return options | {key: off for key, off in NO_BEGINNING.items() if key in accepted}


def _parts_in(expected: Any) -> tuple[type[nn.Module], ...]:
    """The classes of modules in a type annotation: the type itself, or the arguments of a generic type."""
    if isinstance(expected, type) and not typing.get_args(expected):
        return (expected,) if issubclass(expected, nn.Module) else ()
    return tuple(kind for inner in typing.get_args(expected) for kind in _parts_in(inner))


def _is_path(expected: Any) -> bool:
    """Whether a type annotation is a path type, or includes one."""
    if isinstance(expected, type) and not typing.get_args(expected):
        return issubclass(expected, os.PathLike)
    return any(_is_path(inner) for inner in typing.get_args(expected))
