"""The LightningModule: trains and validates a network with an objective."""

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pytorch_lightning import LightningModule
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ReduceLROnPlateau
from torchmetrics import MeanMetric

from colorization.checkpoints.network import ENTRY, describe
from colorization.color import ab_bins, normalize_lightness
from colorization.compat.torch import forget_length
from colorization.data.datamodule import PhotoDataModule
from colorization.data.order import Changes, EpochOrder, Position
from colorization.data.prior import cached_prior
from colorization.errors import CheckpointError, ConfigError, TrainingError
from colorization.metrics.scores import Scores, render
from colorization.network import ColorizationNetwork
from colorization.objectives.base import Objective
from colorization.runtime.console import warn
from colorization.training.adversary import Adversary, gradient_norm, has_whole_network
from colorization.training.saving import LastCheckpoint


class ColorizationModule(LightningModule):
    """Combines network, objective, optimizer and schedule.

    Batches come from `PhotoDataModule`: `lightness` `(B, 1, H, W)` in 0..100, `seen`, the network's input of the same
    shape, `ab` `(B, 2, H, W)`, `rgb` uint8 `(B, 3, H, W)` and `name`.

    Args:
        network: lightness to the objective's map.
        objective: the map's meaning and loss.
        config: the resolved configuration, stored in every checkpoint.
        optimizer: builds the optimizer from the trained parameters.
        scheduler: builds the learning-rate schedule, see `colorization.schedulers`.
    """

    def __init__(
        self,
        network: ColorizationNetwork,
        objective: Objective,
        config: Mapping[str, Any],
        optimizer: Callable[[Iterable[Any]], Optimizer] | None = None,
        scheduler: Callable[[Optimizer, int], dict[str, Any] | None] | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.objective = objective
        self.config = config
        self.make_optimizer = optimizer
        self.make_scheduler = scheduler
        self.adversary = Adversary.of(objective)
        self.total_steps = 1
        self.resumed = False
        self.has_begun = False
        self.may_diverge = False
        self.resumed_progress = 0.0
        self.steps_ahead = 0  # relative to the trainer's count, if a run was resumed with other batches
        self.seen: Sequence[str] = ()
        self.loss = MeanMetric()
        self.scores = Scores()

    def forward(self, lightness: Tensor) -> Tensor:
        """Lightness `(B, 1, H, W)` in 0..100 to the objective's map `(B, out_channels, H, W)`."""
        return self.network(normalize_lightness(lightness))

    def on_fit_start(self) -> None:
        if self.objective.wants_prior and not self.resumed:  # a resumed run has it in its checkpoint
            self._measure_prior()

    def on_validation_start(self) -> None:
        self.has_begun = True

    def on_train_start(self) -> None:
        self.has_begun = True
        # At least once per epoch, or a small dataset would have no training curve.
        trainer = self.trainer
        trainer.log_every_n_steps = min(trainer.log_every_n_steps, trainer.num_training_batches)  # type: ignore[attr-defined]

    def on_train_batch_start(self, batch: dict[str, Any], batch_idx: int) -> None:
        # Random layers such as dropout depend on seed and step only, so that a resumed run is exact.
        state = [int(os.environ.get("PL_GLOBAL_SEED", 0)), self.trainer.current_epoch, batch_idx, self.global_rank]
        torch.manual_seed(int(np.random.SeedSequence(state).generate_state(1, np.uint64)[0]))

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        lightness, ab = batch["lightness"], batch["ab"]
        prediction = self(batch["seen"])
        losses = self.objective.loss(prediction, ab, lightness, self.progress)
        if self.adversary is not None and self.progress >= self.adversary.term.begin:
            losses["discriminator"] = self.adversary.learn(
                lightness, self.objective.decode(prediction.detach()), ab, self.trainer.accumulate_grad_batches
            )
        self.seen = batch["name"]
        self._require_finite({f"train/{name}": loss for name, loss in losses.items()}, self.seen)
        for name, loss in losses.items():
            self.log(f"train/{name}", loss.detach(), prog_bar=name == "loss")
        return losses["loss"]

    @property
    def progress(self) -> float:
        """The share of the training run that is done, 0..1."""
        return min(max((self.global_step + self.steps_ahead) / self.total_steps, self.resumed_progress), 1.0)

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        norm = gradient_norm(parameter for group in optimizer.param_groups for parameter in group["params"])
        if has_whole_network(self.trainer.strategy):
            self.log("train/gradient_norm", norm)  # before clipping
        # The gradient scaler handles gradients that are not finite.
        norms = {} if self.trainer.precision == "16-mixed" else {"the gradient's norm is": norm}
        # As often as the network, also with accumulated gradients.
        adversary = self.adversary if self.adversary and self.progress >= self.adversary.term.begin else None
        if adversary:
            norms["the norm of the discriminator's gradient is"] = adversary.average_gradients(self.trainer)
        self._require_finite(norms, self.seen)
        if adversary:
            adversary.step()

    def on_train_epoch_end(self) -> None:
        self._data.gather_skipped()

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> dict[str, Any]:
        return self._score(batch)

    def on_validation_epoch_end(self) -> None:
        self._log_scores()

    def configure_optimizers(self) -> Any:
        assert self.make_optimizer is not None
        assert self.make_scheduler is not None
        steps = self.trainer.estimated_stepping_batches
        if steps == float("inf"):
            raise ConfigError("trainer.max_epochs=-1: a learning-rate schedule needs an end; give a number of epochs")
        self.total_steps = int(steps)
        if self.adversary is not None:
            self.adversary.configure(self.trainer)
        optimizer = self._optimizer(self.make_optimizer)
        schedule = self.make_scheduler(optimizer, int(steps))
        return {"optimizer": optimizer, "lr_scheduler": schedule} if schedule else optimizer

    def _optimizer(self, make: Callable[[Iterable[Any]], Optimizer]) -> Optimizer:
        """The optimizer of the trained parameters, with the backbone's own factor on the learning rate."""
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        backbone, rate = set(self.network.backbone.parameters()), self.network.backbone.rate
        if rate == 1 or backbone.isdisjoint(trained):
            return make(trained)
        rest = [parameter for parameter in trained if parameter not in backbone]
        optimizer = make([{"params": rest}, {"params": [p for p in trained if p in backbone]}])
        optimizer.param_groups[1]["lr"] *= rate
        return optimizer

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        # Lightning would step it after writing the epoch's checkpoints, which would then miss the step.
        if not isinstance(scheduler, ReduceLROnPlateau):
            super().lr_scheduler_step(scheduler, metric)

    def _step_plateau_schedules(self, means: Mapping[str, Tensor | float]) -> None:
        for schedule in self.trainer.lr_scheduler_configs:
            if isinstance(schedule.scheduler, ReduceLROnPlateau):
                schedule.scheduler.step(float(means[str(schedule.monitor)]))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint[ENTRY] = describe(self.config)
        checkpoint["progress"] = self.progress
        if self.trainer.state.fn == TrainerFn.FITTING:
            checkpoint["position"] = {
                **self._data.position()._asdict(),
                "epoch_batches": self.trainer.num_training_batches,
                "order": self._data.epoch_order()._asdict(),
                "steps": self.global_step + self.steps_ahead,
            }
        if self.adversary is not None:
            checkpoint["adversary"] = self.adversary.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if self.trainer.state.fn != TrainerFn.FITTING:
            return
        self.resumed = True
        # Terms that have begun stay active, even if the run is now longer.
        self.resumed_progress = checkpoint.get("progress", 0.0)
        position = checkpoint.get("position", {"epoch": checkpoint["epoch"] + 1, "batches": 0})
        self._data.begin_at(Position(position["epoch"], position["batches"]))
        steps, batches = self.trainer.estimated_stepping_batches, self.trainer.num_training_batches
        has_other_batches = position.get("epoch_batches", batches) != batches
        order = self._data.epoch_order()
        before = EpochOrder.read(position.get("order")) or order
        changes = before.changes(order)
        if any(changes):
            self._tell_changes(changes, checkpoint)
        # Of an epoch that is begun, the rest follows, also with photos that were added or removed meanwhile.
        has_other_photos = bool(changes.listed) and before.batch is not None
        can_follow = before.has_same_course(order) and (not has_other_batches or has_other_photos)
        if position["batches"] and not (can_follow and position["batches"] < batches):
            raise CheckpointError(
                f"ckpt_path: that run was stopped inside an epoch of {position['epoch_batches']} batches of {before}, "
                f"but this run has {batches} batches of {order}: give the same photos, seed, data.batch_size, "
                "data.buffer and trainer.devices, or a checkpoint of the end of an epoch"
            )
        done = position.get("steps", checkpoint["global_step"])
        if has_other_batches:
            accumulated = self.trainer.accumulate_grad_batches
            done = position["epoch"] * math.ceil(batches / accumulated) + position["batches"] // accumulated
        self.steps_ahead = done - checkpoint["global_step"]
        # With auto, only the best checkpoint may remain to be scored.
        if done > steps or (done == steps and self.config["ckpt_path"] != "auto"):
            raise CheckpointError(
                f"ckpt_path: that run has done {done} steps, but this run ends after {steps}: raise "
                "trainer.max_epochs, or score it with ckpt_path=auto"
            )
        # A resumed run may be longer: the one-cycle schedule keeps its step, with the new length.
        for schedule in checkpoint.get("lr_schedulers", ()):
            forget_length(schedule)
            if has_other_batches and "num_bad_epochs" not in schedule:  # all schedules but plateau count steps
                schedule["last_epoch"] = done
        if self.adversary is not None:
            self.adversary.load_state_dict(checkpoint["adversary"])

    def _tell_changes(self, changes: Changes, checkpoint: Mapping[str, Any]) -> None:
        """Says how the photos have changed since the checkpoint was written.

        Raises:
            CheckpointError: `ckpt_path=auto` continues with the same photos only. A copy of them elsewhere may have
                dates of its own.
        """
        roots = [config.get("data", {}).get("root") for config in (checkpoint[ENTRY]["config"], self.config)]
        if self.config["ckpt_path"] == "auto" and (changes.listed or roots[0] == roots[1]):
            raise CheckpointError(
                f"ckpt_path=auto: the photos have changed since the checkpoint was written ({changes}): give the run "
                "a folder of its own, or ckpt_path=last to resume with the photos as they are"
            )
        warn(f"the photos have changed since the checkpoint was written: {changes}")

    @property
    def _data(self) -> PhotoDataModule:
        return self.trainer.datamodule  # type: ignore[attr-defined]

    def _measure_prior(self) -> None:
        data = self._data
        # Rank 0 measures; the others then read the cached result.
        for first in (True, False):
            if self.trainer.is_global_zero == first:
                folder = Path(self.config["paths"]["output_dir"]) / "priors"
                self.objective.set_prior(cached_prior(data.photos_of("train"), ab_bins(), folder, data.num_workers))
            self.trainer.strategy.barrier()

    def _require_finite(self, numbers: Mapping[str, Tensor], names: Sequence[str]) -> None:
        """Stops training before NaN or Inf gets into the network or a checkpoint. Waits for the device once.

        Args:
            numbers: scalars by name.
            names: the photos.

        Raises:
            TrainingError: a number is not finite.
        """
        if self.may_diverge or not numbers:  # may_diverge: a search for the learning rate
            return
        if torch.stack([torch.isfinite(number).to(self.device) for number in numbers.values()]).all():
            return
        wrong = [f"{name} {number.item()}" for name, number in numbers.items() if not torch.isfinite(number)]
        files = [file.path for file in self.trainer.checkpoint_callbacks if isinstance(file, LastCheckpoint)]
        good = [path for path in files if path.exists()]
        hint = f"the last good checkpoint is {good[0]}" if good else "no checkpoint was written yet"
        raise TrainingError(
            f"training stopped at step {self.global_step}: {', '.join(wrong)} (photos {', '.join(names)}); {hint}; "
            f"lower optimizer.lr{'' if self.trainer.precision == '32-true' else ', or try trainer.precision=32-true'}"
        )

    def _score(self, batch: dict[str, Any]) -> dict[str, Any]:
        lightness, ab, truth = batch["lightness"], batch["ab"], batch["rgb"]
        if not batch["name"]:
            # With a sharded network, all ranks have to run it together, also a rank without photos.
            self(lightness.new_zeros(1, 1, 32, 32))
            return {"rgb": truth, "scores": {}}
        prediction = self(batch["seen"])
        self.loss.update(self.objective.loss(prediction, ab, lightness)["loss"], weight=len(batch["name"]))
        rgb = render(lightness, self.objective.decode(prediction))
        return {"rgb": rgb, "scores": self.scores.update(lightness, rgb, truth)}

    def _log_scores(self) -> None:
        # Every rank logs, also one without photos: they wait for each other here.
        loss = self.loss.compute()
        if self.trainer.state.fn == TrainerFn.FITTING and self.loss.update_called:
            self._require_finite({"val/loss": loss}, ["of validation"])  # before a checkpoint is written
        means = {"val/loss": loss} | {f"val/{name}": mean for name, mean in self.scores.compute().items()}
        for name, mean in means.items():
            self.log(name, mean, prog_bar=name == "val/loss", sync_dist=True)
        if self.trainer.state.fn == TrainerFn.FITTING:
            self._step_plateau_schedules(means)
        self.loss.reset()
        self.scores.reset()
