"""The words on `predict.py`'s command line: options KEY=VALUE, Hydra's flags, and plain names of pictures.

Hydra's grammar has a meaning for spaces, commas, brackets, quotes and more. Names of files are full of them, and so are
taken as they stand: they reach Hydra in quotes.
"""

import itertools
import os
import re
from collections.abc import Sequence
from dataclasses import fields

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import QuotedString
from hydra.errors import HydraException

from colorization.cli import FLAGS_WITH_A_VALUE, quoted
from colorization.config import PredictConfig, did_you_mean
from colorization.errors import ConfigError
from colorization.prediction.jobs import expand, matching

_OPTIONS = tuple(field.name for field in fields(PredictConfig))
_LITERAL = ("checkpoint", "output", "suffix")


def to_overrides(words: Sequence[str]) -> list[str]:
    """What Hydra is to see of a command line: flags first, then options, the last of them `input` with all names.

    A word that exists as a file is a picture, whatever its name; so is everything after `--`. Otherwise KEY=VALUE is an
    option, and what remains is a picture, too (perhaps one that is missing).

    Raises:
        ConfigError: a word has the form of an option and is none, or an input is empty.
    """
    flags: list[str] = []
    options: list[str] = []
    inputs: list[str] = []
    rest = iter(words)
    for word in rest:
        key, equals, value = word.partition("=")
        name = key.lstrip("+~")
        if word == "--":
            inputs += rest
        elif word == "-" or exists(word):
            inputs.append(word)
        elif word.startswith("-") and key.strip("-") in _OPTIONS:
            raise ConfigError(f"{word}: options have no dashes, write {key.strip('-')}=VALUE")
        elif word.startswith("-"):
            flags += [word, *itertools.islice(rest, int(word in FLAGS_WITH_A_VALUE))]
        elif key == "input" and equals:
            inputs += _listed(value)
        elif key in _LITERAL and equals and value != "null":
            options.append(f"{key}={quoted(value)}")
        elif (name in _OPTIONS and word != name) or name.startswith(("hydra.", "hydra/")):
            options.append(word)
        elif equals and re.fullmatch(r"[\w.-]+", name) and not matching(word):
            raise ConfigError(
                f"{word}: there is no such file, and {name} is not an option{did_you_mean(name, _OPTIONS)}"
            )
        else:
            inputs.append(word)
    if "" in inputs:
        raise ConfigError("input= is empty: give a picture, a folder, or - for standard input")
    if inputs:
        options.append(f"input=[{','.join(map(quoted, inputs))}]")
    return flags + options


def exists(name: str) -> bool:
    """Whether there is a file or folder of that name; a link that leads nowhere counts."""
    return os.path.lexists(expand(name))


def _listed(value: str) -> list[str]:
    """The names in `[a.jpg,"b, c.jpg"]`; any other value is one name, and so is a file or pattern in brackets."""
    if not (value.startswith("[") and value.endswith("]")) or exists(value) or matching(value):
        return [value]
    try:
        items = OverridesParser.create().parse_rule(value, "listContainer")
    except HydraException:
        return [value]
    return [item.text if isinstance(item, QuotedString) else str(item) for item in items]
