"""Tables of options: names and values from conf/, types from signatures, words from comments and docstrings."""

import inspect
import re
import types
import typing
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from colorization.config.instantiate import locate, parameters
from colorization.config.schemas import ROOTS
from docs.generate.yaml_comments import Option, read_choices, read_header, read_options

CONF = Path(__file__).parent.parent.parent / "conf"
# Groups whose files set options of other groups. Their header says it all: command, source, hardware, result.
_RECIPES = ("experiment", "debug", "sweep")
_LONGEST = 40  # characters of a type that is shown
_HEAD = "| option | value | type | what |\n|---|---|---|---|"


def part(kind: str, name: str) -> str:
    """The generated part `root COMMAND`, `groups COMMAND`, `group NAME` or `file PATH`."""
    return {"root": _root, "groups": _groups, "group": _group, "file": _options_of_data}[kind](name)


def option_files(group: str) -> list[Path]:
    """The files that a group chooses from; a sub-folder is a group of its own."""
    return sorted(CONF.joinpath(group).glob("*.yaml"))


def rows(file: Path) -> Iterator[tuple[Option, str]]:
    """The options of a file with their types; an option without a comment takes the words of its class's docstring."""
    content = _content(file)
    content.setdefault("_target_", _target_of_bases(file))
    for option in read_options(file):
        *above, key = option.key.split(".")
        node = content
        for name in above:
            node = node[name]
        accepted, words = _documented(node.get("_target_"))
        yield Option(option.key, option.value, option.comment or words.get(key, "")), accepted.get(key, "")


def _content(file: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    return content


def _bases(file: Path) -> list[str]:
    """The files of the same group that a file begins with."""
    names = [name for name in _content(file).get("defaults", []) if isinstance(name, str)]
    return [name for name in names if name.isidentifier() and file.with_stem(name).is_file()]


def _target_of_bases(file: Path) -> str | None:
    if file.name == "loading.yaml":
        return "colorization.data.datamodule.PhotoDataModule"
    return next((_content(file.with_stem(base)).get("_target_") for base in _bases(file)), None)


def _root(command: str) -> str:
    kinds = {field.name: _shown_type(field.type) for field in fields(ROOTS[command])}
    file = CONF / f"{command}.yaml"
    groups = read_choices(file)
    options = [option for option in read_options(file) if option.key.partition(".")[0] not in groups]
    return _table("", [(option, kinds.get(option.key, "")) for option in options])


def _groups(command: str) -> str:
    lines = ["| group | begins with | what | options |", "|---|---|---|---|"]
    for group, (first, comment) in read_choices(CONF / f"{command}.yaml").items():
        names = ", ".join(f"`{file.stem}`" for file in option_files(group))
        begins = "" if first == "null" else f"`{first}`"
        lines.append(f"| [`{group}`](#{group}) | {begins} | {_cell(comment)} | {names} |")
    return "\n".join(lines) + "\n"


def _group(group: str) -> str:
    if group in _RECIPES:
        return "\n".join(_recipe(group, file) for file in option_files(group))
    alike: dict[tuple[str, ...], list[Path]] = {}
    for file in option_files(group):
        words = [*read_header(file), *(f"{option.key} {option.comment} {kind}" for option, kind in rows(file))]
        alike.setdefault((*words, _based_on(group, file)), []).append(file)
    return "\n".join(_files(group, files) for files in alike.values())


def _recipe(group: str, file: Path) -> str:
    return "\n".join([f"**`{group}={file.stem}`**\n", "```text", *read_header(file), "```"]) + "\n"


def _files(group: str, files: list[Path]) -> str:
    """Files with the same options, which differ in values only."""
    names = ", ".join(f"**`{group}={file.stem}`**" for file in files)
    prefix = _prefix(group, files[0])
    first, *others = [list(rows(file)) for file in files]
    merged = [
        (
            option
            if all(other[i][0] == option for other in others)
            else Option(option.key, "as named", option.comment),
            kind,
        )
        for i, (option, kind) in enumerate(first)
    ]
    told = (names, _prose(read_header(files[0])), _based_on(group, files[0]), _table(prefix, merged))
    return "\n\n".join(filter(None, told))


def _prefix(group: str, file: Path) -> str:
    """What stands before the names of a file's options."""
    if file.read_text(encoding="utf-8").startswith("# @package _global_"):
        return ""
    return f"objective.terms.{file.stem}." if group == "objective/term" else f"{group}."


def _options_of_data(name: str) -> str:
    return _table("data.", list(rows(CONF / name)))


def _based_on(group: str, file: Path) -> str:
    bases = ", ".join(f"`{group}={name}`" for name in _bases(file))
    return f"All options of {bases}{', and:' if any(read_options(file)) else '.'}" if bases else ""


def _table(prefix: str, options: list[tuple[Option, str]]) -> str:
    lines = [
        f"| `{prefix}{option.key}` | {_value(option.value)} | {_cell(kind)} | {_cell(option.comment)} |"
        for option, kind in options
        if option.value
    ]
    return "\n".join([_HEAD, *lines]) + "\n" if lines else ""


def _value(value: str) -> str:
    return {"???": "required", "as named": "as named"}.get(value, f"`{_cell(value)}`")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;").replace("*", "\\*")


def _prose(lines: list[str]) -> str:
    if any(line.startswith(" ") for line in lines):  # a list, as it was laid out
        return "\n".join(["```text", *lines, "```"])
    return "\n".join(line.replace("<", "&lt;").replace("*", "\\*") for line in lines)


@cache
def _documented(target: str | None) -> tuple[dict[str, str], dict[str, str]]:
    """The types and the words of the parameters of a `_target_`; words only of our own classes."""
    if target is None:
        return {}, {}
    found = locate(target, "_target_")
    kinds = {name: _shown_type(kind) for name, kind in parameters(found).items()}
    words: dict[str, str] = {}
    for documented in reversed(inspect.getmro(found)) if inspect.isclass(found) else [found]:
        if documented.__module__.startswith("colorization."):
            words |= _arguments(inspect.getdoc(documented) or "")
    return kinds, words


def _arguments(docstring: str) -> dict[str, str]:
    """The section Args of a docstring in Google's style."""
    section = re.search(r"^Args:\n(.*?)(?=^\S|\Z)", docstring, re.DOTALL | re.MULTILINE)
    found = re.findall(r"^    (\w+): (.*(?:\n {8}.*)*)", section[1] if section else "", re.MULTILINE)
    return {name: " ".join(words.split()).rstrip(".") for name, words in found}


def _shown_type(kind: Any) -> str:
    """A type as people say it; empty if it is unknown, or too long to help."""
    if kind is Any or kind is inspect.Parameter.empty:
        return ""
    inside = typing.get_args(kind)
    if typing.get_origin(kind) is typing.Literal:
        return ", ".join(map(str, inside))
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        named = ["null" if one is type(None) else _shown_type(one) for one in inside if _is_plain(one)]
        text = " or ".join(dict.fromkeys(named))
        return text if len(text) <= _LONGEST else ""
    text = kind.__name__ if isinstance(kind, type) and not inside else str(kind)
    text = re.sub(r"\b(?:\w+\.)+(\w+)", r"\1", text)
    return text if len(text) <= _LONGEST and "Tensor" not in text else ""


def _is_plain(kind: Any) -> bool:
    """Whether a value of this type can be typed: no objects of libraries."""
    return not isinstance(kind, type) or kind.__module__ in ("builtins", "pathlib", "types")
