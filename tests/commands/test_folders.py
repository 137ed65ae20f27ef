"""What a run that was refused leaves behind: nothing."""

from collections.abc import Callable
from pathlib import Path

from tests.helpers.runs import SMALL

Fails = Callable[..., str]


def test_refused_runs_leave_no_folder(tmp_path: Path, fails: Fails) -> None:
    for command, *options in (
        ("train", *SMALL, "seed=-1"),
        ("train", *SMALL, "+sed=1"),
        ("train", *SMALL, "ckpt_path=last"),
        ("train", *SMALL, "data=folder", f"data.root={tmp_path}/nowhere"),
        ("train", *SMALL, "optimizer.lr=-1", "hydra.run.dir=outputs/deeper/run"),
        ("evaluate", "checkpoint=nowhere.ckpt"),
        ("audit", "data=folder", f"data.root={tmp_path}/nowhere"),
    ):
        fails(command, *options)
        left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*"))
        assert left == [], (command, options)


def test_the_current_folder_stays(tmp_path: Path, fails: Fails) -> None:
    fails("train", *SMALL, "seed=-1", "paths.output_dir=.")
    fails("train", *SMALL, "seed=-1", "hydra.run.dir=.")
    assert list(tmp_path.iterdir()) == []


def test_folders_that_hold_something_stay(tmp_path: Path, fails: Fails) -> None:
    (tmp_path / "outputs" / "train" / "before").mkdir(parents=True)
    mine = tmp_path / "run" / "notes.txt"
    mine.parent.mkdir()
    mine.write_text("mine")
    fails("train", *SMALL, "seed=-1")
    fails("train", *SMALL, "seed=-1", "hydra.run.dir=run")
    assert mine.read_text() == "mine"
    assert [path.name for path in (tmp_path / "outputs" / "train").iterdir()] == ["before"]
