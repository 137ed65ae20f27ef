"""What this project asks of a logger beyond Lightning's interface, and the file `metrics.csv`."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from colorization.compat.lightning import ContinuingCSVLogger
from colorization.runtime.files import write_csv


class RunLogger:
    """A logger that takes part in how a run begins, is saved, resumed and ends. By default it does nothing."""

    def resume(self, checkpoint: Mapping[str, Any], path: Path) -> None:
        """Continues what was logged by the run that wrote a checkpoint. Called before anything is logged.

        Args:
            checkpoint: what it holds.
            path: where it is.
        """

    def state(self) -> Mapping[str, Any]:
        """Entries that a checkpoint needs so that `resume` can continue."""
        return {}

    def log_summary(self, values: Mapping[str, Any]) -> None:
        """Values that belong to the run as a whole."""

    def note_best(self, checkpoint: str, score: float) -> None:
        """Takes note of the best checkpoint, and of its value of `monitor`."""

    def where(self) -> str | None:
        """One line that says where the run can be seen; None if there is nothing to say."""
        return None

    def end(self, succeeded: bool) -> None:
        """Ends what was logged: the next job of a multirun begins its own."""


class MetricsFile(ContinuingCSVLogger, RunLogger):
    """`metrics.csv` in the run's folder. A run that is resumed in its folder goes on in the same file.

    Args:
        folder: the run's folder.
    """

    def __init__(self, folder: str) -> None:
        super().__init__(save_dir=folder, name="", version="")

    def resume(self, checkpoint: Mapping[str, Any], path: Path) -> None:
        """Removes what was logged after the checkpoint's step, because the resumed run logs it again."""
        step = checkpoint["global_step"]
        file = Path(self.experiment.metrics_file_path)
        if not self.experiment.metrics_keys:
            return
        rows = [row for row in _whole_rows(file) if int(row["step"]) < step]
        keys = self.experiment.metrics_keys
        write_csv(file, keys, ([row[key] for key in keys] for row in rows))

    def log_hyperparams(self, params: Any = None, *args: Any, **kwargs: Any) -> None:
        """Nothing: `config.yaml` has them."""


def _whole_rows(file: Path) -> list[dict[str, str]]:
    """The rows of a `metrics.csv`, without what a kill in the middle of a line has left."""
    with file.open(newline="", encoding="utf-8") as lines:
        rows = list(csv.DictReader(lines))
    return [row for row in rows if None not in row and None not in row.values() and row["step"].isdecimal()]
