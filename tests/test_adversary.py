"""A discriminator learns along: its own optimizer, as often as the network's, and both resumed where they were."""

import os
import subprocess
import sys
from collections.abc import Callable
from copy import deepcopy
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from pytorch_lightning import Callback, Trainer

from colorization.adversary import Adversary
from colorization.inference import Colorizer
from colorization.module import ColorizationModule
from colorization.objectives.regression import Regression
from colorization.objectives.terms.adversarial import Adversarial
from tests.conftest import CONF, SMALL, make_folder, make_photo, rows, train_in

REPOSITORY = CONF.parent

Fails = Callable[..., str]
GAN = ("objective=adversarial", "objective.terms.adversarial.begin=0", "objective.terms.adversarial.width=8")


def read(run: Path, name: str = "last") -> dict[str, Any]:
    checkpoint: dict[str, Any] = torch.load(run / "checkpoints" / f"{name}.ckpt", weights_only=True)
    return checkpoint


def steps_of(state: dict[str, Any]) -> set[int]:
    return {int(moments["step"]) for moments in state["state"].values()}


@pytest.fixture(scope="module")
def eight(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_folder(tmp_path_factory.mktemp("data") / "photos", 8)


def test_both_optimizers_step_equally_often_and_the_step_count_is_the_network_s(tmp_path: Path, eight: Path) -> None:
    train_in(tmp_path / "run", eight, *GAN, "trainer.max_epochs=2")
    checkpoint = read(tmp_path / "run")
    network = steps_of(checkpoint["optimizer_states"][0])
    assert network == steps_of(checkpoint["adversary"]) == {checkpoint["global_step"]}
    logged = {key for row in rows(tmp_path / "run") for key, value in row.items() if value}
    assert {"train/loss", "train/pixel", "train/adversarial", "train/discriminator", "val/loss"} <= logged


def test_accumulated_gradients_are_one_step_of_both(tmp_path: Path, eight: Path) -> None:
    train_in(tmp_path / "run", eight, *GAN, "trainer.accumulate_grad_batches=2", "data.batch_size=1", "data.size=64")
    checkpoint = read(tmp_path / "run")
    batches = len([row for row in rows(tmp_path / "run") if row["train/loss"]])
    assert steps_of(checkpoint["adversary"]) == {checkpoint["global_step"]}
    assert (
        checkpoint["global_step"] < checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]["total"]["completed"]
    )
    assert batches > 0


