"""What happens beside training and evaluation: panels of held-out pictures, and a file of scores."""

import csv
import json
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


class ScoreWriter(Callback):
    """Writes `pictures.csv`, a row a picture, `metrics.json`, and `panel.png` while a data set is being scored.

    Args:
        folder: where they go.
        pictures: how many pictures the panel shows.
    """

    def __init__(self, folder: Path, pictures: int) -> None:
        self.folder = folder
        self.keeper = _PictureKeeper(pictures)
        self.rows: list[dict[str, Any]] = []

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self.keeper.add(outputs["rgb"], batch["rgb"])
        scores = {key: values.tolist() for key, values in outputs["scores"].items()}
        self.rows += [
            {"name": name, **{key: values[i] for key, values in scores.items()}} for i, name in enumerate(batch["name"])
        ]

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.world_size > 1:
            shares: list[Any] = [None] * trainer.world_size
            torch.distributed.all_gather_object(shares, self.rows)
            self.rows = sorted((row for share in shares for row in share), key=lambda row: row["name"])
        if not trainer.is_global_zero:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        panel = self.keeper.take_panel()
        if panel is not None:
            write_panel(panel, self.folder / "panel.png")
        with (self.folder / "pictures.csv").open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
            writer = csv.DictWriter(file, fieldnames=list(self.rows[0]) if self.rows else ["name"])
            writer.writeheader()
            writer.writerows(self.rows)

    def write_summary(self, summary: dict[str, Any]) -> None:
        """Writes `metrics.json`."""
        text = json.dumps(summary, indent=2, ensure_ascii=False)
        (self.folder / "metrics.json").write_text(text + "\n", encoding="utf-8")
