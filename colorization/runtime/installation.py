"""How this package was installed and started, for commands in messages."""

import json
import os
import shlex
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

# The name on the package index, which differs from the import name: `colorization` there is another project.
DISTRIBUTION = "colorization-lightning"
_ROOT = Path(__file__).parent.parent.parent


def install_hint(extra: str) -> str:
    """The command that adds an extra to this installation: to a checkout, or to an installed package."""
    if (_ROOT / "pyproject.toml").is_file():
        return f"pip install -e {_quoted(f'{_ROOT}[{extra}]')}"
    origin = _origin()
    return f"pip install {_quoted(f'{DISTRIBUTION}[{extra}]' + (f' @ {origin}' if origin else ''))}"


def _origin() -> str | None:
    """The URL that this package was installed from, in pip's syntax; None for the package index.

    Source: https://packaging.python.org/en/latest/specifications/direct-url/
    """
    try:
        noted = distribution(DISTRIBUTION).read_text("direct_url.json")
    except PackageNotFoundError:
        return None
    if noted is None:
        return None
    address = json.loads(noted)
    version_control = address.get("vcs_info")
    if version_control is None:
        return str(address["url"])
    return f"{version_control['vcs']}+{address['url']}@{version_control['commit_id']}"


def command_line(name: str) -> str:
    """How to type a command, in the way this program was started.

    Args:
        name: of the command: train, evaluate, predict, export, audit, prepare or app.

    Returns:
        `python train.py` for a checkout's scripts, `python -m colorization train` for the module, otherwise the
        installed `colorize-train`.
    """
    started = Path(sys.argv[0])
    if started.name == "__main__.py" and started.parent.name == "colorization":
        return f"python -m colorization {name}"
    script = started.with_name(f"{name}.py")
    if started.suffix == ".py" and script.is_file() and script.resolve().parent == _ROOT:
        return f"python {shlex.quote(str(script))}"
    return "colorize" if name == "predict" else f"colorize-{name}"


def predict_command(checkpoint: Path, packages: Sequence[str] = ()) -> str:
    """How a checkpoint is used to colour pictures.

    Args:
        checkpoint: its file.
        packages: whose networks it names besides ours.
    """
    options = [f"checkpoint={checkpoint}", *([f"trust=[{','.join(packages)}]"] if packages else [])]
    return f"{command_line('predict')} {shlex.join(options)} PICTURE_OR_FOLDER"


def _quoted(text: str) -> str:
    return f'"{text}"' if os.name == "nt" else shlex.quote(text)
