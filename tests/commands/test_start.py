"""Refused commands do not wait for PyTorch."""

import json
import subprocess
import sys
from pathlib import Path

from benchmarks.start import HELP, REFUSED, make_files

COMMANDS = [*HELP[:1], *REFUSED[::8]]  # the benchmark runs all of them

PROGRAM = """
import contextlib, io, json, sys
from colorization.commands.main import COMMANDS
from colorization.errors import ColorizationError
for command in json.load(sys.stdin):
    name, *words = command.split()
    text = ""
    with contextlib.redirect_stdout(io.StringIO()):
        try:
            COMMANDS[name].with_options(*words)
        except (ColorizationError, SystemExit) as error:
            text = str(error)
    imported = sorted({"torch", "torchvision", "pytorch_lightning", "optuna", "gradio", "onnx"} & set(sys.modules))
    print(json.dumps([command, text, imported]), flush=True)
"""


def test_refused_commands_and_help_import_no_pytorch(tmp_path: Path) -> None:
    make_files(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=json.dumps(COMMANDS),
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(__file__).parent.parent.parent), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [command for command, _, _ in found] == COMMANDS
    assert [(command, imported) for command, _, imported in found if imported] == []
    assert [command for command, text, _ in found if not text and command in REFUSED] == []
    assert {path.name for path in tmp_path.iterdir()} <= {"photo.jpg", "photos", "empty", ".config", ".cache"}
