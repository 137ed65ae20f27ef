"""Hydra's sweeper that searches with Optuna.

Hydra finds sweepers in the namespace `hydra_plugins` only, and imports them for every command. So Optuna is imported
when a sweep begins.
"""

from pathlib import Path
from typing import Any

from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from colorization.errors import ConfigError
from colorization.runtime.installation import install_hint


class OptunaSweeper(Sweeper):
    """Runs the trials of a study in a storage as the jobs of a multirun. The same command resumes the study, and in
    several terminals several processes work on it.

    Args:
        options: see `conf/hydra/sweeper/study.yaml`.
    """

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.config: DictConfig
        self.hydra_context: HydraContext
        self.launcher: Launcher

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keeps what Hydra gives, and makes the launcher."""
        self.hydra_context, self.config = hydra_context, config
        self.launcher = Plugins.instance().instantiate_launcher(hydra_context, task_function, config)

    def sweep(self, arguments: list[str]) -> None:
        """Runs trials until the study has `n_trials`.

        Args:
            arguments: the command line's overrides, without Hydra's own.

        Raises:
            ConfigError: Optuna is missing, or the options don't fit the study.
        """
        _require_optuna()
        from colorization.sweeps.search_space import examples, split, written
        from colorization.sweeps.study import SweepStudy

        sweeper: Any = OmegaConf.to_container(self.config.hydra.sweeper, resolve=True)
        if sweeper["n_jobs"] < 1:
            raise ConfigError(f"hydra.sweeper.n_jobs={sweeper['n_jobs']} is too few: give 1 or more")
        searched = [f"{key}={value}" for key, value in (sweeper["params"] or {}).items()]
        space, fixed = split([*searched, *arguments], self.hydra_context.config_loader)
        for words in examples(space):  # a typo ends the command before a study holds it
            self.hydra_context.config_loader.load_sweep_config(self.config, [*fixed.values(), *words])
        options = {key: word.partition("=")[2] for key, word in fixed.items()} | {"monitor": self.config.monitor}
        study = SweepStudy(Path(self.config.hydra.sweep.dir), sweeper, space, options)
        while trials := study.claim(sweeper["n_jobs"]):
            jobs = [
                [
                    *fixed.values(),
                    *(written(key, value) for key, value in trial.params.items()),
                    f"hydra.sweep.subdir={trial.number}",
                ]
                for trial in trials
            ]
            returns = self.launcher.launch(jobs, initial_job_idx=trials[0].number)
            for trial, job in zip(trials, returns, strict=True):
                study.finish(trial, job.return_value)
        study.close()


def _require_optuna() -> None:
    hint = install_hint("optuna")
    try:
        import optuna
    except ImportError as error:
        raise ConfigError(f"sweep=optuna needs Optuna: {hint}") from error
    if int(optuna.__version__.partition(".")[0]) < 4:
        raise ConfigError(f"sweep=optuna needs Optuna 4 or newer, this is {optuna.__version__}: {hint}")