def test_the_discriminator_rests_during_the_warm_up(tmp_path: Path, eight: Path) -> None:
    train_in(tmp_path / "run", eight, *GAN, "objective.terms.adversarial.begin=0.5", "trainer.max_epochs=2")
    checkpoint = read(tmp_path / "run")
    assert steps_of(checkpoint["adversary"]) == {checkpoint["global_step"] // 2}
    first, *_, last = [row for row in rows(tmp_path / "run") if row["train/loss"]]
    assert not first.get("train/adversarial")
    assert last["train/adversarial"]


def test_a_term_that_has_begun_goes_on_in_a_longer_run(tmp_path: Path, eight: Path) -> None:
    options = [*GAN, "objective.terms.adversarial.begin=0.4", "scheduler=constant"]
    train_in(tmp_path / "run", eight, *options, "trainer.max_epochs=2")
    train_in(tmp_path / "run", eight, *options, "trainer.max_epochs=8", "ckpt_path=last", "scheduler=constant")
    steps = [row for row in rows(tmp_path / "run") if row["train/loss"]]
    first = next(index for index, row in enumerate(steps) if row["train/adversarial"])
    assert 0 < first < 5
    assert all(row["train/adversarial"] for row in steps[first:])


class _Witness(Callback):
    """Notes both optimizers and the discriminator at the moment when training goes on."""

    def on_train_start(self, trainer: Trainer, pl_module: ColorizationModule) -> None:  # type: ignore[override]
        assert pl_module.adversary is not None
        seen["network"] = deepcopy([optimizer.state_dict() for optimizer in trainer.optimizers])
        seen["adversary"] = deepcopy(pl_module.adversary.state_dict())
        seen["weights"] = deepcopy(pl_module.state_dict())
        seen["step"] = trainer.global_step


seen: dict[str, Any] = {}


def equal(first: Any, second: Any) -> bool:
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(equal(value, second[key]) for key, value in first.items())
    if isinstance(first, (list, tuple)):
        return len(first) == len(second) and all(equal(a, b) for a, b in zip(first, second, strict=True))
    return bool(first == second)


def test_resuming_finds_both_optimizers_exactly_where_they_were(
    tmp_path: Path, eight: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train_in(tmp_path / "run", eight, *GAN, "trainer.max_epochs=2")
    before = read(tmp_path / "run")
    train = import_module("train")
    build = train.build_trainer

    def with_witness(config: dict[str, Any]) -> Trainer:
        trainer: Trainer = build(config)
        trainer.callbacks.append(_Witness())  # type: ignore[attr-defined]
        return trainer

    monkeypatch.setattr(train, "build_trainer", with_witness)
    train_in(tmp_path / "run", eight, *GAN, "trainer.max_epochs=3", "ckpt_path=last")
    assert seen["step"] == before["global_step"] > 0
    assert equal(seen["network"][0]["state"], before["optimizer_states"][0]["state"])
    assert equal(seen["adversary"], before["adversary"])
    assert equal(seen["weights"], before["state_dict"])
    after = read(tmp_path / "run")
    assert steps_of(after["adversary"]) == {after["global_step"]}
    assert after["global_step"] > before["global_step"]


def mirrored(folder: Path, train: int = 1) -> Path:
    """Photos that cuts and flips do not change: squares that are their own mirror images."""
    for index in range(train + 1):
        place = folder / ("train" if index < train else "val")
        place.mkdir(parents=True, exist_ok=True)
        photo = make_photo(40, 40, seed=index)
        photo.paste(photo.crop((0, 0, 20, 40)).transpose(Image.Transpose.FLIP_LEFT_RIGHT), (20, 0))
        photo.save(place / f"{index}.png")
    return folder


def test_resuming_bit_for_bit(tmp_path: Path) -> None:
    """On photos that are cut alike every time, three epochs in one go and with a stop after the second are the same."""
    same = [
        "data.batch_size=8",
        "data.crop_scale=[1.0,1.0]",
        "scheduler=constant",
        "callbacks.checkpoint.save_top_k=-1",
    ]
    common = [*GAN, *same, "callbacks.checkpoint.filename='epoch-{epoch}'", "trainer.max_epochs=3", "data.size=40"]
    photos = mirrored(tmp_path / "photos")
    train_in(tmp_path / "whole", photos, *common)
    train_in(tmp_path / "resumed", photos, *common, f"ckpt_path={tmp_path}/whole/checkpoints/epoch-1.ckpt")
    whole, resumed = (read(tmp_path / name, "epoch-2") for name in ("whole", "resumed"))
    assert equal(whole["state_dict"], resumed["state_dict"])
    assert equal(whole["adversary"], resumed["adversary"])
    assert equal(whole["optimizer_states"], resumed["optimizer_states"])


def test_a_checkpoint_colours_without_its_discriminator(tmp_path: Path, eight: Path) -> None:
    train_in(tmp_path / "run", eight, *GAN)
    colorizer = Colorizer.from_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt")
    assert len(colorizer.objective.terms) == 0


def test_gradients_reach_the_network_and_not_the_discriminator() -> None:
    term = Adversarial(torch.optim.Adam, width=8)
    objective = Regression("l1", terms={"judge": term}).train()
    adversary = Adversary.of(objective)
    assert adversary is not None
    prediction = torch.zeros(1, 2, 16, 16, requires_grad=True)
    lightness, ab = torch.full((1, 1, 16, 16), 50.0), torch.full((1, 2, 16, 16), 20.0)
    term(lightness, objective.decode(prediction), ab).backward()
    assert prediction.grad is not None
    assert float(prediction.grad.abs().sum()) > 0
    assert all(parameter.grad is None for parameter in term.discriminator.parameters())
    prediction.grad = None
    adversary.learn(lightness, objective.decode(prediction), ab, batches=1)
    assert prediction.grad is None
    assert all(parameter.grad is not None for parameter in term.discriminator.parameters())
    assert not any(parameter.requires_grad for parameter in term.discriminator.parameters())


def test_half_of_a_batch_counts_half() -> None:
    term = Adversarial(torch.optim.Adam, width=8).eval()
    adversary = Adversary(term)
    lightness, ab = torch.rand(2, 1, 16, 16) * 100, torch.randn(2, 2, 16, 16) * 20
    predicted = ab * 0
    adversary.learn(lightness, predicted, ab, batches=1)
    whole = [parameter.grad.clone() for parameter in term.discriminator.parameters() if parameter.grad is not None]
    term.discriminator.zero_grad()
    for half in (slice(0, 1), slice(1, 2)):
        adversary.learn(lightness[half], predicted[half], ab[half], batches=2)
    halves = [parameter.grad for parameter in term.discriminator.parameters() if parameter.grad is not None]
    assert len(whole) == len(halves) > 0
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(whole, halves, strict=True))


def test_what_does_not_go_together_with_a_discriminator(fails: Fails, tmp_path: Path, eight: Path) -> None:
    options = ["backbone=resnet18", "backbone.pretrained=false", "logger=none", *GAN, f"hydra.run.dir={tmp_path}/r"]
    second = "+objective/term@objective.terms.second=adversarial"
    assert "several adversarial terms" in fails("train", *options, second, "trainer=cpu", "data.num_workers=0")


def test_two_processes_train_as_one(tmp_path: Path) -> None:
    """Two processes with a photo each do what one does with both: network and discriminator come out alike."""
    photos = mirrored(tmp_path / "photos", train=2)
    common = [*SMALL, *GAN, "data=folder", f"data.root={photos}", "data.crop_scale=[1.0,1.0]", "data.size=40"]
    common += ["backbone.frozen=true", "trainer.max_epochs=2", "optimizer=sgd", "scheduler=constant"]
    optimizer = "objective.terms.adversarial.optimizer"
    common += [f"{optimizer}._target_=torch.optim.SGD", f"~{optimizer}.betas", f"{optimizer}.lr=0.1"]
    several = ["data.batch_size=1", "trainer.devices=2", "trainer.strategy=ddp_spawn"]
    for name, options in (("one", ["data.batch_size=2"]), ("two", several)):
        command = [sys.executable, str(REPOSITORY / "train.py"), *common, *options, f"hydra.run.dir={tmp_path / name}"]
        subprocess.run(
            command, check=True, timeout=600, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(REPOSITORY)}
        )
    one, two = (read(tmp_path / name) for name in ("one", "two"))
    assert one["global_step"] == two["global_step"] == 2
    begun = Adversarial(torch.optim.Adam, width=8).state_dict()
    for key, value in one["state_dict"].items():
        assert torch.allclose(two["state_dict"][key].float(), value.float(), atol=1e-5), key
    assert len([key for key in one["state_dict"] if ".discriminator." in key]) == len(begun) > 0
