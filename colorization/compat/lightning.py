"""Private names of Lightning: launchers, signals and loggers."""

import csv
from pathlib import Path
from typing import Any

from pytorch_lightning import Trainer
from pytorch_lightning.loggers import CSVLogger, WandbLogger
from pytorch_lightning.loggers.csv_logs import ExperimentWriter
from pytorch_lightning.loggers.logger import rank_zero_experiment
from pytorch_lightning.strategies.launchers import _SubprocessScriptLauncher


def relaunches_script(trainer: Trainer) -> bool:
    """Whether the trainer's strategy starts the script again for each of its other devices.

    Wraps `_SubprocessScriptLauncher`.
    """
    return isinstance(trainer.strategy.launcher, _SubprocessScriptLauncher)


def request_stop(trainer: Trainer) -> None:
    """Makes the trainer raise SIGTERMException after the current batch or epoch.

    Wraps `Trainer._signal_connector.received_sigterm`, which the handler of SIGTERM sets.
    """
    trainer._signal_connector.received_sigterm = True


class ContinuingCSVLogger(CSVLogger):
    """Lightning's CSVLogger, which appends to an existing file instead of deleting it.

    Wraps `CSVLogger._experiment` and `ExperimentWriter._check_log_dir_exists`.
    """

    @property
    @rank_zero_experiment
    def experiment(self) -> "_ContinuingWriter":
        if self._experiment is None:
            Path(self.root_dir).mkdir(parents=True, exist_ok=True)
            self._experiment = _ContinuingWriter(log_dir=self.log_dir)
        return self._experiment  # type: ignore[return-value]


class _ContinuingWriter(ExperimentWriter):
    def _check_log_dir_exists(self) -> None:
        file = Path(self.metrics_file_path)
        if file.is_file():
            with file.open(newline="", encoding="utf-8") as lines:
                self.metrics_keys = next(csv.reader(lines), [])


def wandb_options(logger: WandbLogger) -> dict[str, Any]:
    """The options with which the logger begins its run; change them before it does.

    Wraps `WandbLogger._wandb_init`.
    """
    return logger._wandb_init


def continue_wandb_run(logger: WandbLogger, run_id: str) -> None:
    """Makes the logger continue a run instead of beginning one.

    Wraps `WandbLogger._wandb_init` and `WandbLogger._id`.
    """
    logger._id = logger._wandb_init["id"] = run_id


def has_begun(logger: WandbLogger) -> bool:
    """Whether the logger has its run in this process. Wraps `WandbLogger._experiment`."""
    return logger._experiment is not None


def is_spawned(logger: WandbLogger) -> bool:
    """Whether the logger was sent to this process after its run had begun. Wraps `WandbLogger._attach_id`."""
    return getattr(logger, "_attach_id", None) is not None
