"""Loggers: Lightning's, where they need help to lose nothing and to ask nothing."""

import csv
import os
from pathlib import Path
from typing import Any, Literal

import wandb
from pytorch_lightning.loggers import CSVLogger, WandbLogger
from pytorch_lightning.loggers.csv_logs import ExperimentWriter
from pytorch_lightning.loggers.logger import rank_zero_experiment

from colorization.files import whole_file


class MetricsFile(CSVLogger):
    """`metrics.csv` in the run's folder. A run that is resumed in its folder goes on in the same file.

    Args:
        folder: the run's folder.
    """

    def __init__(self, folder: str) -> None:
        super().__init__(save_dir=folder, name="", version="")

    @property
    @rank_zero_experiment
    def experiment(self) -> "_ContinuingWriter":
        if self._experiment is None:
            Path(self.root_dir).mkdir(parents=True, exist_ok=True)
            self._experiment = _ContinuingWriter(log_dir=self.log_dir)
        return self._experiment  # type: ignore[return-value]

    def forget_from(self, step: int) -> None:
        """Takes away what was logged from this step on, because a run that was stopped behind it does it again."""
        file = Path(self.experiment.metrics_file_path)
        if not self.experiment.metrics_keys:
            return
        with file.open(newline="") as lines:
            rows = list(csv.DictReader(lines))
        with whole_file(file) as temporary, temporary.open("w", newline="") as lines:
            writer = csv.DictWriter(lines, self.experiment.metrics_keys)
            writer.writeheader()
            writer.writerows(row for row in rows if int(row["step"]) < step)

    def log_hyperparams(self, params: Any = None, *args: Any, **kwargs: Any) -> None:
        """Nothing: `config.yaml` has them."""


class _ContinuingWriter(ExperimentWriter):
    def _check_log_dir_exists(self) -> None:
        # Lightning's own writer deletes the file that it finds.
        file = Path(self.metrics_file_path)
        if file.is_file():
            with file.open(newline="") as lines:
                self.metrics_keys = next(csv.reader(lines), [])


class WandbRun(WandbLogger):
    """A run on Weights & Biases: online where W&B is configured, otherwise offline, to be uploaded later.

    Args:
        folder: where W&B keeps its files.
        project: the project on W&B.
        mode: `auto`, `online` or `offline`. `auto` follows the variable WANDB_MODE if it is set, then goes online if a
            key is configured.
    """

    def __init__(
        self, folder: str, project: str = "colorization", mode: Literal["auto", "online", "offline"] = "auto"
    ) -> None:
        if mode == "auto":
            default = "online" if _is_configured() else "offline"
            self.mode = os.environ.get("WANDB_MODE", default)
        else:
            self.mode = mode
        Path(folder).mkdir(parents=True, exist_ok=True)
        # Not WandbLogger's own `offline`: that one sets WANDB_MODE for the rest of the process.
        super().__init__(save_dir=folder, project=project, mode=self.mode, settings=wandb.Settings(silent=True))
        self._wandb_init.pop("anonymous", None)  # W&B warns of this option even where it is not set

    def where(self) -> str | None:
        """One line that says where the run is to be seen; None if W&B is switched off."""
        if self.mode == "disabled":
            return None
        run: Any = self.experiment
        if self.mode == "online":
            return f"W&B: {run.url}"
        return f"W&B: offline; upload with: wandb sync {Path(run.dir).parent}"


def _is_configured() -> bool:
    """Whether W&B finds a key on this machine. Asks neither the user nor the network."""
    return wandb.login(prompt=False, verify=False)
