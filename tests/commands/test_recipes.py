"""Every recipe trains; the prior is measured once; numbers that are none stop a run before they do harm."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from colorization.checkpoints.network import read_checkpoint, rebuild
from colorization.commands.main import COMMANDS
from colorization.objectives.regression import Regression
from tests.helpers.runs import SMALL, TINY, Compose, options, train_in

Fails = Callable[..., str]
# Experiments with the largest networks.
LARGE = {"ddcolor_tiny", "deoldify_artistic", "deoldify_stable"}


@pytest.mark.parametrize(
    "experiment",
    [pytest.param(name, marks=pytest.mark.long if name in LARGE else ()) for name in options("experiment")],
)
def test_every_experiment_trains(
    tmp_path: Path, vgg_file: Path, vgg16_bn_file: Path, compose_config: Compose, experiment: str
) -> None:
    """Two small steps from random weights, in which every term takes part."""
    small = [value for value in SMALL if value != "backbone=resnet18"]
    steps = ["data=sample", "data.repeats=1", "data.size=64", "+trainer.limit_train_batches=2"]
    if experiment == "default":
        steps.append("~data.val_share")  # the sample photos know none
    overrides = [f"experiment={experiment}", *small, *steps, f"paths.output_dir={tmp_path}"]
    for name, term in compose_config(*overrides)["objective"]["terms"].items():
        overrides.append(f"objective.terms.{name}.begin=0")
        if "weights" in term:
            file = vgg16_bn_file if term["network"] == "vgg16_bn" else vgg_file
            overrides.append(f"objective.terms.{name}.weights={file}")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["train.py", *overrides, f"hydra.run.dir={tmp_path}/run"])
        COMMANDS["train"]()
    checkpoint = read_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt")
    assert checkpoint["global_step"] == 2
    network, objective = rebuild(checkpoint, "last.ckpt")
    assert objective.decode(network(torch.zeros(1, 1, 32, 32))).shape == (1, 2, 32, 32)


def test_the_prior_is_measured_once_and_is_in_the_checkpoint(
    tmp_path: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    common = [*TINY, "objective=classification", f"paths.output_dir={tmp_path}/out"]
    train_in(tmp_path / "run", photos, *common)
    assert "Measuring the colours" in capsys.readouterr().out
    assert len(list((tmp_path / "out" / "priors").iterdir())) == 1
    weights = read_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt")["state_dict"]
    prior = weights["objective.prior"]
    assert float(prior.sum()) == pytest.approx(1, abs=1e-5)
    assert float(prior.max()) > 2 / len(prior)
    for file in (tmp_path / "out" / "priors").iterdir():
        file.unlink()
    train_in(tmp_path / "run", photos, *common, "trainer.max_epochs=2", "ckpt_path=last")
    assert "Measuring the colours" not in capsys.readouterr().out
    weights = read_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt")["state_dict"]
    assert torch.equal(weights["objective.prior"], prior)
    _, objective = rebuild(read_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt"), "last.ckpt")
    assert torch.equal(objective.get_buffer("class_weights"), weights["objective.class_weights"])


def test_a_gradient_that_is_not_finite_stops_the_run(
    tmp_path: Path, photos: Path, fails: Fails, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The square root of 0 has a loss, but no gradient."""
    monkeypatch.setattr(Regression, "pixel_loss", lambda self, prediction, ab: (prediction * 0).sqrt().mean())
    message = fails(
        "train", *SMALL, *TINY, "data=folder", f"data.root={photos}", "data.val_share=0.4",
        f"hydra.run.dir={tmp_path}/r",
    )  # fmt: skip
    assert "the gradient's norm is nan" in message
    assert not (tmp_path / "r" / "checkpoints" / "last.ckpt").exists()


def test_a_loss_that_is_not_finite_stops_the_run(
    tmp_path: Path, photos: Path, fails: Fails, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names the step, the photos and the last good checkpoint, which stays as it was."""
    calls = []

    def spoiled(self: Regression, prediction: torch.Tensor, ab: torch.Tensor) -> torch.Tensor:
        calls.append(1)
        loss = prediction.mean()
        return loss * float("nan") if self.training and len(calls) > 3 else loss

    monkeypatch.setattr(Regression, "pixel_loss", spoiled)
    names = {path.name for path in photos.rglob("*.png")}
    message = fails(
        "train", *SMALL, *TINY, "data=folder", f"data.root={photos}", "data.val_share=0.4", "trainer.max_epochs=9",
        f"hydra.run.dir={tmp_path}/r",
    )  # fmt: skip
    last = tmp_path / "r" / "checkpoints" / "last.ckpt"
    for part in ("loss nan", "at step", str(last), "optimizer.lr"):
        assert part in message
    assert any(name in message for name in names)
    assert all(torch.isfinite(value).all() for value in read_checkpoint(last)["state_dict"].values())
