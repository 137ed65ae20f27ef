"""Sweeps: jobs that fail, the leaderboard, the contact sheet, and every preset."""

import csv
import json
import math
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from colorization.color import gray_ab, rgb_to_lab
from colorization.commands.main import COMMANDS
from colorization.figures.panels import make_titled_grid
from colorization.inference.colorizer import Colorizer
from colorization.metrics.scores import render
from colorization.sweeps import __main__ as command
from colorization.sweeps.jobs import SweepError
from colorization.sweeps.leaderboard import Leaderboard, close_sweep
from colorization.sweeps.results import Result, differing_keys, find_jobs, read_result
from colorization.sweeps.sheet import held_out, make_sheet
from tests.helpers import toy_sweep
from tests.helpers.photos import make_folder
from tests.helpers.runs import SMALL, RunScript, leaderboard, sweep_toy


def write_job(
    sweep: Path, name: str, scores: dict[str, float], monitor: str = "val/loss", mode: str = "min", **options: Any
) -> None:
    """A job's folder as a run leaves it. `options` are its options, and `objective`, `photos` and `error`."""
    told = {key: options.pop(key) for key in ("photos", "error") if key in options}
    objective = options.get("objective", "regression")
    overrides = [f"{key}={value}" for key, value in options.items()]
    Result(overrides, 2.0, monitor=monitor, mode=mode, scores=scores, **told).write(sweep / name)
    (sweep / name / "config.yaml").write_text(f"objective: {{_target_: {objective}}}")


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of two objectives and two learning rates, of which one can't be."""
    folder = tmp_path_factory.mktemp("grid")
    make_folder(folder / "photos", 8)
    sweep_in(folder)
    return folder / "sweep"


def sweep_in(folder: Path, *options: str) -> None:
    """Makes the sweep, of the photos in this folder, and leaves a file with its message there."""
    arguments = ["-m", *SMALL, "decoder=autoencoder", "decoder.width=16", "data=folder", f"data.root={folder}/photos"]
    arguments += ["data.val_share=0.4", "objective=regression,classification", "optimizer.lr=1e-3,-1"]
    arguments += [f"hydra.sweep.dir={folder}/sweep", f"paths.output_dir={folder}", *options]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["train.py", *arguments])
        with pytest.raises(SystemExit) as stop:
            COMMANDS["train"]()
    (folder / "message").write_text(str(stop.value.code))


def test_a_failed_job_does_not_end_the_others(grid: Path) -> None:
    message = (grid.parent / "message").read_text()
    assert message.startswith(f"Error: 2 of 4 jobs failed, see {grid}/leaderboard.md; job 1: optimizer.lr=-1.0")
    rows = leaderboard(grid)
    assert [row["status"] for row in rows] == ["done", "done", "failed", "failed"]
    assert {row["job"] for row in rows[2:]} == {"1", "3"}
    assert all("optimizer.lr=-1.0 is out of range" in row["error"] for row in rows[2:])
    assert "optimizer.lr=-1.0 is out of range" in (grid / "1" / "train.log").read_text()
    assert "Traceback" not in (grid / "1" / "train.log").read_text()


def test_the_leaderboard_has_options_scores_and_differences_to_gray(grid: Path) -> None:
    for row in leaderboard(grid)[:2]:
        result = json.loads((grid / row["job"] / "result.json").read_text())
        assert f"objective={row['objective']}" in result["overrides"]
        assert row["optimizer.lr"] == "0.001"
        assert "backbone" not in row  # the same for all
        for key in ("psnr", "ciede2000"):
            value, gray = result["scores"][f"val/{key}"], result["scores"][f"val/gray_{key}"]
            assert float(row[key]) == value
            assert float(row[f"{key}_difference_to_gray"]) == pytest.approx(value - gray)
        assert float(row["seconds"]) > 0
        assert (grid / row["checkpoint"]).is_file()
    assert [row["sorted_by"] for row in leaderboard(grid)] == ["val/psnr"] * 4
    assert float(leaderboard(grid)[0]["value"]) > float(leaderboard(grid)[1]["value"])
    text = (grid / "leaderboard.md").read_text()
    for part in ("| regression |", "| classification |", "job 1 failed", "psnr (dB)", "contact_sheet.png", "at 32 px"):
        assert part in text
    assert str(grid) not in text.replace(str(grid.parent / "photos"), "")


def test_scores_in_the_leaderboard_are_those_of_the_run(grid: Path) -> None:
    with (grid / "0" / "metrics.csv").open() as file:
        logged = [float(row["val/psnr"]) for row in csv.DictReader(file) if row["val/psnr"]]
    result = read_result(grid / "0")
    assert result is not None
    assert result.scores["val/psnr"] == pytest.approx(logged[0], abs=1e-4)
    assert result.seconds < 600


