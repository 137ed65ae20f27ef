"""What Windows and macOS lack is not needed: no signals but Ctrl-C and SIGTERM, no fork, no file locks of POSIX."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.photos import make_folder, make_photo
from tests.helpers.runs import CONF, SMALL, TINY

pytestmark = pytest.mark.long


def run(*words: object) -> str:
    """Runs a command in a process that lacks what only POSIX has; returns what it printed."""
    module = [sys.executable, "-m", "tests.helpers.without_posix"]
    done = subprocess.run(
        [*module, *map(str, words)], cwd=CONF.parent, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_train_and_predict(tmp_path: Path) -> None:
    photos = make_folder(tmp_path / "photos")
    options = [*SMALL, *TINY, "data=folder", f"data.root={photos}", "data.val_share=0.4", "data.num_workers=1"]
    run("train", *options, f"hydra.run.dir={tmp_path / 'run'}")
    make_photo(50, 40).convert("L").save(tmp_path / "old photo.jpg")
    run("predict", tmp_path / "run/checkpoints/best.ckpt", tmp_path / "old photo.jpg", f"output={tmp_path / 'new'}")
    assert (tmp_path / "new" / "old photo.jpg").is_file()


def test_prepare_and_audit(tmp_path: Path) -> None:
    photos = make_folder(tmp_path / "photos")
    run("prepare", photos, tmp_path / "shards", "size=32", "num_workers=1")
    assert json.loads((tmp_path / "shards" / "manifest.json").read_text())["photos"] == 6
    run("audit", "data=shards", f"data.root={tmp_path / 'shards'}", "data.num_workers=1", f"hydra.run.dir={tmp_path}/a")
    assert len((tmp_path / "a" / "audit.csv").read_text().splitlines()) > 1
