"""Signatures from source files: options are validated without importing what they belong to.

Importing PyTorch, Lightning and torchvision takes seconds; reading a signature takes milliseconds. Only plain code is
understood: a class or function at a module's top level or imported there by name, and annotations of built-in types,
`typing` and aliases of these in the same module. For anything else there is no signature here, and the import decides.
"""

import ast
import collections.abc
import functools
import importlib.util
import types
import typing
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any


class Tensor:
    """Stands for PyTorch's in annotations such as `float | Tensor`: no value of a configuration is one."""


_TYPES: dict[str, Any] = {
    "Tensor": Tensor,
    **{kind.__name__: kind for kind in (bool, bytes, dict, float, int, list, set, str, tuple)},
    **{name: getattr(typing, name) for name in ("Any", "Dict", "List", "Literal", "Optional", "Tuple", "Union")},
    **{name: getattr(collections.abc, name) for name in ("Collection", "Iterable", "Mapping", "Sequence")},
}
# Lightning's, which keeps the signature. Any other decorator may change it.
_KEEPS_SIGNATURE = "_defaults_from_env_vars"


@dataclass(frozen=True)
class Signature:
    """What a class or function takes.

    Attributes:
        name: its own name.
        accepted: its parameters with their types; `Any` for a type that is not known.
        takes_anything: whether it takes any other option as well.
    """

    name: str
    accepted: dict[str, Any]
    takes_anything: bool


class _UnknownError(Exception):
    """The source is not plain enough."""


# Also: a module that is missing or built in, a file of another encoding or syntax, imports in a circle.
_NOT_PLAIN = (_UnknownError, ImportError, ValueError, OSError, SyntaxError, RecursionError)


@functools.cache
def declared(name: str) -> Signature | None:
    """The signature of a class or function, from its source file.

    Args:
        name: `PACKAGE.MODULE.NAME`.

    Returns:
        None if it is not plain code, or does not exist.
    """
    try:
        return _signature(*_definition(name))
    except _NOT_PLAIN:
        return None


@dataclass(frozen=True)
class _Module:
    name: str
    package: str  # of its relative imports
    body: tuple[ast.stmt, ...]


def _definition(name: str) -> tuple[ast.stmt, _Module]:
    """The statement that defines a name, and its module; imports are followed."""
    module, attribute = _module_of(name)
    found = [(statement, alias) for statement in module.body for alias in _bound(statement) if alias[0] == attribute]
    if len(found) != 1:
        raise _UnknownError(name)
    statement, (_, origin) = found[0]
    return (statement, module) if origin is None else _definition(_absolute(origin, statement, module))


def _bound(statement: ast.stmt) -> list[tuple[str, str | None]]:
    """The names that a statement defines, and for imported ones what they stand for."""
    match statement:
        case ast.ClassDef(name=name) | ast.FunctionDef(name=name):
            return [(name, None)]
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)):
            return [(name, None)]
        case ast.ImportFrom(module=module, names=names):
            return [(alias.asname or alias.name, f"{module or ''}.{alias.name}") for alias in names]
        case ast.Import(names=names):
            return [(alias.asname, alias.name) for alias in names if alias.asname]
    return []


def _absolute(origin: str, statement: ast.stmt, module: _Module) -> str:
    level = statement.level if isinstance(statement, ast.ImportFrom) else 0
    return importlib.util.resolve_name("." * level + origin.lstrip("."), module.package) if level else origin


def _module_of(name: str) -> tuple[_Module, str]:
    """The module of a name, and the name in it. No package is imported."""
    first, *rest = name.split(".")
    spec = importlib.util.find_spec(first)  # a package itself is imported only for what is in it
    path = first
    while spec is not None and len(rest) > 1:
        path = f"{path}.{rest.pop(0)}"
        spec = PathFinder.find_spec(path, spec.submodule_search_locations)
    if spec is None or len(rest) != 1:
        raise _UnknownError(name)
    return _parsed(spec.origin or "", path, _package(spec, path)), rest[0]


