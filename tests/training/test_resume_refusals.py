"""Resuming with another folder or other options, and after a kill."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from colorization.checkpoints.network import read_checkpoint
from colorization.training.module import ColorizationModule
from colorization.training.saving import BestCheckpoint
from tests.helpers.photos import make_folder
from tests.helpers.runs import TINY, rows, train_in

Fails = Callable[..., str]
OPTIONS = (*TINY, "data.batch_size=2", "data.val_share=0.2")


class _PowerCutError(Exception):
    pass


@pytest.fixture(scope="module")
def ten_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("ten") / "photos", 10)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, ten_photos: Path) -> Path:
    """The folder of a run that is at its end."""
    folder = tmp_path_factory.mktemp("done") / "run"
    train_in(folder, ten_photos, *OPTIONS)
    return folder


def copied(done: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(done, tmp_path / "run"))


def last(run: Path) -> dict[str, Any]:
    return read_checkpoint(run / "checkpoints" / "last.ckpt")


def refused(fails: Fails, run: Path, photos: Path, *options: str) -> str:
    small = ["data=folder", f"data.root={photos}", f"hydra.run.dir={run}", "logger=none", "trainer=cpu"]
    small += ["data.num_workers=0", "data.size=32", "trainer.precision=32-true", "trainer.max_epochs=1"]
    return fails("train", *small, *OPTIONS, *options)


def test_a_finished_run_that_is_extended_and_killed_resumes(done: Path, tmp_path: Path, ten_photos: Path) -> None:
    """Its old result must not count as that of the longer run."""
    run = copied(done, tmp_path)
    longer = (*OPTIONS, "trainer.max_epochs=3", "ckpt_path=auto")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ColorizationModule, "on_train_epoch_end", _cut_power)
        with pytest.raises(_PowerCutError):
            train_in(run, ten_photos, *longer)
    assert not (run / "result.json").exists()
    train_in(run, ten_photos, *longer)
    assert last(run)["global_step"] == 3 * last(done)["global_step"]
    result = (run / "result.json").read_bytes()
    train_in(run, ten_photos, *longer)
    assert (run / "result.json").read_bytes() == result


def _cut_power(self: ColorizationModule) -> None:
    raise _PowerCutError


@pytest.mark.parametrize("option", ["optimizer.lr=0.5", "seed=1", "data.size=64", "scheduler.warmup=0.1"])
def test_auto_resumes_only_the_same_command(
    done: Path, tmp_path: Path, ten_photos: Path, fails: Fails, option: str
) -> None:
    run = copied(done, tmp_path)
    before = (run / "result.json").read_bytes()
    message = refused(fails, run, ten_photos, "ckpt_path=auto", "trainer.max_epochs=2", option)
    key, _, value = option.partition("=")
    assert f"is of a run with {key}=" in message
    assert f"but this run has {value}" in message
    assert (run / "result.json").read_bytes() == before


def test_last_honours_other_options_and_says_so(done: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, others = copied(done, tmp_path), make_folder(tmp_path / "others", 12)
    train_in(run, others, *OPTIONS, "trainer.max_epochs=2", "ckpt_path=last", "data.size=48", "seed=1")
    said = capsys.readouterr().out
    for key, old, new in (("data.size", 32, 48), ("seed", 0, 1), ("data.root", done.parent.parent, others)):
        assert re.search(rf"resumed with {key}={new}.*begun with {old}", said), key
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert (config["data"]["size"], config["data"]["root"]) == (48, str(others))
    assert last(run)["colorization"]["config"]["data"]["size"] == 48


@pytest.mark.parametrize("option", ["optimizer.lr=0.5", "optimizer=sgd", "scheduler.warmup=0.1", "decoder.width=32"])
def test_last_refuses_what_the_checkpoint_decides_with_both_values(
    done: Path, tmp_path: Path, ten_photos: Path, fails: Fails, option: str
) -> None:
    run = copied(done, tmp_path)
    config = (run / "config.yaml").read_bytes()
    message = refused(fails, run, ten_photos, "ckpt_path=last", "trainer.max_epochs=2", option)
    key, _, new = option.partition("=")
    before = yaml.safe_load(config)
    old = before["optimizer"]["_target_"] if key == "optimizer" else before[key.split(".")[0]][key.split(".")[1]]
    assert f"was trained with {key}" in message
    assert f"={old}, but this run has" in message
    assert new in message.lower()
    assert (run / "config.yaml").read_bytes() == config


def test_time_is_added_up(done: Path, tmp_path: Path, ten_photos: Path) -> None:
    run = copied(done, tmp_path)
    checkpoint = torch.load(run / "checkpoints" / "last.ckpt")
    checkpoint["callbacks"]["LastCheckpoint"]["seconds"] = 5000.0
    torch.save(checkpoint, run / "checkpoints" / "last.ckpt")
    train_in(run, ten_photos, *OPTIONS, "trainer.max_epochs=2", "ckpt_path=last")
    assert 5000 < json.loads((run / "result.json").read_text())["seconds"] < 5600


@pytest.mark.parametrize("moved", [True, False])
def test_the_best_checkpoint_is_copied_to_the_new_folder(tmp_path: Path, moved: bool) -> None:
    before, now = tmp_path / "before", tmp_path / "now"
    before.mkdir()
    (before / "best.ckpt").write_text("the best")
    first = BestCheckpoint(before, monitor="val/loss", mode="min")
    path = str(before / "best.ckpt")
    first.best_model_path = first.kth_best_model_path = path
    first.best_model_score = first.kth_value = torch.tensor(0.5)
    first.best_k_models = {path: torch.tensor(0.5)}
    if moved:
        before.rename(now)
    second = BestCheckpoint(now, monitor="val/loss", mode="min")
    second._resumed_folder = now if moved else before
    second.load_state_dict(first.state_dict())
    here = str(now / "best.ckpt")
    assert Path(here).read_text() == "the best"
    assert second.best_model_path == second.kth_best_model_path == here
    assert second.best_model_score == second.best_k_models[here] == 0.5


def test_a_missing_best_checkpoint_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = BestCheckpoint(tmp_path / "before", monitor="val/loss", mode="min")
    first.best_k_models = {str(tmp_path / "before" / "best.ckpt"): torch.tensor(0.5)}
    second = BestCheckpoint(tmp_path / "now", monitor="val/loss", mode="min")
    second.load_state_dict(first.state_dict())
    assert second.best_model_path == ""
    assert "best.ckpt is no longer beside the checkpoint: the best checkpoint is determined again" in " ".join(
        capsys.readouterr().out.split()
    )


def test_another_run_s_folder_is_not_written_over(done: Path, tmp_path: Path, ten_photos: Path, fails: Fails) -> None:
    run = copied(done, tmp_path)
    before = (run / "checkpoints" / "last.ckpt").read_bytes()
    message = refused(fails, run, ten_photos, f"ckpt_path={done}/checkpoints/last.ckpt", "trainer.max_epochs=2")
    assert f"hydra.run.dir={run} already holds a run" in message
    assert (run / "checkpoints" / "last.ckpt").read_bytes() == before


def test_leftovers_of_a_kill_are_cleaned_up(done: Path, tmp_path: Path, ten_photos: Path) -> None:
    """Half a row of metrics.csv, and half a checkpoint."""
    run = copied(done, tmp_path)
    left = run / "checkpoints" / ".last.4711.part.ckpt"
    left.write_bytes(b"PK")
    whole = rows(run)
    with (run / "metrics.csv").open("a") as file:
        file.write("2,1.0")
    train_in(run, ten_photos, *OPTIONS, "trainer.max_epochs=2", "ckpt_path=last")
    assert not left.exists()
    assert rows(run)[: len(whole)] == whole
    assert all(row["step"].isdecimal() for row in rows(run))


def test_half_a_checkpoint_is_none(tmp_path: Path, ten_photos: Path, fails: Fails) -> None:
    left = tmp_path / "run" / "checkpoints" / ".last.4711.part.ckpt"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"PK")
    message = refused(fails, tmp_path / "other", ten_photos, "ckpt_path=last", f"paths.output_dir={tmp_path}")
    assert "there is no checkpoint in" in message


def test_a_network_without_training_state_can_t_be_resumed(
    done: Path, tmp_path: Path, ten_photos: Path, fails: Fails
) -> None:
    checkpoint = {key: value for key, value in last(done).items() if key in ("state_dict", "colorization")}
    torch.save(checkpoint, tmp_path / "network.ckpt")
    message = refused(fails, tmp_path / "run", ten_photos, f"ckpt_path={tmp_path}/network.ckpt")
    assert "has a network without the state of its training" in message


@pytest.mark.parametrize(("before", "now"), [(2, 4), (4, 2)])
@pytest.mark.parametrize("scheduler", ["one_cycle", "cosine"])
def test_with_another_batch_the_schedule_keeps_its_place(
    tmp_path: Path, ten_photos: Path, scheduler: str, before: int, now: int
) -> None:
    """Two of four epochs are done: two are left, whatever the number of their steps."""
    first, second, whole = (tmp_path / name for name in ("first", "second", "whole"))
    common = (*OPTIONS, f"scheduler={scheduler}", "trainer.max_epochs=4")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ColorizationModule, "on_train_epoch_start", _stop_in_third, raising=False)
        with pytest.raises(_PowerCutError):
            train_in(first, ten_photos, *common, f"data.batch_size={before}")
    other = f"data.batch_size={now}"
    train_in(second, ten_photos, *common, other, f"ckpt_path={first}/checkpoints/last.ckpt")
    train_in(whole, ten_photos, *common, other)
    rates = [[row["lr-AdamW"] for row in rows(run) if row["lr-AdamW"]] for run in (whole, second)]
    assert rates[1][1:] == rates[0][-len(rates[1]) :][1:]  # the first step is made at the rate of the step before
    assert len(rates[1]) == len(rates[0]) / 2


def _stop_in_third(self: ColorizationModule) -> None:
    if self.current_epoch == 2:
        raise _PowerCutError
