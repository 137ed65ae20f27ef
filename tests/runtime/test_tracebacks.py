"""A user's own bug ends in a few lines with theirs among them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.runs import CONF, SMALL, TINY

PROGRAM = """
import sys
from colorization.commands.main import COMMANDS
from colorization.decoders.unet import UNetDecoder

def head(x):
    return x.nowhere

UNetDecoder.forward = lambda self, features: head(features[0])
sys.argv[0] = "train"
COMMANDS["train"]()
"""


@pytest.mark.parametrize("whole", [False, pytest.param(True, marks=pytest.mark.long)])
def test_a_bug_in_a_users_code_is_easy_to_see(tmp_path: Path, whole: bool) -> None:
    (tmp_path / "mine.py").write_text(PROGRAM)
    options = [*SMALL, *TINY, "decoder=unet", "data=sample", f"hydra.run.dir={tmp_path}/run"]
    environment = {**os.environ, "PYTHONPATH": str(CONF.parent), "HYDRA_FULL_ERROR": str(int(whole))}
    command = [sys.executable, str(tmp_path / "mine.py"), *options]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 1
    said = done.stderr[done.stderr.index("Traceback") :]
    assert "return x.nowhere" in said
    assert "AttributeError: 'Tensor' object has no attribute 'nowhere'" in said
    if whole:
        assert "site-packages" in said
    else:
        assert len(said.splitlines()) < 20
        assert "pytorch_lightning" not in said
        assert said.endswith("Lines of libraries are left out: HYDRA_FULL_ERROR=1 shows them.\n")