def test_the_contact_sheet_shows_the_same_photos_as_each_job_colours_them(grid: Path) -> None:
    jobs = [job for job in find_jobs(grid) if job.checkpoint is not None]
    assert [job.name for job in jobs] == ["0", "2"]
    truth, names = held_out(jobs[0])
    assert truth.shape[1:] == (3, 256, 256)
    assert len(truth) == len(names) > 0
    sheet = make_sheet(jobs, ["a", "b"])
    rows = []
    for job in jobs:
        assert job.checkpoint is not None
        rows.append(Colorizer.from_checkpoint(job.checkpoint, "cpu")(truth))
    assert not torch.equal(rows[0], rows[1])
    lightness = rgb_to_lab(truth)[:, :1]
    columns = torch.stack([render(lightness, gray_ab(lightness)), *rows, truth], dim=1)
    expected = make_titled_grid([list(row) for row in columns], ["gray", "a", "b\nof two lines", "truth"], names)
    sheet = make_sheet(jobs, ["a", "b\nof two lines"])
    assert sheet.tobytes() == expected.tobytes()
    with Image.open(grid / "contact_sheet.png") as written:
        assert written.width == sheet.width
        assert written.height > sheet.height  # a line for each option


def test_a_finished_sweep_is_not_overwritten(grid: Path, run_script: RunScript) -> None:
    before = [read_result(grid / name) for name in "0123"]
    with pytest.raises(SystemExit, match="already holds a sweep"):
        run_script("train", "-m", *SMALL, "data=sample", "seed=1,2", f"hydra.sweep.dir={grid}")
    assert [read_result(grid / name) for name in "0123"] == before


def test_a_job_that_fails_after_its_result_keeps_the_scores(grid: Path, tmp_path: Path) -> None:
    """A resumed job may be refused."""
    shutil.copytree(grid.parent, tmp_path, dirs_exist_ok=True)
    before = read_result(tmp_path / "sweep" / "0")
    sweep_in(tmp_path, "ckpt_path=auto", "seed=1")
    after = read_result(tmp_path / "sweep" / "0")
    assert before is not None
    assert after is not None
    assert after.scores == before.scores
    assert after.overrides == before.overrides
    assert "is of a run with seed=0, but this run has 1" in str(after.error)


def test_a_sweep_resumes_where_it_stopped(grid: Path, tmp_path: Path) -> None:
    """A job that is done stays as it is; one that had only to be scored is scored; one that failed fails again."""
    shutil.copytree(grid.parent, tmp_path, dirs_exist_ok=True)
    sweep_in(tmp_path, "ckpt_path=auto")  # it is another folder: both are scored again
    first, third = ((tmp_path / "sweep" / name / "result.json") for name in "02")
    before = first.read_bytes()
    third.unlink()
    sweep_in(tmp_path, "ckpt_path=auto")
    assert (tmp_path / "message").read_text().startswith("Error: 2 of 4 jobs failed")
    assert first.read_bytes() == before
    now, ever = read_result(third.parent), read_result(grid / "2")
    assert now is not None
    assert ever is not None
    assert now.scores == ever.scores
    assert list(leaderboard(tmp_path / "sweep")[0]) == list(leaderboard(grid)[0])


def test_sorting_follows_the_monitored_metric(tmp_path: Path) -> None:
    for mode, monitor in (("max", "val/psnr"), ("min", "val/ciede2000")):
        for name, value in enumerate((3.0, 1.0, 2.0, math.nan)):
            write_job(tmp_path / mode, str(name), {monitor: value, "val/loss": -value}, monitor, mode, seed=name)
        board = Leaderboard(find_jobs(tmp_path / mode))
        ranked = [job.name for job in board.jobs]
        assert ranked == (["0", "2", "1", "3"] if mode == "max" else ["1", "2", "0", "3"])
        assert board.metric == monitor
        assert "3" not in board.ranks
        assert board.notes == []


def test_losses_of_different_objectives_are_not_compared(tmp_path: Path) -> None:
    write_job(tmp_path, "0", {"val/loss": 0.01, "val/psnr": 20.0}, objective="regression")
    write_job(tmp_path, "1", {"val/loss": 7.0, "val/psnr": 21.0}, objective="classification")
    board = Leaderboard(find_jobs(tmp_path))
    assert [job.name for job in board.jobs] == ["1", "0"]
    assert board.metric == "val/psnr"
    assert "losses of different objectives" in board.notes[0]
    write_job(tmp_path, "1", {"val/loss": 7.0, "val/psnr": 21.0}, objective="regression")
    assert Leaderboard(find_jobs(tmp_path)).metric == "val/loss"


