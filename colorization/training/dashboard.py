"""Logs pictures with their scores, and charts of the colours that a network uses."""

from typing import Any

import numpy as np
import torch
from PIL import Image
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import TensorBoardLogger, WandbLogger
from pytorch_lightning.trainer.states import TrainerFn
from torch import Tensor

from colorization.color import rgb_to_lab
from colorization.errors import ConfigError, shown
from colorization.figures.abchart import CELLS, cells_of, draw_density, shares_of
from colorization.figures.panels import gray_of
from colorization.training.callbacks import step_of
from colorization.training.loggers import RunLogger

# Pixels sampled per side of a picture, approximately.
_GRID = 32


class Dashboard(Callback):
    """Logs, at every validation, a table of the same held-out photos with their scores (W&B), and a chart of how often
    each colour of the ab plane occurs in all predictions and in the truth (W&B and TensorBoard). Without these loggers
    it does nothing.

    It also logs the network's number of parameters to W&B, and stores in a checkpoint what W&B needs to resume the run.

    Args:
        pictures: number of held-out photos in the table.
    """

    def __init__(self, pictures: int = 8) -> None:
        if pictures < 1:
            raise ConfigError(f"callbacks.dashboard.pictures={pictures} is too few: give 1 or more")
        self.pictures = pictures
        self._forget()

    def _forget(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.counts = torch.zeros(2, CELLS * CELLS, dtype=torch.int64)  # of predictions and of the truth

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        network = pl_module.network
        assert isinstance(network, torch.nn.Module)
        total = sum(parameter.numel() for parameter in network.parameters())
        trainable = sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
        for run in _run_loggers(trainer):
            run.log_summary({"parameters/total": total, "parameters/trainable": trainable})

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        if not _is_shown(trainer) or not batch["name"]:
            return
        self.counts += torch.stack([_count(outputs["rgb"]), _count(batch["rgb"])])
        if trainer.is_global_zero:
            wanted = self.pictures - len(self.rows)
            for index, name in enumerate(batch["name"][:wanted]):
                self.rows.append(
                    {
                        "picture": shown(name),
                        "gray": _pixels(gray_of(batch["rgb"][index : index + 1])[0]),
                        "prediction": _pixels(outputs["rgb"][index]),
                        "truth": _pixels(batch["rgb"][index]),
                        **{key: float(scores[index]) for key, scores in outputs["scores"].items()},
                    }
                )

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if _is_shown(trainer):
            counts = trainer.strategy.reduce(self.counts.to(pl_module.device), reduce_op="sum")
            assert isinstance(counts, Tensor)
            self.counts = counts.cpu()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if _is_shown(trainer) and trainer.is_global_zero:
            step = step_of(trainer)
            chart = draw_pair(*self.counts.numpy())
            for logger in trainer.loggers:
                if isinstance(logger, WandbLogger):
                    logger.log_image("val/ab_density", [chart], step)
                    if self.rows:
                        _log_table(logger, self.rows, step)
                elif isinstance(logger, TensorBoardLogger):
                    logger.experiment.add_image("val/ab_density", np.asarray(chart), step, dataformats="HWC")
        self._forget()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        best = trainer.checkpoint_callback
        if isinstance(best, ModelCheckpoint) and best.best_model_score is not None:
            for run in _run_loggers(trainer):
                run.note_best(best.best_model_path, float(best.best_model_score))

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        if trainer.is_global_zero:
            for run in _run_loggers(trainer):
                checkpoint.update(run.state())


def draw_pair(predicted: np.ndarray, truth: np.ndarray) -> Image.Image:
    """Two histograms of the ab plane side by side, with the same scale.

    Args:
        predicted: pixels in each cell, as numbered by `colorization.figures.abchart.cells_of`.
        truth: as `predicted`.
    """
    shares = [shares_of(predicted), shares_of(truth)]
    most = max(1e-12, *(float(share.max()) for share in shares))
    left, right = (draw_density(share, title, most) for share, title in zip(shares, ("predicted", "true"), strict=True))
    pair = Image.new("RGB", (left.width + right.width, left.height))
    pair.paste(left, (0, 0))
    pair.paste(right, (left.width, 0))
    return pair


def _count(rgb: Tensor) -> Tensor:
    """The number of sampled pixels of uint8 RGB `(B, 3, H, W)` in each cell of the ab plane."""
    height, width = rgb.shape[-2:]
    ab = rgb_to_lab(rgb[..., :: max(1, height // _GRID), :: max(1, width // _GRID)])[:, 1:]
    cells = cells_of(ab.round().transpose(0, 1).cpu().numpy())
    return torch.from_numpy(np.bincount(cells, minlength=CELLS * CELLS))


def _pixels(picture: Tensor) -> np.ndarray:
    return picture.permute(1, 2, 0).cpu().numpy()


def _log_table(logger: WandbLogger, rows: list[dict[str, Any]], step: int) -> None:
    import wandb  # imported only with logger=wandb

    cells = [[wandb.Image(cell) if isinstance(cell, np.ndarray) else cell for cell in row.values()] for row in rows]
    logger.log_table("val/pictures", list(rows[0]), cells, step=step)


def _is_shown(trainer: Trainer) -> bool:
    fits = trainer.state.fn == TrainerFn.FITTING
    return fits and any(isinstance(logger, WandbLogger | TensorBoardLogger) for logger in trainer.loggers)


def _run_loggers(trainer: Trainer) -> list[RunLogger]:
    return [logger for logger in trainer.loggers if isinstance(logger, RunLogger)]
