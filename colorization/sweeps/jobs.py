"""The jobs of a multirun: a failed job does not stop the others, with any launcher and sweeper."""

import gc
import logging
import shlex
import shutil
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
from colorization.training.checks import check_monitor

log = logging.getLogger(__name__)


class SweepError(ColorizationError):
    """Jobs of a multirun have failed."""


def attempt(job: Callable[[], Any], explain: Callable[[Exception], str | None]) -> Any:
    """Runs a job of a multirun. If it fails, its log and its `result.json` record the error.

    Args:
        job: the job.
        explain: returns one sentence for a user's mistake, None for any other error.

    Returns:
        What the job returns; None if it failed. Hydra's and Optuna's sweepers then continue with the next job, and
        Optuna ignores the failed trial. An exception would end the sweep in Hydra's own sweeper.
    """
    started = time.perf_counter()
    try:
        return job()
    except Exception as error:
        run = Path(HydraConfig.get().runtime.output_dir)
        sentence = explain(error)
        # A bug, or an error of a library, needs its traceback.
        log.error("Job %s failed: %s", run, shown(sentence or repr(error)), exc_info=sentence is None)
        seconds = time.perf_counter() - started
        bug = f"{type(error).__name__}: {first_line(error)} (its log has the traceback)"
        _note_failure(run, shown(sentence or bug), seconds)
        return None
    finally:
        gc.collect()  # reference cycles keep the old network alive: the next job may need its memory


def _note_failure(run: Path, sentence: str, seconds: float) -> None:
    try:
        before = read_result(run)
    except ConfigError:  # corrupt: its contents are lost already
        before = None
    if before is not None and before.scores:  # scores of an earlier run in this folder, which is still there
        result = replace(before, error=sentence)
    else:
        result = Result(list(HydraConfig.get().overrides.task), seconds, sentence)
    result.write(run)


class SweepFolder(Callback):
    """Records the folder of the multirun that this process starts.

    Hydra does not call its callback for the end of a multirun if a sweeper or launcher raises, as they do if all trials
    failed or a job was killed. Hence `closing`.
    """

    latest: ClassVar[Path | None] = None

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        SweepFolder.latest = folder = Path(config.hydra.sweep.dir)
        # Hydra turns exceptions of a callback into warnings, except SystemExit.
        if config.get("ckpt_path") not in ("auto", "last") and has_results(folder):
            sys.exit(
                f"Error: hydra.sweep.dir={folder} already holds a sweep: give another folder, or resume that sweep "
                "with ckpt_path=auto"
            )
        if config.hydra.sweeper.get("n_trials", 1) < 1:
            sys.exit(f"Error: hydra.sweeper.n_trials={config.hydra.sweeper.n_trials} is too few: give 1 or more")
        if str(config.hydra.launcher.get("_target_")).endswith(".SlurmLauncher") and shutil.which("srun") is None:
            sys.exit(
                "Error: hydra/launcher=submitit_slurm needs SLURM, and there is no srun on this machine: add "
                "hydra/launcher=submitit_local to sweep=submitit, or give sweep=joblib"
            )
        if "monitor" in config:  # a name that is not logged would fail every job
            try:
                check_monitor("monitor", config.monitor)
            except ConfigError as error:
                sys.exit(f"Error: {error}")


@contextmanager
def closing(close: Callable[[Path], None]) -> Iterator[None]:
    """Calls `close` with the sweep's folder at the end of a multirun, also if the sweeper or launcher raised.

    Raises:
        SweepError: jobs failed.
        KeyboardInterrupt: with the command that builds a leaderboard of the finished jobs.
    """
    SweepFolder.latest = None
    try:
        yield
    except KeyboardInterrupt as stop:
        if not _has_jobs(SweepFolder.latest):
            raise
        hint = f"leaderboard of the finished jobs: python -m colorization.sweeps {shlex.quote(str(SweepFolder.latest))}"
        raise KeyboardInterrupt(hint) from stop
    except Exception as error:
        if SweepFolder.latest is None or not _has_jobs(SweepFolder.latest):
            raise
        log.error(
            "The sweep stopped: %s. If jobs are still running, rebuild the leaderboard when they have finished: "
            "python -m colorization.sweeps %s",
            shown(first_line(error)).rstrip("."),
            shlex.quote(str(SweepFolder.latest)),
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
        where: the file with the details.

    Raises:
        SweepError: at least one job failed.
    """
    failed = [job for job in jobs if job.error is not None]
    if failed:
        raise SweepError(
            f"{len(failed)} of {len(jobs)} jobs failed, see {where}; job {failed[0].name}: {failed[0].error}"
        )
