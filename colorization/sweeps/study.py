"""Optuna's study of a sweep: any number of processes work on it, and any of them may be killed."""

import sqlite3
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import yaml
from filelock import FileLock, Timeout
from optuna import Study, Trial
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState
from sqlalchemy import QueuePool
from sqlalchemy.exc import SQLAlchemyError

from colorization.compat.optuna import suggest, trial_of
from colorization.config.instantiate import instantiate
from colorization.errors import ConfigError, first_line
from colorization.runtime.console import console
from colorization.runtime.files import write_text
from colorization.sweeps.results import has_results, read_result
from colorization.training.identity import difference
from colorization.training.lock import is_free

optuna.logging.set_verbosity(optuna.logging.WARNING)

# Attributes of a study and of a trial, seen in Optuna's dashboard.
_OPTIONS = "options"
PRUNED_AT = "pruned_at"
_SECONDS = 2.0


def open_storage(storage: str) -> BaseStorage:
    """Opens the storage of studies, and creates it if there is none.

    Args:
        storage: the URL of a database server, such as `postgresql://USER:PASSWORD@HOST/DATABASE`; or a file, an SQLite
            database or, if its name ends in `.log`, Optuna's journal, which works on network folders as well.

    Raises:
        ConfigError: it can't be opened.
    """
    try:
        if "://" in storage:
            return RDBStorage(storage)
        path = Path(storage).expanduser().absolute()
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".log":
            return JournalStorage(JournalFileBackend(str(path)))
        # A path in a URL could not have all characters. The timeout is for other processes that write.
        connect = {"creator": lambda: sqlite3.connect(path, timeout=60, check_same_thread=False)}
        return RDBStorage("sqlite://", {**connect, "poolclass": QueuePool})
    except (ImportError, SQLAlchemyError, ValueError) as error:
        # Its URL may hold a password.
        name = storage.partition("://")[0] + "://..." if "://" in storage else storage
        raise ConfigError(f"hydra.sweeper.storage={name} can't be opened: {first_line(error)}") from error


def open_study(sweeper: Mapping[str, Any]) -> Study:
    """The study of a sweep, which is created if there is none.

    Args:
        sweeper: the resolved node `hydra.sweeper`.
    """
    return optuna.create_study(
        storage=open_storage(sweeper["storage"]),
        study_name=sweeper["study_name"],
        direction=sweeper["direction"],
        pruner=instantiate(sweeper["pruner"], "hydra.sweeper.pruner"),
        load_if_exists=True,
    )


