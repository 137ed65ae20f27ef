"""Signatures from source files are those of the imported classes."""

import re
from pathlib import Path
from typing import Any

import pytest

from colorization.config.declared import declared
from colorization.config.instantiate import locate, parameters, takes_anything
from tests.helpers.runs import CONF

TARGETS = sorted(
    {name for path in CONF.rglob("*.yaml") for name in re.findall(r"_target_: ([\w.]+)", path.read_text())}
)
# Decorators, two base classes: their imports decide.
NOT_PLAIN = {
    "hydra_plugins.colorization_optuna.OptunaSweeper",
    "optuna.samplers.TPESampler",
    "pytorch_lightning.loggers.TensorBoardLogger",
}


@pytest.mark.parametrize("name", TARGETS)
def test_every_option_is_known_without_importing_it(name: str) -> None:
    found = declared(name)
    assert (found is None) == (name in NOT_PLAIN)
    if found is None or name.startswith("optuna."):
        return
    target = locate(name, "_target_")
    imported = parameters(target)
    assert (found.name, found.takes_anything) == (target.__name__, takes_anything(target))
    assert found.accepted.keys() == imported.keys()
    for key, kind in found.accepted.items():
        if kind is not Any and "declared.Tensor" not in str(kind):
            assert kind == imported[key], key


SOURCES = {
    "class Part:\n    def __init__(self, a: int, b: 'str | None' = None) -> None: ...": {"a": int, "b": str | None},
    "class Base:\n    def __init__(self, a: int) -> None: ...\nclass Part(Base):\n"
    "    def __init__(self, b: float, **more: object) -> None: ...": {"a": int, "b": float},
    "from other import Part": {"c": bool},
    "from .other import Part": {"c": bool},
    "from typing import Literal\nMode = Literal['x', 'y']\ndef Part(mode: Mode, path: Path) -> None: ...": None,
    "import functools\n@functools.cache\ndef Part(a: int) -> None: ...": None,
    "from dataclasses import dataclass\n@dataclass\nclass Part:\n    a: int": None,
    "if 1:\n    def Part(a: int) -> None: ...": None,
    "from other import *": None,
    "def Part(:": None,
    "from mine.part import Part": None,
}


@pytest.mark.parametrize("source", SOURCES)
def test_only_plain_code_is_understood(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "mine"
    package.mkdir()
    for path in (tmp_path / "other.py", package / "other.py"):
        path.write_text("class Part:\n    def __init__(self, c: bool) -> None: ...")
    (package / "__init__.py").write_text("raise RuntimeError")  # is not imported
    (package / "part.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    declared.cache_clear()
    found = declared("mine.part.Part")
    if "Literal" in source:
        assert found is not None
        assert [str(kind) for kind in found.accepted.values()] == ["typing.Literal['x', 'y']", "typing.Any"]
    else:
        assert (found and found.accepted) == SOURCES[source]


def test_what_does_not_exist() -> None:
    for name in ("torch.optim.Nothing", "no_package.Part", "Part", "", "a..b", "sys.exit", "__main__.x"):
        assert declared(name) is None
