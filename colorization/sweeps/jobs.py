"""The jobs of a multirun: one that fails does not end the others, whatever launcher and sweeper there are."""

import gc
import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from colorization.errors import ColorizationError, ConfigError, first_line, shown
from colorization.sweeps.results import Job, Result, find_jobs, has_results, read_result

log = logging.getLogger(__name__)


class SweepError(ColorizationError):
    """Jobs of a multirun have failed."""


def attempt(job: Callable[[], Any], explain: Callable[[Exception], str | None]) -> Any:
    """Runs a job of a multirun. If it fails, its log and its `result.json` say so.

    Args:
        job: the job.
        explain: makes one sentence of a user's mistake, and None of any other error.

    Returns:
        What the job returns; None if it failed. Hydra's own sweeper and Optuna's then go on with the next one, and
        Optuna learns nothing from it; an exception would end the sweep in the former.
    """
    started = time.perf_counter()
    try:
        return job()
    except Exception as error:
        run = Path(HydraConfig.get().runtime.output_dir)
        sentence = explain(error)
        # A bug, or whatever a library raises, needs its traceback.
        log.error("Job %s failed: %s", run, shown(sentence or repr(error)), exc_info=sentence is None)
        seconds = time.perf_counter() - started
        bug = f"{type(error).__name__}: {first_line(error)} (its log has the traceback)"
        _note_failure(run, shown(sentence or bug), seconds)
        return None
    finally:
        gc.collect()  # a network that is done with stands in cycles of references: the next job may need its memory


def _note_failure(run: Path, sentence: str, seconds: float) -> None:
    try:
        before = read_result(run)
    except ConfigError:  # damaged: what it said is lost already
        before = None
    if before is not None and before.scores:  # those of an earlier run in this folder, which is still there
        result = replace(before, error=sentence)
    else:
        result = Result(list(HydraConfig.get().overrides.task), seconds, sentence)
    result.write(run)


class SweepFolder(Callback):
    """Tells this process which folder the multirun that it begins has.

    Hydra's callback for the end of a multirun is not called if a sweeper or launcher raises, as they do where all
    trials failed or a job was killed. Hence `closing`.
    """

    latest: ClassVar[Path | None] = None

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        SweepFolder.latest = folder = Path(config.hydra.sweep.dir)
        # Hydra makes warnings of a callback's errors, but not of this one.
        if config.get("ckpt_path") not in ("auto", "last") and has_results(folder):
            sys.exit(
                f"Error: hydra.sweep.dir={folder} holds a sweep already: give another folder, or go on with that sweep "
                "by ckpt_path=auto"
            )
        if config.hydra.sweeper.get("n_trials", 1) < 1:
            sys.exit(f"Error: hydra.sweeper.n_trials={config.hydra.sweeper.n_trials} is too few: give 1 or more")


@contextmanager
def closing(close: Callable[[Path], None]) -> Iterator[None]:
    """Calls `close` with the sweep's folder when a multirun is over, also when the sweeper or launcher gave up.

    Raises:
        SweepError: the sweeper gave up because all jobs had failed.
        KeyboardInterrupt: with a hint at what can be done with the jobs that are done.
    """
    SweepFolder.latest = None
    try:
        yield
    except KeyboardInterrupt as stop:
        if not _has_jobs(SweepFolder.latest):
            raise
        hint = f"a leaderboard of what is done: python -m colorization.sweeps {SweepFolder.latest}"
        raise KeyboardInterrupt(hint) from stop
    except Exception as error:
        if SweepFolder.latest is None or not _has_jobs(SweepFolder.latest):
            raise
        log.error(
            "The sweep stopped: %s. If jobs are still at work, make the leaderboard anew when they are done: "
            "python -m colorization.sweeps %s",
            shown(first_line(error)).rstrip("."),
            SweepFolder.latest,
        )
        close(SweepFolder.latest)
        raise
    if SweepFolder.latest is not None:
        close(SweepFolder.latest)


def _has_jobs(folder: Path | None) -> bool:
    return folder is not None and bool(find_jobs(folder))


def refuse_failures(jobs: list[Job], where: Path) -> None:
    """Ends a multirun with failed jobs.

    Args:
        jobs: all jobs.
        where: the file that says more.

    Raises:
        SweepError: there are some.
    """
    failed = [job for job in jobs if job.error is not None]
    if failed:
        raise SweepError(
            f"{len(failed)} of {len(jobs)} jobs failed, see {where}; job {failed[0].name}: {failed[0].error}"
        )
