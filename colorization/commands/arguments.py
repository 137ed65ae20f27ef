"""Parsing a command line: Hydra's flags, overrides KEY=VALUE, and file names.

Spaces, commas, brackets, quotes and more are syntax in Hydra's grammar, but common in file names. So file names and the
values of path options are passed to Hydra in quotes.
"""

import itertools
import os
import re
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import HydraException

from colorization.config.mistakes import same_option, what_was_meant
from colorization.errors import ConfigError
from colorization.runtime.files import expand, matching

# Hydra's flags; the first ones take a value. Not -p, which many take for a port or a path.
_FLAGS_WITH_A_VALUE = {"--cfg", "-c", "--package", "--info", "-i", "--experimental-rerun", "--shell-completion"}
_FLAGS_WITH_A_VALUE |= {"-sc", "--config-dir", "-cd", "--config-path", "-cp", "--config-name", "-cn"}
_FLAGS = _FLAGS_WITH_A_VALUE | {"--help", "-h", "--hydra-help", "--resolve", "--run", "-r", "--multirun", "-m"}
_SEVERAL_RUNS = ("-m", "--multirun", "hydra.mode=MULTIRUN")
_CHECKPOINTS = (".ckpt", ".safetensors", ".onnx")


@dataclass(frozen=True)
class Grammar:
    """The grammar of a command line.

    Args:
        root: the schema of the command's configuration.
        paths: options whose value is taken literally.
        places: positional options, in this order.
        many: an option for any number of positional words, besides one checkpoint; instead of `places`.
        takes_multirun: whether the command supports multirun.
    """

    root: type
    paths: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    many: str | None = None
    takes_multirun: bool = True

    def to_overrides(
        self, words: Sequence[str], all_options: Callable[[], Mapping[str, Any]] | None = None
    ) -> list[str]:
        """Converts a command line for Hydra: flags first, then overrides.

        Args:
            words: the command line.
            all_options: returns all options of the command by full name, with defaults, for messages; None: those of
                the root.

        A word that exists as a file is positional, whatever its name, and so is everything after `--`. Otherwise
        KEY=VALUE is an option, and other words are positional (possibly missing files).

        Raises:
            ConfigError: a word looks like an option but is not one, or there are too many positional words.
        """
        defaults = {field.name: field.default for field in fields(self.root)}
        options = tuple(defaults)
        named = {name: value for name, value in defaults.items() if name != "paths"}  # which is for the commands
        takes_plain_words = bool(self.places or self.many)
        flags: list[str] = []
        overrides: list[str] = []
        plain: list[str] = []
        rest = iter(words)
        for word in rest:
            key, equals, value = word.partition("=")
            name = key.lstrip("+~")
            if word == "--" and takes_plain_words:
                plain += rest
            elif takes_plain_words and (word == "-" or _exists(word)):
                plain.append(word)
            elif word in _SEVERAL_RUNS and not self.takes_multirun:
                raise ConfigError(f"{word} does not work here: run one command per job")
            elif word.startswith("-"):
                flags += _flag(word, rest, all_options or (lambda: named))
            elif key == self.many and equals:
                plain += _listed(value)
            elif key in self.paths and equals and value != "null":
                overrides.append(f"{key}={quoted(value)}")
            elif not takes_plain_words or (name in options and word != name) or name.startswith(("hydra.", "hydra/")):
                overrides.append(_literal(word))
            elif equals and re.fullmatch(r"[\w./-]+", name) and not matching(word):
                if name.partition(".")[0] in options or name.partition("@")[0] in options:
                    overrides.append(_literal(word))
                else:
                    known = all_options() if all_options else options
                    raise ConfigError(
                        f"{word}: there is no such file, and {name} is not an option"
                        f"{what_was_meant(name, named, known)}"
                    )
            else:
                plain.append(word)
        return flags + overrides + self._filled(plain, overrides)

    def _filled(self, plain: list[str], overrides: Sequence[str]) -> list[str]:
        if "" in plain:
            raise ConfigError(f"{self.many or self.places[0]}= is empty: give a path, or leave it out")
        filled: list[str] = []
        if self.many is not None:
            given = any(override.startswith("checkpoint=") for override in overrides)
            networks = [] if given else [word for word in plain if word.endswith(_CHECKPOINTS)]
            if len(networks) > 1:
                raise ConfigError(f"{networks[0]} and {networks[1]} are both checkpoints: give one")
            pictures = [word for word in plain if word not in networks]
            filled += [f"checkpoint={quoted(word)}" for word in networks]
            return filled + ([f"{self.many}=[{','.join(map(quoted, pictures))}]"] if pictures else [])
        if len(plain) > len(self.places):
            wanted = " and ".join(self.places)
            raise ConfigError(f"{plain[len(self.places)]} is one word too many: this command takes {wanted}")
        return [f"{key}={quoted(word)}" for key, word in zip(self.places, plain, strict=False)]


def _flag(word: str, rest: Iterator[str], all_options: Callable[[], Mapping[str, Any]]) -> list[str]:
    key, equals, value = word.partition("=")
    if key in _FLAGS:
        return [word, *itertools.islice(rest, int(word in _FLAGS_WITH_A_VALUE))]
    name, options = key.strip("-").replace("-", "_"), all_options()
    meant = [name] if name in options else same_option(name, options)[:3]
    if not key.startswith("--"):
        meant = meant or _begun(name, options)
        if not meant and len(name) < 2:
            raise ConfigError(f"{key} is not an option: write KEY=VALUE, --help lists the keys")
    if not equals:
        following = next(rest, "")
        value = "VALUE" if following.startswith("-") or "=" in following else following or "VALUE"
    written = [
        f"{name}={'true' if isinstance(options.get(name), bool) and not equals else shlex.quote(value)}"
        for name in meant or [name]
    ]
    raise ConfigError(f"{key}: options have no dashes, write {' or '.join(written)}")


def _begun(letters: str, options: Iterable[str]) -> list[str]:
    """The options, first those of the root, that begin with some letters; none if they are too many to choose from."""
    found = sorted(name for name in options if name.rpartition(".")[2].startswith(letters))
    found = [name for name in found if "." not in name] or found
    return found if len(found) <= 3 else []


def _literal(word: str) -> str:
    """An override, with its value in quotes if that is a file whose name means something in Hydra's grammar."""
    key, equals, value = word.partition("=")
    return f"{key}={quoted(value)}" if equals and re.search(r"[^\w./~:+-]", value) and _exists(value) else word


def quoted(text: str) -> str:
    """Quotes a string for Hydra's grammar, so that it means exactly `text`, without interpolation."""
    escaped = re.sub(r"(\\*)\$\{", r"\1\1\\${", text)
    return QuotedString(escaped, Quote.single).with_quotes()


def _exists(name: str) -> bool:
    """Whether a file or folder of that name exists; broken links count."""
    return os.path.lexists(expand(name))


def _listed(value: str) -> list[str]:
    """The names in a list `[a.jpg,"b, c.jpg"]`; any other value, and an existing file or pattern, is a single name."""
    if not (value.startswith("[") and value.endswith("]")) or _exists(value) or matching(value):
        return [value]
    try:
        items = OverridesParser.create().parse_rule(value, "listContainer")
    except HydraException:
        return [value]
    return [item.text if isinstance(item, QuotedString) else str(item) for item in items]
