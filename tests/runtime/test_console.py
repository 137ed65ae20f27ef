"""Tables reach someone, and a success stays one: on closed pipes, full disks, old terminals, and Ctrl-C in imports."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.helpers.photos import make_photo
from tests.helpers.runs import CONF
from tests.helpers.tiny import write_tiny

PRINT = r"""
from colorization.runtime.console import console, print_table, progress_bar
with progress_bar() as progress:
    progress.advance(progress.add_task("Colouring", total=2), 2)
    console.print("first line")
print_table([["", "value"], ["name \u00e9 \U0001f3a8 \udcff", "1.0"]], "The title")
console.print("last line")
"""


def run(code: str, stdout: int | str, **environment: str) -> subprocess.CompletedProcess[str]:
    target = os.open(stdout, os.O_WRONLY) if isinstance(stdout, str) else stdout
    return subprocess.run(
        [sys.executable, "-c", code],
        stdout=target,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        env={**os.environ, "PYTHONPATH": str(CONF.parent), **environment},
        check=False,
    )


def closed_pipe() -> int:
    reader, writer = os.pipe()
    os.close(reader)
    return writer


@pytest.mark.parametrize("where", ["/dev/full", "closed pipe"])
def test_what_standard_output_does_not_take_goes_to_standard_error(where: str) -> None:
    done = run(PRINT, closed_pipe() if where == "closed pipe" else where)
    assert done.returncode == 0
    for part in ("first line", "The title", "1.0", "last line"):
        assert part in done.stderr
    assert "Traceback" not in done.stderr
    assert "ignored" not in done.stderr


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "utf-8"])
def test_characters_that_a_terminal_lacks_are_escaped(encoding: str) -> None:
    done = run(PRINT, subprocess.PIPE, PYTHONIOENCODING=encoding)
    assert done.returncode == 0
    assert done.stderr == ""
    assert "last line" in done.stdout


@pytest.mark.long
@pytest.mark.parametrize("where", ["/dev/full", "closed pipe"])
def test_a_prediction_that_nobody_listens_to_succeeds(where: str, tmp_path: Path) -> None:
    write_tiny(tmp_path / "tiny.ckpt")
    make_photo(30, 20).save(tmp_path / "x.png")
    code = "import sys; sys.argv[1:] = ['tiny.ckpt', 'x.png', 'device=cpu']\n"
    code += "from colorization.commands.main import predict; predict()"
    done = run(code, closed_pipe() if where == "closed pipe" else where)
    assert done.returncode == 0
    assert "coloured" in done.stderr
    assert (tmp_path / "colorized" / "x.png").is_file()
    code = code.replace("'x.png'", "'-'").replace("import sys", "import sys; sys.stdin = open('x.png')", 1)
    done = run(code, closed_pipe() if where == "closed pipe" else where)
    assert done.returncode == 1
    assert "Error: standard output can't be written: " in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "delay",
    [
        pytest.param(delay, marks=pytest.mark.slow if delay in {0.15, 0.6, 1.5} else pytest.mark.long)
        for delay in (0.05, 0.15, 0.3, 0.6, 1.0, 1.5, 2.5)
    ],
)
def test_ctrl_c_during_imports_ends_in_words(delay: float, tmp_path: Path) -> None:
    make_photo(30, 20).save(tmp_path / "x.png")
    write_tiny(tmp_path / "tiny.ckpt")
    code = "import sys; sys.argv[1:] = ['tiny.ckpt', 'x.png', 'device=cpu']\n"
    code += "import colorization.runtime.stopping; print('ready', flush=True)\n"
    code += "from colorization.commands.main import predict; predict()"
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(CONF.parent)},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # may be ignored in the background
    )
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(delay)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=120)
    assert "Traceback" not in error
    assert process.returncode in (130, 0)
    assert process.returncode == 0 or "Stopped" in error
