"""What happens beside training: panels of held-out pictures."""

from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.loggers import TensorBoardLogger, WandbLogger
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor

from colorization.errors import ConfigError
from colorization.panels import make_panel, write_panel


class _PictureKeeper:
    """Keeps the first `count` pictures of a pass over the data."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.predicted: list[Tensor] = []
        self.truth: list[Tensor] = []

    def add(self, predicted: Tensor, truth: Tensor) -> None:
        wanted = self.count - len(self.predicted)
        self.predicted += predicted[:wanted].cpu()
        self.truth += truth[:wanted].cpu()

    def take_panel(self) -> Tensor | None:
        """The panel of the kept pictures, which are then forgotten; None if there are none."""
        predicted, truth = self.predicted, self.truth
        self.predicted, self.truth = [], []
        return make_panel(torch.stack(predicted), torch.stack(truth)) if predicted else None


class PanelWriter(Callback):
    """At every validation, a panel (gray, prediction, truth) of the same held-out pictures, as PNG and to the loggers.

    Args:
        folder: where the PNGs go.
        pictures: how many held-out pictures a panel shows.
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
        write_panel(panel, path)
        for logger in trainer.loggers:
            if isinstance(logger, WandbLogger):
                logger.log_image("val/panel", [str(path)], caption=["gray, prediction, truth"])
            elif isinstance(logger, TensorBoardLogger):
                logger.experiment.add_image("val/panel", panel, trainer.global_step)
