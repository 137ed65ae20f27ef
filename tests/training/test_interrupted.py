"""What can happen to a run from outside: another training in its folder, other photos, a killed loader process."""

import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from colorization.checkpoints.network import read_checkpoint
from colorization.data.order import EpochOrder
from colorization.training import lock
from colorization.training.module import ColorizationModule
from colorization.training.resume import find_resume
from tests.helpers.photos import make_folder, make_photo
from tests.helpers.runs import SMALL, TINY, train_in

Fails = Callable[..., str]
OPTIONS = (*TINY, "data.batch_size=2", "data.val_share=0.2", "callbacks.last_checkpoint.minutes=0")


class _PowerCutError(Exception):
    pass


@pytest.fixture
def ten_photos(tmp_path: Path) -> Path:
    return make_folder(tmp_path / "ten", 10)


def last(run: Path) -> dict[str, Any]:
    return read_checkpoint(run / "checkpoints" / "last.ckpt")


def break_off(run: Path, photos: Path, step: int, *options: str) -> None:
    """Trains until so many steps have begun."""
    original, called = ColorizationModule.training_step, iter(range(1, 1_000_000))

    def failing(self: ColorizationModule, *arguments: Any) -> Any:
        if next(called) == step:
            raise _PowerCutError
        return original(self, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ColorizationModule, "training_step", failing)
        with pytest.raises(_PowerCutError):
            train_in(run, photos, *OPTIONS, "trainer.max_epochs=2", *options)


def resume(run: Path, photos: Path, how: str = "last", *options: str) -> None:
    train_in(run, photos, *OPTIONS, "trainer.max_epochs=2", f"ckpt_path={how}", *options)


def refused(fails: Fails, run: Path, photos: Path, how: str) -> str:
    small = [*SMALL, "data=folder", f"data.root={photos}", f"hydra.run.dir={run}"]
    return fails("train", *small, *OPTIONS, "trainer.max_epochs=2", f"ckpt_path={how}")


def _hold(run: Path, ready: Any) -> None:
    with lock.locked(run):
        ready.set()
        signal.pause()


def test_a_second_training_in_one_folder_says_who_holds_it(
    tmp_path: Path, ten_photos: Path, fails: Fails, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "_SECONDS", 0.2)
    fork = multiprocessing.get_context("fork")
    ready = fork.Event()
    first = fork.Process(target=_hold, args=(tmp_path / "run", ready))
    first.start()
    assert ready.wait(60)
    message = refused(fails, tmp_path / "run", ten_photos, "auto")
    assert f"is in use by another training (process {first.pid} on " in message
    assert not (tmp_path / "run" / "checkpoints").exists()
    first.kill()
    first.join()
    with lock.locked(tmp_path / "run"):  # a dead process holds nothing
        pass
    with lock.locked(tmp_path / "run"):
        pass


def test_the_newest_checkpoint_is_the_one_with_the_most_steps(tmp_path: Path, ten_photos: Path) -> None:
    run = tmp_path / "run"
    train_in(run, ten_photos, *OPTIONS)
    newest = last(run)["global_step"]
    for name, step, date in (("last", newest, 1_000), ("previous", newest - 1, 3_000), ("best", newest - 2, 2_000)):
        path = run / "checkpoints" / f"{name}.ckpt"
        checkpoint = torch.load(run / "checkpoints" / "last.ckpt")
        torch.save({**checkpoint, "global_step": step}, path)
        os.utime(path, (date, date))
    found = find_resume("last", run, tmp_path)
    assert found is not None
    assert found[0].name == "last.ckpt"
    (run / "checkpoints" / "last.ckpt").write_bytes(b"half")
    found = find_resume("auto", run, tmp_path)
    assert found is not None
    assert found[0].name == "previous.ckpt"


