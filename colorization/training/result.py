"""What a run says about itself when it is over: `result.json` in its folder."""

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
        seconds: what it took.
        error: why it failed, one sentence; None if it did not.
        monitor: the logged name of what makes a checkpoint the best.
        mode: `min` or `max`.
        scores: of the best checkpoint on the held-out photos, by logged name; without what is no finite number.
        photos: which photos those were, and at which size.
        checkpoint: the best one, relative to the run's folder.
    """

    overrides: list[str]
    seconds: float
    error: str | None = None
    monitor: str | None = None
    mode: str | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    photos: str = ""
    checkpoint: str | None = None

    def write(self, run: Path) -> None:
        """Writes it into the run's folder."""
        scores = {name: value for name, value in self.scores.items() if math.isfinite(value)}
        text = json.dumps(asdict(replace(self, scores=scores)), indent=2)
        write_text(run / RESULT, text + "\n")


def read_result(run: Path) -> Result | None:
    """What `result.json` of a run's folder says; None if there is none.

    Raises:
        ConfigError: it is not what a run wrote.
    """
    try:
        return Result(**json.loads((run / RESULT).read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{run / RESULT} is not what a run writes: remove it") from error


def remove_result(run: Path) -> None:
    """Takes `result.json` away, because what it says does not hold any more."""
    (run / RESULT).unlink(missing_ok=True)
