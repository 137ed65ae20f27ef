"""The options in a file of conf/, with the comments beside them.

It reads the style that conf/ is written in: one key a line, its comment behind it, continued on lines of comments that
are indented further, or above it.
"""

import re
from dataclasses import dataclass
from pathlib import Path

_KEY = re.compile(r"(?P<indent> *)(?P<key>[\w.]+):(?: +(?P<value>[^#\s].*?))?(?:\s+# ?(?P<comment>.*))?$")
_COMMENT = re.compile(r"(?P<indent> *)# ?(?P<comment>.*)$")
_CHOICE = re.compile(r"  - (?P<group>[\w/]+): (?P<option>[^#]+?)(?:\s+# ?(?P<comment>.*))?$")


@dataclass(frozen=True)
class Option:
    """A key with its value, both as written, and its comment; the value is empty where keys follow below it."""

    key: str
    value: str
    comment: str


def read_options(file: Path) -> list[Option]:
    """All options of a file, by their full names in it; without Hydra's own (`defaults`, `_target_`, ...)."""
    found: list[Option] = []
    parents: list[tuple[int, str]] = []
    above: list[str] = []
    skipped = False
    for line in _body(file):
        if comment := _COMMENT.match(line):
            if found and len(comment["indent"]) > parents[-1][0] + 2:
                last = found[-1]
                found[-1] = Option(last.key, last.value, f"{last.comment} {comment['comment']}")
            else:
                above.append(comment["comment"])
        elif match := _KEY.match(line):
            indent = len(match["indent"])
            while parents and parents[-1][0] >= indent:
                parents.pop()
            parents.append((indent, match["key"]))
            if indent == 0:
                skipped = match["key"] in ("defaults", "hydra")
            if not skipped and not match["key"].startswith("_"):
                name = ".".join(key for _, key in parents)
                found.append(Option(name, match["value"] or "", match["comment"] or " ".join(above)))
            above = []
        else:
            above = []
    return found


def read_header(file: Path) -> list[str]:
    """The lines of comments that a file begins with, without those for Hydra."""
    lines: list[str] = []
    for line in file.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        if not line.startswith("# @package"):
            lines.append(line[1:].removeprefix(" "))
    return lines


def read_choices(file: Path) -> dict[str, tuple[str, str]]:
    """The groups in the `defaults` of a command, with the option that they begin with and the comment."""
    lines = file.read_text(encoding="utf-8").splitlines()
    return {m["group"]: (m["option"], m["comment"] or "") for line in lines if (m := _CHOICE.match(line))}


def _body(file: Path) -> list[str]:
    lines = file.read_text(encoding="utf-8").splitlines()
    start = next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))
    return lines[start:]
