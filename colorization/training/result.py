"""The result of a run: `result.json` in its folder."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from colorization.errors import ConfigError
from colorization.runtime.files import write_text

RESULT = "result.json"


@dataclass(frozen=True)
class Result:
    """The contents of a run's `result.json`.

    Attributes:
        overrides: the options of its command line, `KEY=VALUE` each.
        seconds: its duration.
        error: why it failed, one sentence; None if it succeeded.
        monitor: the logged name of the metric that selects the best checkpoint.
        mode: `min` or `max`.
        scores: finite scores of the best checkpoint on the held-out photos, by logged name.
        photos: the held-out photos, and their size.
        checkpoint: the best one, relative to the run's folder.
        pruned: whether a search ended it early, because it was worse than others.
    """

    overrides: list[str]
    seconds: float
    error: str | None = None
    monitor: str | None = None
    mode: str | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    photos: str = ""
    checkpoint: str | None = None
    pruned: bool = False

    def write(self, run: Path) -> None:
        """Writes it into the run's folder."""
        scores = {name: value for name, value in self.scores.items() if math.isfinite(value)}
        text = json.dumps(asdict(replace(self, scores=scores)), indent=2)
        write_text(run / RESULT, text + "\n")


def read_result(run: Path) -> Result | None:
    """Reads `result.json` of a run's folder; None if there is none.

    Raises:
        ConfigError: it is corrupt.
    """
    try:
        return Result(**json.loads((run / RESULT).read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{run / RESULT} is corrupt: remove it") from error


def remove_result(run: Path) -> None:
    """Removes `result.json`, because it is outdated."""
    (run / RESULT).unlink(missing_ok=True)
