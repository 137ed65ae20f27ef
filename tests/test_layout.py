"""The tests themselves: what several need is in tests/helpers, so that each file can be run and moved alone."""

import ast
from pathlib import Path


def test_no_test_module_imports_from_another() -> None:
    for path in Path(__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
            assert not module.startswith("tests") or module.startswith("tests.helpers"), f"{path}: {module}"
