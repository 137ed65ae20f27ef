"""How fast training goes, and the gradient's norm: numbers that every logger gets."""

import itertools
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from pytorch_lightning.trainer.states import TrainerFn

from colorization.checkpoints.network import read_checkpoint
from colorization.training import callbacks
from colorization.training.callbacks import Throughput
from tests.helpers.photos import make_folder
from tests.helpers.runs import rows, train_in


class Clockwork:
    """Drives a `Throughput` as a trainer would, with a clock of its own, and takes note of what it logs.

    Args:
        every: the steps from one logged one to the next.
        processes: how many train.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, every: int, processes: int = 1) -> None:
        self.now = 0.0
        monkeypatch.setattr(callbacks.time, "perf_counter", lambda: self.now)
        self.trainer: Any = SimpleNamespace(
            global_step=0, log_every_n_steps=every, world_size=processes, state=SimpleNamespace(fn=TrainerFn.FITTING)
        )
        self.logged: list[tuple[int, dict[str, float]]] = []
        self.module: Any = SimpleNamespace(log_dict=self._log, log=lambda key, value, **_: self._log({key: value}))
        self.throughput = Throughput()

    def _log(self, values: dict[str, float], **options: Any) -> None:
        self.logged.append((self.trainer.global_step, values))

    def batch(self, wait: float, work: float, pictures: int = 4, steps: bool = True) -> None:
        """A batch that is waited and worked for so many seconds."""
        batch = {"name": ["a"] * pictures}
        self.now += wait
        self.throughput.on_train_batch_start(self.trainer, self.module, batch, 0)
        self.now += work
        self.trainer.global_step += steps
        self.throughput.on_train_batch_end(self.trainer, self.module, None, batch, 0)

    def epoch(self) -> None:
        self.throughput.on_train_epoch_start(self.trainer, self.module)

    def validation(self, seconds: float) -> None:
        """A validation, and checkpoints that are written after it."""
        self.throughput.on_validation_start(self.trainer, self.module)
        self.now += seconds
        self.throughput.on_validation_epoch_end(self.trainer, self.module)


def test_speed_and_waiting_are_those_since_they_were_logged_last(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clockwork(monkeypatch, every=2)
    clock.epoch()
    for wait, work in ((3, 1), (1, 3), (0, 1), (0, 1)):
        clock.batch(wait, work)
    assert clock.logged == [
        (2, {"pictures": 8, "throughput/pictures_per_second": 1, "throughput/waiting_for_data": 0.5}),
        (4, {"pictures": 16, "throughput/pictures_per_second": 4, "throughput/waiting_for_data": 0}),
    ]


def test_validation_and_what_follows_it_count_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clockwork(monkeypatch, every=2)
    clock.epoch()
    clock.batch(1, 1)
    clock.validation(100)
    clock.batch(10, 1)  # of which nobody knows how much was the checkpoint's
    clock.validation(100)
    clock.now += 50
    clock.epoch()
    clock.batch(1, 1)
    clock.batch(1, 1)
    speeds = [values for _, values in clock.logged if "throughput/pictures_per_second" in values]
    assert [values["throughput/pictures_per_second"] for values in speeds] == pytest.approx([8 / 3, 2])
    assert [values["throughput/waiting_for_data"] for values in speeds] == pytest.approx([1 / 3, 1 / 2])
    assert [values["pictures"] for _, values in clock.logged] == [4, 8, 8, 16]


def test_a_checkpoint_inside_an_epoch_is_not_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clockwork(monkeypatch, every=2)
    clock.epoch()
    clock.batch(1, 1)
    clock.throughput.on_save_checkpoint(clock.trainer, clock.module, {})
    clock.batch(50, 1)
    assert clock.logged == [
        (2, {"pictures": 8, "throughput/pictures_per_second": 8 / 3, "throughput/waiting_for_data": 1 / 3})
    ]


def test_where_gradients_are_accumulated_every_batch_of_a_logged_step_is(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clockwork(monkeypatch, every=2)
    clock.epoch()
    for steps in (False, True, False, True):
        clock.batch(1, 1, steps=steps)
    assert [(step, values["pictures"]) for step, values in clock.logged] == [(1, 12), (2, 16)]


def test_the_mean_over_processes_is_the_sum_of_what_they_saw(monkeypatch: pytest.MonkeyPatch) -> None:
    shares = []
    for pictures in (4, 3):
        clock = Clockwork(monkeypatch, every=1, processes=2)
        clock.epoch()
        clock.batch(0, 1, pictures=pictures)
        shares.append(clock.logged[0][1]["pictures"])
    assert sum(shares) / 2 == 4 + 3


def test_a_resumed_run_continues_its_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    first = Clockwork(monkeypatch, every=1)
    first.epoch()
    first.batch(0, 1)
    second = Clockwork(monkeypatch, every=1)
    second.throughput.load_state_dict(first.throughput.state_dict())
    second.epoch()
    second.batch(0, 1)
    assert second.logged[0][1]["pictures"] == 8


def test_without_logging_nothing_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clockwork(monkeypatch, every=0)
    clock.epoch()
    clock.batch(0, 1)
    assert clock.logged == []


@pytest.mark.parametrize(
    "objective", [(), ("objective=adversarial", "objective.terms.adversarial.begin=0")], ids=["alone", "adversarial"]
)
def test_the_gradients_norm_is_that_of_a_step_of_sgd(tmp_path: Path, objective: tuple[str, ...]) -> None:
    """Without momentum, decay and clipping, a step of SGD moves the weights by the learning rate times the gradient.
    The discriminator has an optimizer of its own.
    """
    for split, count in (("train", 4), ("val", 1)):
        make_folder(tmp_path / "photos" / split, count)
    train_in(
        tmp_path / "run",
        tmp_path / "photos",
        "data.batch_size=4",
        "optimizer=sgd",
        "optimizer.lr=0.1",
        "optimizer.momentum=0",
        "optimizer.nesterov=false",
        "optimizer.weight_decay=0",
        "scheduler=constant",
        "trainer.gradient_clip_val=null",
        "trainer.max_epochs=3",
        "decoder.width=16",
        *objective,
        "callbacks.checkpoint.save_top_k=-1",
        "callbacks.checkpoint.filename='{epoch}'",
    )
    weights = [
        read_checkpoint(path)["state_dict"] for path in sorted((tmp_path / "run" / "checkpoints").glob("[0-9]*"))
    ]
    logged = [float(row["train/gradient_norm"]) for row in rows(tmp_path / "run") if row["train/gradient_norm"]]
    assert len(weights) == len(logged) == 3
    for (before, after), norm in zip(itertools.pairwise(weights), logged[1:], strict=True):
        fixed = ("running", ".discriminator.")
        learned = [key for key in before if before[key].is_floating_point() and not any(part in key for part in fixed)]
        moved = torch.cat([(after[key] - before[key]).double().flatten() for key in learned]).norm().item()
        assert moved / 0.1 == pytest.approx(norm, rel=1e-3)
        assert norm > 0
