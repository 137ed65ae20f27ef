"""A discriminator learns along: its own optimizer, as often as the network's, and both resumed where they were."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, Trainer
from torch.utils._python_dispatch import TorchDispatchMode

from colorization.inference.colorizer import Colorizer
from colorization.objectives.regression import Regression
from colorization.objectives.terms.adversarial import Adversarial
from colorization.training import building
from colorization.training.adversary import Adversary
from colorization.training.module import ColorizationModule
from tests.helpers.photos import make_folder
from tests.helpers.runs import CONF, SMALL, TINY, rows, train_in

REPOSITORY = CONF.parent

Fails = Callable[..., str]
GAN = (*TINY, "objective=adversarial", "objective.terms.adversarial.begin=0", "objective.terms.adversarial.width=8")


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


def test_a_term_that_has_begun_stays_in_a_longer_run(tmp_path: Path, eight: Path) -> None:
    options = [*GAN, "objective.terms.adversarial.begin=0.4", "scheduler=constant"]
    train_in(tmp_path / "run", eight, *options, "trainer.max_epochs=2")
    train_in(tmp_path / "run", eight, *options, "trainer.max_epochs=8", "ckpt_path=last", "scheduler=constant")
    steps = [row for row in rows(tmp_path / "run") if row["train/loss"]]
    first = next(index for index, row in enumerate(steps) if row["train/adversarial"])
    assert 0 < first < 5
    assert all(row["train/adversarial"] for row in steps[first:])


class _Witness(Callback):
    """Records both optimizers and the discriminator when training resumes."""

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
    build = building.build_trainer

    def with_witness(config: dict[str, Any]) -> Trainer:
        trainer: Trainer = build(config)
        trainer.callbacks.append(_Witness())  # type: ignore[attr-defined]
        return trainer

    monkeypatch.setattr(building, "build_trainer", with_witness)
    train_in(tmp_path / "run", eight, *GAN, "trainer.max_epochs=3", "ckpt_path=last")
    assert seen["step"] == before["global_step"] > 0
    assert equal(seen["network"][0]["state"], before["optimizer_states"][0]["state"])
    assert equal(seen["adversary"], before["adversary"])
    assert equal(seen["weights"], before["state_dict"])
    after = read(tmp_path / "run")
    assert steps_of(after["adversary"]) == {after["global_step"]}
    assert after["global_step"] > before["global_step"]


def test_a_checkpoint_colours_without_its_discriminator(tmp_path: Path, eight: Path) -> None:
    train_in(tmp_path / "run", eight, *GAN)
    colorizer = Colorizer.from_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt")
    assert not [*colorizer.model.get_submodule("objective.terms").children()]


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


def test_a_gradient_of_the_discriminator_that_is_not_finite_stops_the_run(
    fails: Fails, tmp_path: Path, eight: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The square root of 0 has a loss, but no gradient."""

    def spoiled(self: Adversarial, lightness: torch.Tensor, predicted: torch.Tensor, ab: torch.Tensor) -> torch.Tensor:
        return (self._judge(lightness, ab) * 0).sqrt().mean()

    monkeypatch.setattr(Adversarial, "discriminator_loss", spoiled)
    data = ["data=folder", f"data.root={eight}", "data.val_share=0.4"]
    message = fails("train", *SMALL, *GAN, *data, f"hydra.run.dir={tmp_path}/r")
    assert "the norm of the discriminator's gradient is nan" in message
    assert not (tmp_path / "r" / "checkpoints" / "last.ckpt").exists()


class _Waits(TorchDispatchMode):
    """Counts how often Python reads a tensor's value, for which it waits for a GPU."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


def test_the_numbers_of_a_step_are_checked_with_two_waits(
    tmp_path: Path, eight: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One for all losses, and one for both gradients."""
    checked = []
    check = ColorizationModule._require_finite

    def counted(self: ColorizationModule, numbers: dict[str, torch.Tensor], names: list[str]) -> None:
        with _Waits() as waits:
            check(self, numbers, names)
        checked.append((sorted(numbers), waits.count))

    monkeypatch.setattr(ColorizationModule, "_require_finite", counted)
    train_in(tmp_path / "run", eight, *GAN)
    losses = [f"train/{name}" for name in ("adversarial", "discriminator", "loss", "pixel")]
    norms = ["the gradient's norm is", "the norm of the discriminator's gradient is"]
    steps = read(tmp_path / "run")["global_step"]
    assert checked == [(losses, 1), (norms, 1)] * steps + [(["val/loss"], 1)]


def test_what_does_not_go_together_with_a_discriminator(fails: Fails, tmp_path: Path, eight: Path) -> None:
    options = ["logger=none", *GAN, f"hydra.run.dir={tmp_path}/r"]
    second = "+objective/term@objective.terms.second=adversarial"
    assert "several adversarial terms" in fails("train", *options, second, "trainer=cpu", "data.num_workers=0")
