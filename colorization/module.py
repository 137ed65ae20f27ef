"""The LightningModule: trains and validates a network with an objective."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pytorch_lightning import LightningModule
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor
from torch.optim import Optimizer
from torchmetrics import MeanMetric

from colorization.checkpoint import ENTRY, describe
from colorization.color import normalize_lightness
from colorization.errors import CheckpointError, ConfigError
from colorization.metrics import Scores, render
from colorization.network import ColorizationNetwork
from colorization.objectives.base import Objective


class ColorizationModule(LightningModule):
    """Ties network, objective, optimizer and schedule together.

    Batches are what `PhotoDataModule` hands over: `lightness` `(B, 1, H, W)` in 0..100, `ab` `(B, 2, H, W)`, `rgb`
    uint8 `(B, 3, H, W)` and `name`.

    Args:
        network: lightness to the objective's map.
        objective: the map's meaning and loss.
        config: the resolved configuration, which every checkpoint carries.
        optimizer: makes the optimizer from the parameters that are trained.
        scheduler: makes the learning-rate schedule, see `colorization.schedulers`.
    """

    def __init__(
        self,
        network: ColorizationNetwork,
        objective: Objective,
        config: Mapping[str, Any],
        optimizer: Callable[[Iterable[Tensor]], Optimizer] | None = None,
        scheduler: Callable[[Optimizer, int], dict[str, Any] | None] | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.objective = objective
        self.config = config
        self.make_optimizer = optimizer
        self.make_scheduler = scheduler
        self.loss = MeanMetric()
        self.scores = Scores()

    def forward(self, lightness: Tensor) -> Tensor:
        """Lightness `(B, 1, H, W)` in 0..100 to the objective's map `(B, out_channels, H, W)`."""
        return self.network(normalize_lightness(lightness))

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        losses = self.objective.loss(self(batch["lightness"]), batch["ab"])
        self.log_dict({f"train/{name}": loss.detach() for name, loss in losses.items()}, prog_bar=True)
        return losses["loss"]

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
        optimizer = self.make_optimizer([p for p in self.parameters() if p.requires_grad])
        schedule = self.make_scheduler(optimizer, int(steps))
        return {"optimizer": optimizer, "lr_scheduler": schedule} if schedule else optimizer

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint[ENTRY] = describe(self.config)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if self.trainer.state.fn != TrainerFn.FITTING:
            return
        steps = self.trainer.estimated_stepping_batches
        if checkpoint["global_step"] >= steps:
            raise CheckpointError(
                f"ckpt_path: that run has done {checkpoint['global_step']} steps, and this one ends after {steps}: "
                "raise trainer.max_epochs"
            )
        # A resumed run may be longer than the first: the one-cycle schedule keeps its place, on the new run's length.
        for schedule in checkpoint.get("lr_schedulers", ()):
            for key in ("total_steps", "_schedule_phases"):
                schedule.pop(key, None)

    def _score(self, batch: dict[str, Any]) -> dict[str, Any]:
        lightness, ab, truth = batch["lightness"], batch["ab"], batch["rgb"]
        if not batch["name"]:
            # Processes that share a network out wait for each other inside it: this one has to go through it as well.
            self(lightness.new_zeros(1, 1, 32, 32))
            return {"rgb": truth, "scores": {}}
        prediction = self(lightness)
        self.loss.update(self.objective.loss(prediction, ab)["loss"], weight=len(batch["name"]))
        rgb = render(lightness, self.objective.decode(prediction))
        return {"rgb": rgb, "scores": self.scores.update(lightness, rgb, truth)}

    def _log_scores(self) -> None:
        # Every process logs, also one that had no photo: they wait for each other here.
        self.log("val/loss", self.loss.compute(), prog_bar=True, sync_dist=True)
        self.log_dict({f"val/{name}": mean for name, mean in self.scores.compute().items()}, sync_dist=True)
        self.loss.reset()
        self.scores.reset()
