"""Callbacks: panels of held-out photos, and throughput."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import RichProgressBar
from pytorch_lightning.loggers import TensorBoardLogger, WandbLogger
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor

from colorization.errors import ConfigError
from colorization.figures.panels import make_panel
from colorization.imagefiles import write_picture


class _PictureKeeper:
    """Keeps the first `count` pictures of an epoch."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.predicted: list[Tensor] = []
        self.truth: list[Tensor] = []

    def add(self, predicted: Tensor, truth: Tensor) -> None:
        wanted = self.count - len(self.predicted)
        self.predicted += predicted[:wanted].cpu()
        self.truth += truth[:wanted].cpu()

    def take_panel(self) -> Image.Image | None:
        """Returns the panel of the kept pictures and forgets them; None if there are none."""
        predicted, truth = self.predicted, self.truth
        self.predicted, self.truth = [], []
        return make_panel(torch.stack(predicted), torch.stack(truth)) if predicted else None


class PanelWriter(Callback):
    """Writes a panel (gray, prediction, truth) of the same held-out photos at every validation, and logs it.

    Args:
        folder: the folder of the PNG files.
        pictures: number of held-out photos in a panel.
    """

    def __init__(self, folder: str, pictures: int = 8) -> None:
        if pictures < 1:
            raise ConfigError(f"callbacks.panels.pictures={pictures} is too few: give 1 or more")
        self.folder = Path(folder)
        self.keeper = _PictureKeeper(pictures)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if trainer.state.fn == TrainerFn.FITTING and trainer.is_global_zero:
            self.keeper.add(outputs["rgb"], batch["rgb"])

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        panel = self.keeper.take_panel()
        if panel is None:
            return
        path = self.folder / f"step-{trainer.global_step:07d}.png"
        write_picture(panel, path)
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                logger.log_image("val/panel", [str(path)], step_of(trainer), caption=["gray, prediction, truth"])
            elif isinstance(logger, TensorBoardLogger):
                logger.experiment.add_image("val/panel", np.asarray(panel), step_of(trainer), dataformats="HWC")


def step_of(trainer: Trainer) -> int:
    """The step with which Lightning logs a validation: that of the last batch, counted from 0."""
    return max(trainer.global_step - 1, 0)


class ProgressBar(RichProgressBar):
    """Lightning's, with epochs counted from 1 and without the logger's version number."""

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        return {key: value for key, value in super().get_metrics(trainer, pl_module).items() if key != "v_num"}

    def _get_train_description(self, current_epoch: int) -> str:
        epochs = self.trainer.max_epochs
        described = f"Epoch {current_epoch + 1}{'' if epochs in (None, -1) else f'/{epochs}'}"
        return described.ljust(len(self.validation_description))  # or the bar would jump at validations


class Throughput(Callback):
    """Logs the number of pictures seen in training (`pictures`), pictures per second (`throughput/pictures_per_second`)
    and the share of time spent waiting for data (`throughput/waiting_for_data`, 0..1), the latter two since the last
    time.

    Waiting ends when a batch is on its device and converted to Lab. Validations and the writing of checkpoints do not
    count. Pictures are summed over ranks; the share is their mean.
    """

    def __init__(self) -> None:
        self.pictures = 0
        self._start_interval()
        self._since: float | None = None  # when the last batch ended

    def _start_interval(self) -> None:
        self._seen = 0
        self._waited = 0.0
        self._worked = 0.0

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._since = time.perf_counter()

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._since = None

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        self._began = time.perf_counter()
        if self._since is not None:
            self._waited += self._began - self._since
        # The condition of Lightning: at other steps nothing is logged, and ranks need not wait for each other.
        every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
        self._is_logged = every > 0 and (trainer.global_step + 1) % every == 0

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._since = time.perf_counter()
        self._worked += self._since - self._began
        seen = len(batch["name"]) * trainer.world_size  # the mean over ranks is then the sum of what they saw
        self._seen += seen
        self.pictures += seen
        if self._is_logged:
            elapsed = self._waited + self._worked
            values = {
                "pictures": float(self.pictures),
                "throughput/pictures_per_second": self._seen / elapsed,
                "throughput/waiting_for_data": self._waited / elapsed,
            }
            pl_module.log_dict(values, on_step=True, on_epoch=False, sync_dist=True)
            self._start_interval()

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == TrainerFn.FITTING:
            pl_module.log("pictures", float(self.pictures), sync_dist=True)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        self._since = None

    def state_dict(self) -> dict[str, Any]:
        return {"pictures": self.pictures}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.pictures = state_dict["pictures"]
