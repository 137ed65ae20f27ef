"""The progress of a run in a notebook: one line, the curves so far and the newest panel, in place."""

import base64
import io
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import ProgressBar
from torch import Tensor

from colorization.errors import ConfigError
from colorization.runtime.installation import install_hint

# Of the curves, in inches; of the picture below them, in pixels.
_INCHES = (9, 3)
_DPI = 80
_QUALITY = 85


class LiveView(ProgressBar):
    """Shows a run in the output of a notebook's cell, in place of a progress bar: after each validation the curves of
    the loss and of the PSNR beside the all-gray baseline, and the newest panel below them.

    Args:
        folder: the folder that `PanelWriter` writes to.

    Raises:
        ConfigError: IPython or matplotlib is missing.
    """

    def __init__(self, folder: str) -> None:
        try:
            import IPython.display  # noqa: F401
            import matplotlib.figure  # noqa: F401
        except ImportError as error:
            raise ConfigError(
                f"callbacks=[default,notebook] needs the package {error.name}: {install_hint('notebook')}"
            ) from None
        super().__init__()
        self.folder = Path(folder)
        self.is_enabled = True
        self._forget()

    def _forget(self) -> None:
        self.losses: list[Tensor] = []  # since the last validation
        self.points: list[dict[str, float]] = []
        self.handles: dict[str, Any] = {}
        self.told = 0.0

    def disable(self) -> None:
        """Lightning calls it on all ranks but the first."""
        self.is_enabled = False

    def enable(self) -> None:
        self.is_enabled = True

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._forget()
        self.started = time.perf_counter()
        self._tell()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.losses.append(outputs["loss"].detach() * trainer.accumulate_grad_batches)
        if time.perf_counter() - self.told > 1:
            self._tell()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not (self.is_enabled and self.losses):  # none: a validation outside the run
            return
        logged = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith("val/")}
        point = {"step": float(trainer.global_step), "train/loss": float(torch.stack(self.losses).mean())}
        self.points.append(point | logged)
        self.losses = []
        self._tell()
        self._show("picture", {"image/jpeg": base64.b64encode(self._picture()).decode()})

    def _tell(self) -> None:
        trainer = self.trainer
        self.told = time.perf_counter()
        line = f"epoch {trainer.current_epoch + 1} of {trainer.max_epochs}, step {trainer.global_step}"
        line += f", {self.told - self.started:.0f} s"
        if self.points and "val/psnr" in self.points[-1]:
            line += f"; held-out photos: PSNR {self.points[-1]['val/psnr']:.2f} dB"
            line += f", all gray {self.points[-1]['val/gray_psnr']:.2f} dB"
        self._show("line", {"text/plain": line})

    def _show(self, name: str, data: dict[str, Any]) -> None:
        from IPython.display import display

        if not self.is_enabled:
            return
        if name in self.handles:
            self.handles[name].update(data, raw=True)
        else:
            self.handles[name] = display(data, raw=True, display_id=True)

    def _picture(self) -> bytes:
        """Curves and newest panel as a JPEG file."""
        parts = [self._curves()]
        if panels := sorted(self.folder.glob("*.png")):
            with Image.open(panels[-1]) as panel:
                parts.append(panel.convert("RGB"))
            parts[1].thumbnail((parts[0].width, 2 * parts[0].width))
        whole = Image.new("RGB", (parts[0].width, sum(part.height for part in parts)), "white")
        top = 0
        for part in parts:
            whole.paste(part, ((whole.width - part.width) // 2, top))
            top += part.height
        file = io.BytesIO()
        whole.save(file, "JPEG", quality=_QUALITY)
        return file.getvalue()

    def _curves(self) -> Image.Image:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(_INCHES, _DPI, layout="constrained")
        loss, psnr = figure.subplots(1, 2)
        steps = [point["step"] for point in self.points]
        for axes, title, lines in (
            (loss, "loss", {"training": "train/loss", "held-out": "val/loss"}),
            (psnr, "PSNR of held-out photos, dB", {"network": "val/psnr", "all gray": "val/gray_psnr"}),
        ):
            for label, key in lines.items():
                if key in self.points[-1]:
                    axes.plot(steps, [point[key] for point in self.points], label=label, marker=".")
            axes.set(title=title, xlabel="step")
            axes.grid(alpha=0.3)
            axes.legend()
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