def test_a_column_s_title_says_what_is_special_about_the_job(tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "backbone": "vgg16",
        "seed": 3,
        "optimizer.lr": 0.000123456,
        "objective.loss": "l1",
        "decoder": "unet",
    }
    write_job(tmp_path, "0", {"val/loss": 1.0, "val/psnr": 20.123}, **options)
    write_job(tmp_path, "1", {"val/loss": 2.0}, decoder="unet")
    board = Leaderboard(find_jobs(tmp_path))
    titles = [board.column_title(job) for job in board.jobs]
    assert titles == ["1. job 0, 20.12 dB\nvgg16\nseed=3\nlr=0.0001235\nloss=l1", "2. job 1"]


def test_scores_that_can_t_be_compared_are_noted(tmp_path: Path) -> None:
    write_job(tmp_path, "0", {"val/psnr": 20.0}, "val/psnr", "max", photos="ten photos")
    write_job(tmp_path, "1", {"val/psnr": 21.0, "val/ssim": 0.9}, "val/ssim", "max", photos="eleven photos")
    notes = Leaderboard(find_jobs(tmp_path)).notes
    assert any("different photos" in note for note in notes)
    assert any("different metrics" in note for note in notes)


def test_jobs_are_in_the_order_of_their_numbers_and_killed_ones_count(tmp_path: Path) -> None:
    for number in (10, 9, 2):
        write_job(tmp_path, str(number), {"val/loss": float(number)}, seed=number)
    (tmp_path / "11" / ".hydra").mkdir(parents=True)
    (tmp_path / "11" / ".hydra" / "overrides.yaml").write_text("- seed=11\n- data.root='a=b'\n")
    jobs = find_jobs(tmp_path)
    assert [job.name for job in jobs] == ["2", "9", "10", "11"]
    assert jobs[-1].overrides == {"seed": "11", "data.root": "'a=b'"}
    assert "killed" in str(jobs[-1].error)
    assert differing_keys(jobs) == ["seed", "data.root"]
    with pytest.raises(SweepError, match="1 of 4 jobs failed"):
        close_sweep(tmp_path)
    assert [row["job"] for row in leaderboard(tmp_path)] == ["2", "9", "10", "11"]
    assert not (tmp_path / "contact_sheet.png").exists()


def test_a_folder_without_runs_or_with_a_corrupt_result_gets_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "0").mkdir()
    monkeypatch.setattr(sys, "argv", ["sweeps", str(tmp_path)])
    with pytest.raises(SystemExit, match=r"Error: .* contains no training runs"):
        command.main()
    (tmp_path / "0" / "result.json").write_text("{")
    with pytest.raises(SystemExit, match=r"Error: .*result\.json is corrupt"):
        command.main()
    monkeypatch.setattr(sys, "argv", ["sweeps"])
    with pytest.raises(SystemExit, match="2"):
        command.main()


def test_a_bug_in_a_job_is_in_its_log_and_the_others_continue() -> None:
    message = sweep_toy("-m", f"seed={toy_sweep.BUG},1,{toy_sweep.MISTAKE},2")
    assert str(message).startswith("Error: 2 of 4 jobs failed")
    assert "ZeroDivisionError: a bug" in str(message)
    assert [job.error is None for job in find_jobs(Path("sweep"))] == [False, True, False, True]
    log = Path("sweep/0/train.log").read_text()
    assert "Traceback" in log
    assert 'raise ZeroDivisionError("a bug")' in log
    assert "Traceback" not in Path("sweep/2/train.log").read_text()
    assert "seed is not to my taste" in Path("sweep/2/train.log").read_text()


def test_ctrl_c_ends_all_jobs(capsys: pytest.CaptureFixture[str]) -> None:
    assert sweep_toy("-m", f"seed=1,{toy_sweep.STOP},2") == 130
    assert not Path("sweep/2").exists()
    assert "Stopped: leaderboard of the finished jobs: python -m colorization.sweeps sweep" in capsys.readouterr().err


def test_a_multirun_without_failures_ends_well() -> None:
    assert sweep_toy("-m", "optimizer.lr=1e-2,1e-3,1e-4") == 0
    assert [row["job"] for row in leaderboard(Path("sweep"))] == ["1", "0", "2"]


def test_a_single_run_fails_as_ever() -> None:
    assert sweep_toy(f"seed={toy_sweep.MISTAKE}", "hydra.run.dir=run") == "Error: seed is not to my taste"
    with pytest.raises(ZeroDivisionError):
        sweep_toy(f"seed={toy_sweep.BUG}", "hydra.run.dir=run")