def _package(spec: ModuleSpec, path: str) -> str:
    return path if spec.submodule_search_locations is not None else path.rpartition(".")[0]


@functools.cache
def _parsed(file: str, name: str, package: str) -> _Module:
    if not file.endswith(".py"):
        raise _UnknownError(name)
    body: list[ast.stmt] = []
    for statement in ast.parse(Path(file).read_text(encoding="utf-8")).body:
        match statement:
            case ast.If(test=ast.Name(id="TYPE_CHECKING"), body=imports):
                body += imports
            case _:
                body.append(statement)
    return _Module(name, package, tuple(body))


def _signature(statement: ast.stmt, module: _Module) -> Signature:
    match statement:
        case ast.FunctionDef(decorator_list=[], name=name, args=arguments):
            return Signature(name, _parameters(arguments, module), arguments.kwarg is not None)
        case ast.ClassDef(decorator_list=[], keywords=[], name=name, bases=bases, body=body):
            base = functools.partial(_base, bases, module)
            made = [each for each in body if isinstance(each, ast.FunctionDef) and each.name == "__init__"]
            if not made:
                inherited = base()
                return Signature(name, inherited.accepted, inherited.takes_anything)
            if len(made) > 1 or any(_name(each) != _KEEPS_SIGNATURE for each in made[0].decorator_list):
                raise _UnknownError(name)
            own = _parameters(made[0].args, module)
            own.pop("self", None)
            if made[0].args.kwarg is None:
                return Signature(name, own, False)
            return Signature(name, base().accepted | own, base().takes_anything)
    raise _UnknownError


def _base(bases: list[ast.expr], module: _Module) -> Signature:
    """The signature of the base class; that of `object`, which has no parameters of its own, is open."""
    if not bases:
        return Signature("object", {}, True)
    if len(bases) > 1:
        raise _UnknownError
    return _signature(*_lookup(bases[0], module))


def _lookup(expression: ast.expr, module: _Module) -> tuple[ast.stmt, _Module]:
    if not isinstance(expression, ast.Name):
        raise _UnknownError
    return _definition(f"{module.name}.{expression.id}")


def _name(expression: ast.expr) -> str:
    return expression.id if isinstance(expression, ast.Name) else ""


def _parameters(arguments: ast.arguments, module: _Module) -> dict[str, Any]:
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return {each.arg: _type_or_any(each.annotation, module) for each in every}


def _type_or_any(annotation: ast.expr | None, module: _Module) -> Any:
    try:
        return Any if annotation is None else _type(annotation, module)
    except (*_NOT_PLAIN, TypeError):  # TypeError: typing refuses the arguments
        return Any


def _type(node: ast.expr, module: _Module) -> Any:
    """The type that an annotation means."""
    match node:
        case ast.Constant(value=None):
            return None
        case ast.Constant(value=str(text)):
            return _type(ast.parse(text, mode="eval").body, module)
        case ast.BinOp(op=ast.BitOr(), left=left, right=right):
            return typing.Union[_type(left, module), _type(right, module)]  # noqa: UP007  of types made here
        case ast.Subscript(value=ast.Name(id="Literal"), slice=values):
            return typing.Literal[ast.literal_eval(values)]
        case ast.Subscript(value=value, slice=ast.Tuple(elts=items)):
            return _type(value, module)[tuple(_type(item, module) for item in items)]
        case ast.Subscript(value=value, slice=item):
            return _type(value, module)[_type(item, module)]
        case ast.Name(id="Ellipsis") | ast.Constant(value=types.EllipsisType()):
            return ...
        case ast.Name(id=name) if name in _TYPES:
            return _TYPES[name]
        case ast.Name(id=name):  # to follow imports for a type would take longer than all the rest
            for statement in module.body:
                if isinstance(statement, ast.Assign) and _bound(statement) == [(name, None)]:
                    return _type(statement.value, module)
    raise _UnknownError
