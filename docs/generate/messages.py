"""Every message that the package can give, from its source: exceptions for the user, warnings, and remarks.

A message is the text that an exception of this package is raised with, or that `warn` is called with. What a run puts
in is shown in capitals, or as dots; what is not always said, in brackets. Words of libraries that are passed on are not
listed.
"""

import ast
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PACKAGE = ROOT / "colorization"
# Its functions return sentences instead of raising them.
_SENTENCES = "colorization/config/mistakes.py"
# Ends of messages that a function makes.
_ENDS = {"did_you_mean": "; did you mean …?", "what_was_meant": "; did you mean …?", "install_hint": "pip install …"}
_Words = Mapping[str, list[str]]


def part(*prefixes: str, sections: Collection[str]) -> str:
    """A list of the messages of a section.

    Args:
        prefixes: of the paths of its modules.
        sections: the prefixes of all sections; a module belongs to the longest that fits.
    """
    listed = {text for module, texts in all_messages().items() if home(module, sections) in prefixes for text in texts}
    return "".join(f"- `{text}`\n" for text in sorted(listed))


def home(module: str, sections: Collection[str]) -> str | None:
    """The prefix of the section that a module belongs to."""
    return max(filter(module.startswith, sections), key=len, default=None)


@cache
def all_messages() -> dict[str, list[str]]:
    """The messages of each module that has some, by the module's path."""
    trees = {
        path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted(PACKAGE.rglob("*.py"))
    }
    errors = {
        node.name
        for tree in trees.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and node.name.endswith("Error")
    }
    found = {module: list(_messages(module, tree, errors)) for module, tree in trees.items()}
    return {module: texts for module, texts in found.items() if texts}


def _messages(module: str, tree: ast.Module, errors: set[str]) -> Iterator[str]:
    functions = {node.name: node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    for function in functions.values():
        words = _words_in(function)
        if module == _SENTENCES:
            yield from (text for text in (_text(value, words) for value in _returns(function)) if " " in text)
        for node in ast.walk(function):
            if isinstance(node, ast.Call) and (given := _message_of(node, errors)):
                made_by = functions.get(_name(given.func)) if isinstance(given, ast.Call) else None
                texts = [_text(value, words) for value in (_returns(made_by) if made_by else [given])]
                yield from filter(None, texts)
            elif (
                isinstance(node, ast.AugAssign) and _name(node.target) == "notes" and isinstance(node.value, ast.Tuple)
            ):
                yield from (_text(value, words) for value in node.value.elts)


def _message_of(call: ast.Call, errors: set[str]) -> ast.expr | None:
    """The argument of a call that is a message: of an exception, a warning, or a remark about one picture."""
    name = _name(call.func)
    if name in errors or name in ("ValueError", "EOFError", "warn"):
        return call.args[0] if call.args else None
    if name == "Remark":
        return call.args[1]
    is_note = name == "append" and isinstance(call.func, ast.Attribute) and _name(call.func.value) == "notes"
    return call.args[0] if is_note else None


def _returns(function: ast.FunctionDef) -> list[ast.expr]:
    return [node.value for node in ast.walk(function) if isinstance(node, ast.Return) and node.value]


def _words_in(function: ast.FunctionDef) -> _Words:
    """The texts that a function gives to its variables; of those that it sets once."""
    stored = Counter(
        node.id for node in ast.walk(function) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    )
    return {
        node.targets[0].id: texts
        for node in ast.walk(function)
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        if stored[node.targets[0].id] == 1 and (texts := _choices(node.value, {}))
    }


def _choices(node: ast.expr, words: _Words) -> list[str]:
    """The texts that an expression may have."""
    if isinstance(node, ast.IfExp):
        return _choices(node.body, words) + _choices(node.orelse, words)
    is_literal = isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))
    return [_text(node, words)] if is_literal else []


def _text(node: ast.expr, words: _Words) -> str:
    """A literal as it is shown; empty if the words come from elsewhere."""
    match node:
        case ast.Constant(value=str(text)):
            return _plain(text)
        case ast.JoinedStr(values=parts):
            return _plain("".join(_of_part(part, words) for part in parts))
        case ast.BinOp(op=ast.Add(), left=left, right=right):
            return _text(left, words) + _text(right, words)
        case _:
            return ""


def _of_part(part: ast.expr, words: _Words) -> str:
    if isinstance(part, ast.Constant):
        return str(part.value)
    assert isinstance(part, ast.FormattedValue)
    value = part.value
    choices = words.get(value.id, []) if isinstance(value, ast.Name) else _choices(value, words)
    if spoken := [choice for choice in choices if choice]:
        text = " / ".join(dict.fromkeys(spoken))
        return text if len(spoken) == len(choices) else f" [{text.strip()}] "
    return _hole(value)


def _hole(value: ast.expr) -> str:
    """What stands for a value: the name of a variable, attribute or key in capitals, or dots."""
    if isinstance(value, ast.Call):
        return _ENDS.get(_name(value.func), "…")
    if isinstance(value, ast.Subscript) and isinstance(value.slice, ast.Constant):
        return str(value.slice.value).upper() if isinstance(value.slice.value, str) else "…"
    return _name(value).strip("_").upper() or "…"


def _name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def _plain(text: str) -> str:
    """On one line, and without what Markdown would take for the end of code; a space at an end stays."""
    return re.sub(r" +([:;,]|$)", r"\1", re.sub(r"\s+", " ", text.replace("`", "'")))
