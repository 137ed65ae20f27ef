"""The Dockerfile: its lint, and that the files it copies are all that the package is made from."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.runs import CONF

ROOT = CONF.parent
DOCKERFILE = ROOT / "Dockerfile"


def copied() -> list[str]:
    """What .dockerignore lets through: it leaves out all but the names after an exclamation mark."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in lines
    return [line[1:] for line in lines if line.startswith("!")]


def test_lint() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    checked = subprocess.run([hadolint, DOCKERFILE], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


def test_extras_exist_and_commands_are_not_run_as_root() -> None:
    text = DOCKERFILE.read_text()
    wanted = re.search(r'pip install "\.\[(.+?)\]"', text)
    assert wanted is not None
    project = (ROOT / "pyproject.toml").read_text()
    for extra in wanted[1].split(","):
        assert re.search(rf"^{extra} = \[", project, re.MULTILINE), extra
    assert re.findall(r"^USER (.+)$", text, re.MULTILINE) == ["1000"]


@pytest.mark.slow
def test_the_package_installs_from_the_copied_files_alone(tmp_path: Path) -> None:
    for name in copied():
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tmp_path / "source" / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            (tmp_path / "source").mkdir(exist_ok=True)
            shutil.copy(source, tmp_path / "source" / name)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "install", "--no-deps", "--no-index"]
    options: list[str | Path] = ["--no-build-isolation", "--target", tmp_path / "site", tmp_path / "source"]
    subprocess.run([*pip, *options], check=True)
    installed = tmp_path / "site" / "colorization"
    assert (installed / "conf" / "predict.yaml").is_file()
    assert (installed / "models" / "default.safetensors").is_file()
    assert (tmp_path / "site" / "bin" / "colorize").is_file()
