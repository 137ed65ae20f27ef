"""What of a configuration that comes with a file is built.

The file may be a stranger's. A user's own configuration builds whatever it names; of a stored one, a node is built
only if it is a part of a network, of a package that may be named, at a place whose type is that of such a part. What a
part would begin with (pretrained weights, a file) is left out at any depth, because its trained weights follow.
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

# Where our own networks and objectives are; any other module of ours has no parts of networks.
_OWN = ("colorization.backbones", "colorization.decoders", "colorization.objectives")
# Options that say what weights begin with, wherever a part has them, and what they are set to.
NO_BEGINNING = {"pretrained": False, "weights": None}
# What objectives are given for training alone: further terms, which may need files of their own, and weights of terms.
_OF_TRAINING = ("terms", "weight")

# Of a name, in characters: libraries search for what is similar to one that they do not know.
_LONGEST = 1000


def packages_of(trusted: Sequence[str]) -> tuple[str, ...]:
    """What a `_target_` in a file may begin with: our parts of networks, and packages that the user trusts."""
    return (*_OWN, *([trusted] if isinstance(trusted, str) else trusted))


def buildable(value: Any, expected: Any, path: str, packages: tuple[str, ...]) -> Any:
    """A stored value as it is handed to `instantiate`.

    Args:
        value: plain.
        expected: the type of the option that it is for.
        path: where it stands in the configuration, for messages.
        packages: what a `_target_` in it may begin with, see `packages_of`.

    Raises:
        ConfigError: it names something foreign, something of another kind than expected, or something at all where
            the option takes no part of a network.
    """
    if isinstance(value, list):
        return [buildable(item, expected, f"{path}.{index}", packages) for index, item in enumerate(value)]
    if isinstance(value, str) and len(value) > _LONGEST:
        raise ConfigError(f"{path} is refused: it is longer than any name")
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
        raise ConfigError(f"{path}._target_={value['_target_']} is refused: terms of a loss are for training alone")
    left_out = _OF_TRAINING if issubclass(target, Objective) else ()
    accepted = parameters(target)  # type: ignore[arg-type]
    options = {
        key: buildable(item, accepted.get(key), f"{path}.{key}", packages)
        for key, item in value.items()
        if key not in left_out and not _is_path(accepted.get(key))
    }
    return options | {key: off for key, off in NO_BEGINNING.items() if key in accepted}


def _parts_in(expected: Any) -> tuple[type[nn.Module], ...]:
    """The kinds of modules that a type names: itself, or what it is a collection, a choice or a maker of."""
    if isinstance(expected, type) and not typing.get_args(expected):
        return (expected,) if issubclass(expected, nn.Module) else ()
    return tuple(kind for inner in typing.get_args(expected) for kind in _parts_in(inner))


def _is_path(expected: Any) -> bool:
    """Whether a type is that of paths, or allows them."""
    if isinstance(expected, type) and not typing.get_args(expected):
        return issubclass(expected, os.PathLike)
    return any(_is_path(inner) for inner in typing.get_args(expected))