class SweepStudy:
    """A study whose trials are the jobs in the folder of a sweep: trial 7 is the job in `7/`.

    A process holds a lock on each trial that it runs. The system releases a lock however its process ends. So a trial
    that the study calls running, but whose lock is free, belonged to a process that was killed, and is run again.

    Args:
        folder: the sweep's.
        sweeper: the resolved node `hydra.sweeper`.
        space: the distributions by key.
        options: the fixed options by key, by which studies are told apart.

    Raises:
        ConfigError: the study is of another search, or the folder is of another sweep.
    """

    def __init__(
        self,
        folder: Path,
        sweeper: Mapping[str, Any],
        space: Mapping[str, optuna.distributions.BaseDistribution],
        options: Mapping[str, str],
    ) -> None:
        self.folder = folder
        self.sampler = sweeper["sampler"]
        self.n_trials = sweeper["n_trials"]
        self.space = dict(space)
        self._held: dict[int, FileLock] = {}
        # All trials of a file in the sweep's folder are its jobs. A server's may be jobs of other folders.
        self._is_own = Path(sweeper["storage"]).parent.absolute() == folder.absolute()
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(folder / ".study.lock")
        with self._lock:
            self.study = open_study(sweeper)
            self._check(sweeper, {**options, "direction": sweeper["direction"]})

    def _check(self, sweeper: Mapping[str, Any], options: Mapping[str, str]) -> None:
        place = f"study {sweeper['study_name']} of hydra.sweep.dir={self.folder}"
        if not self.study.get_trials(deepcopy=False) and has_results(self.folder):
            raise ConfigError(f"hydra.sweep.dir={self.folder} holds another sweep: give another folder")
        before = self.study.user_attrs.get(_OPTIONS)
        if before is None:
            self.study.set_user_attr(_OPTIONS, dict(options))
        elif (found := difference(before, options)) is not None:
            key, old, new = found
            raise ConfigError(
                f"{place} was begun with {key}={old}, but this command has {key}={new}: give another hydra.sweep.dir, "
                "and for a server another hydra.sweeper.study_name"
            )
        self._sample(0)  # its options may be wrong

    def claim(self, count: int) -> list[Trial]:
        """Up to `count` trials for this process to run, with their parameters: first those whose process was killed,
        then new ones. While other processes run the last trials, it waits for them, in case that they are killed.

        Returns:
            An empty list if the study is finished.
        """
        waits = False
        while True:
            with self._lock:
                claimed = self._claim_killed(count)
                claimed += self._claim_new(count - len(claimed))
                for trial in claimed:
                    self._suggest(trial)
                others = [] if claimed else self._running()
            if not others:
                return claimed
            if not waits:
                console.print(f"waiting for trials of other processes: {', '.join(map(str, others))}")
            waits = True
            time.sleep(_SECONDS)

    def finish(self, trial: Trial, value: float | None) -> TrialState:
        """Notes the end of a trial: its value, that it was pruned, or that it failed (None)."""
        job = self.folder / str(trial.number)
        pruned = PRUNED_AT in trial_of(self.study, trial.number).user_attrs
        state = TrialState.FAIL if value is None else TrialState.PRUNED if pruned else TrialState.COMPLETE
        if state is TrialState.PRUNED and (result := read_result(job)) is not None:
            replace(result, pruned=True).write(job)
        self.study.tell(trial.number, value if state is TrialState.COMPLETE else None, state)
        self._held.pop(trial.number).release()
        return state

    def close(self) -> None:
        """Writes `optimization_results.yaml`, the best options and value, and prints what pruning saved."""
        trials = self.study.get_trials(deepcopy=False)
        if any(trial.state is TrialState.COMPLETE for trial in trials):
            best = self.study.best_trial
            found = {"name": "optuna", "best_params": best.params, "best_value": best.value, "best_trial": best.number}
            write_text(self.folder / "optimization_results.yaml", yaml.safe_dump(found, sort_keys=False))
        shares = [trial.user_attrs[PRUNED_AT] for trial in trials if trial.state is TrialState.PRUNED]
        if shares:
            saved = 100 * sum(1 - share for share in shares) / len(trials)
            console.print(f"pruning ended {len(shares)} of {len(trials)} trials, and saved {saved:.0f} % of all steps")

    def _claim_killed(self, count: int) -> list[Trial]:
        claimed: list[Trial] = []
        for number in self._running():
            if len(claimed) < count and self._take(number):
                claimed.append(trial_of(self.study, number))
                console.print(f"trial {number} was being run by a process that ended: it is run again")
        return claimed

    def _claim_new(self, count: int) -> list[Trial]:
        claimed: list[Trial] = []
        for _ in range(count):
            trials = self.study.get_trials(deepcopy=False)
            begun = sum(trial.state is not TrialState.WAITING for trial in trials)  # waiting: put into its queue
            if begun >= self.n_trials:
                break
            self._sample(len(trials))
            claimed.append(self.study.ask())
            self._take(claimed[-1].number)
        return claimed

    def _sample(self, number: int) -> None:
        """Seeds the sampler for a trial of this number: a study that was stopped draws what it would have drawn, and
        processes beside each other draw different values.
        """
        seed = self.sampler.get("seed")
        node = self.sampler if seed is None else {**self.sampler, "seed": seed + number}
        self.study.sampler = instantiate(node, "hydra.sweeper.sampler")

    def _suggest(self, trial: Trial) -> None:
        for key, distribution in self.space.items():
            try:
                suggest(trial, key, distribution)
            except ValueError as error:
                raise ConfigError(
                    f"{key} of hydra.sweep.dir={self.folder} had other values to search when the study was begun "
                    f"({first_line(error)}): give the same, or another folder"
                ) from error

    def _running(self) -> list[int]:
        running = self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        numbers = [trial.number for trial in running if trial.number not in self._held]
        return [number for number in numbers if self._is_own or (self.folder / str(number)).is_dir()]

    def _take(self, number: int) -> bool:
        """Takes the lock of a trial, unless another process holds it, or its run goes on without that process."""
        job = self.folder / str(number)
        job.mkdir(exist_ok=True)
        lock = FileLock(job / ".trial.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return False
        if not is_free(job):
            lock.release()
            return False
        self._held[number] = lock
        return True