@pytest.mark.parametrize("step", [3, 5], ids=["inside an epoch", "at the end of an epoch"])
@pytest.mark.parametrize("change", ["added", "removed", "replaced"])
def test_photos_that_changed_since_the_stop_are_noticed(
    tmp_path: Path, ten_photos: Path, capsys: pytest.CaptureFixture[str], change: str, step: int
) -> None:
    run = tmp_path / "run"
    break_off(run, ten_photos, step)
    before = (run / "checkpoints" / "last.ckpt").read_bytes()
    if change == "added":
        for index in range(40, 50):
            make_photo(48, 40, seed=index).save(ten_photos / f"new {index}.png")
    elif change == "removed":
        (ten_photos / "photo 0.png").unlink()
    else:
        make_photo(30, 30, seed=77).save(ten_photos / "photo 0.png")
    with pytest.raises(SystemExit, match="the photos have changed since the checkpoint was written"):
        train_in(run, ten_photos, *OPTIONS, "trainer.max_epochs=2", "ckpt_path=auto")
    assert (run / "checkpoints" / "last.ckpt").read_bytes() == before
    capsys.readouterr()
    resume(run, ten_photos)
    said = " ".join(capsys.readouterr().out.split())
    assert "Warning: the photos have changed since the checkpoint was written: " in said
    assert ("other sizes or dates" in said) == (change == "replaced")
    assert last(run)["epoch"] == 1
    resume(run, ten_photos, "last", "trainer.max_epochs=3")
    assert "have changed" not in capsys.readouterr().out


def test_a_copy_of_the_photos_elsewhere_is_resumed_with(
    tmp_path: Path, ten_photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also if the copy has dates of its own, as `cp -r` gives it."""
    run = tmp_path / "run"
    break_off(run, ten_photos, 3)
    shutil.copytree(ten_photos, tmp_path / "copy")
    for path in (tmp_path / "copy").rglob("*.png"):
        os.utime(path)
    resume(run, tmp_path / "copy", "auto")
    assert "other sizes or dates" in capsys.readouterr().out
    assert last(run)["epoch"] == 1


def test_a_checkpoint_of_0_1_0_with_a_sentence_for_its_order_is_resumed(
    tmp_path: Path, ten_photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    break_off(run, ten_photos, 3)
    path = run / "checkpoints" / "last.ckpt"
    checkpoint = torch.load(path)
    count = checkpoint["position"]["order"]["photos"]["train"]["count"]
    checkpoint["position"]["order"] = f"{count} photos with seed=0"
    torch.save(checkpoint, path)
    resume(run, ten_photos, "auto")
    assert "have changed" not in capsys.readouterr().out
    assert last(run)["epoch"] == 1


def test_orders_are_read_from_what_checkpoints_hold() -> None:
    photos = {"train": {"count": 8, "names": "a", "stamps": "b"}}
    order = EpochOrder(3, None, 16, photos)
    assert EpochOrder.read(order._asdict()) == order
    old = EpochOrder.read("8 photos with seed=3, data.buffer=5")
    assert old == EpochOrder(3, 5, None, {"train": {"count": 8}})
    assert not old.has_same_course(order)
    assert old._replace(buffer=None).has_same_course(order)
    assert not any(old.changes(order))
    for nothing in ("text", 3, None, {}, {"seed": 1}, {**order._asdict(), "photos": [1]}):
        assert EpochOrder.read(nothing) is None


@pytest.mark.slow
@pytest.mark.parametrize("accumulate", [1, pytest.param(2, marks=pytest.mark.long)])
def test_a_killed_loader_process_ends_the_run_with_a_checkpoint_and_a_sentence(
    tmp_path: Path, fails: Fails, accumulate: int
) -> None:
    run, photos = tmp_path / "run", make_folder(tmp_path / "photos", 40)
    original = ColorizationModule.training_step

    def killing(self: ColorizationModule, batch: Any, batch_idx: int) -> Any:
        if self.current_epoch == 1 and batch_idx == 1:
            for child in multiprocessing.active_children():
                os.kill(child.pid or 0, signal.SIGKILL)
        return original(self, batch, batch_idx)

    options = ("data.num_workers=1", f"trainer.accumulate_grad_batches={accumulate}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ColorizationModule, "training_step", killing)
        message = fails(
            "train", *SMALL, "data=folder", f"data.root={photos}", f"hydra.run.dir={run}", *OPTIONS,
            "trainer.max_epochs=2", "callbacks.last_checkpoint.minutes=99", *options,
        )  # fmt: skip
    assert "loader process" in message
    assert "give a smaller data.num_workers (now 1)" in message
    saved = f"{run}/checkpoints/last.ckpt"
    assert f"the last checkpoint is {saved}; resume with ckpt_path=last hydra.run.dir={run}" in message
    assert last(run)["position"]["epoch"] == 1
    resume(run, photos, "last", *options)
    whole = tmp_path / "whole"
    train_in(whole, photos, *OPTIONS, "trainer.max_epochs=2", *options)
    first, second = (last(folder)["state_dict"] for folder in (run, whole))
    assert all(torch.equal(first[key], second[key]) for key in second)
