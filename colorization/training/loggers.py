"""The interface of loggers beyond Lightning's, and the logger of `metrics.csv`."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from colorization.compat.lightning import ContinuingCSVLogger
from colorization.runtime.files import write_csv


class RunLogger:
    """A logger with hooks for the begin, checkpoints, resuming and the end of a run. By default they do nothing."""

    def resume(self, checkpoint: Mapping[str, Any], path: Path) -> None:
        """Continues the log of the run that wrote a checkpoint. Called before anything is logged.

        Args:
            checkpoint: its contents.
            path: its path.
        """

    def state(self) -> Mapping[str, Any]:
        """Entries of a checkpoint for `resume`."""
        return {}

    def log_summary(self, values: Mapping[str, Any]) -> None:
        """Logs values of the run as a whole."""

    def note_best(self, checkpoint: str, score: float) -> None:
        """Records the best checkpoint, and its value of `monitor`."""

    def where(self) -> str | None:
        """One line about where to see the run; None for nothing."""
        return None

    def end(self, succeeded: bool) -> None:
        """Ends the log: the next job of a multirun begins its own."""


class MetricsFile(ContinuingCSVLogger, RunLogger):
    """Writes `metrics.csv` in the run's folder. A run resumed in its folder continues the same file.

    Args:
        folder: the run's folder.
    """

    def __init__(self, folder: str) -> None:
        super().__init__(save_dir=folder, name="", version="")

    def resume(self, checkpoint: Mapping[str, Any], path: Path) -> None:
        """Removes rows after the checkpoint's step, because the resumed run logs them again."""
        step = checkpoint["global_step"]
        file = Path(self.experiment.metrics_file_path)
        if not self.experiment.metrics_keys:
            return
        rows = [row for row in _whole_rows(file) if int(row["step"]) < step]
        keys = self.experiment.metrics_keys
        write_csv(file, keys, ([row[key] for key in keys] for row in rows))

    def log_hyperparams(self, params: Any = None, *args: Any, **kwargs: Any) -> None:
        """Does nothing: they are in `config.yaml`."""


def _whole_rows(file: Path) -> list[dict[str, str]]:
    """The complete rows of a `metrics.csv`; a killed run may leave half a line."""
    with file.open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    return [row for row in rows if None not in row and None not in row.values() and row["step"].isdecimal()]
