"""What messages tell people to type, however the package was installed and started."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from colorization.runtime import installation
from colorization.runtime.installation import command_line, install_hint
from tests.helpers.runs import CONF

REPOSITORY = CONF.parent


def test_a_checkout_is_installed_from_its_folder() -> None:
    assert install_hint("film") == f"pip install -e '{REPOSITORY}[film]'"


@pytest.mark.parametrize(
    ("noted", "hint"),
    [
        (None, "pip install 'colorization-lightning[film]'"),
        (
            {"url": "file:///a/b.whl", "archive_info": {}},
            "pip install 'colorization-lightning[film] @ file:///a/b.whl'",
        ),
        (
            {"url": "https://example.org/c.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}},
            "pip install 'colorization-lightning[film] @ git+https://example.org/c.git@abc'",
        ),
    ],
)
def test_a_wheel_is_installed_from_where_it_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, noted: dict[str, Any] | None, hint: str
) -> None:
    place = tmp_path / "colorization_lightning-1.0.dist-info"
    place.mkdir()
    (place / "METADATA").write_text("Metadata-Version: 2.1\nName: colorization-lightning\nVersion: 1.0\n")
    if noted is not None:
        (place / "direct_url.json").write_text(json.dumps(noted))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(installation, "_ROOT", tmp_path)
    assert install_hint("film") == hint


@pytest.mark.parametrize(
    ("started", "predict", "train"),
    [
        ("train.py", "python predict.py", "python train.py"),
        (str(REPOSITORY / "evaluate.py"), f"python {REPOSITORY}/predict.py", f"python {REPOSITORY}/train.py"),
        ("/bin/colorize-train", "colorize", "colorize-train"),
        ("/lib/colorization/__main__.py", "python -m colorization predict", "python -m colorization train"),
        ("/elsewhere/train.py", "colorize", "colorize-train"),
    ],
)
def test_commands_are_named_as_the_user_types_them(
    monkeypatch: pytest.MonkeyPatch, started: str, predict: str, train: str
) -> None:
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.setattr(sys, "argv", [started])
    assert (command_line("predict"), command_line("train")) == (predict, train)
