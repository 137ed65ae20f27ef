"""Pruning: a trial that is worse than others were at the same validation ends early."""

from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.trainer.states import TrainerFn

from colorization.compat.optuna import trial_of
from colorization.errors import ConfigError
from colorization.runtime.console import console
from colorization.sweeps.study import PRUNED_AT, open_study


class Pruning(Callback):
    """Reports the monitored metric of each validation to the study of `sweep=optuna`, and ends training if its pruner
    says so. The run then ends as any other: its best checkpoint is scored.

    Args:
        monitor: the logged name of the metric.

    Raises:
        ConfigError: the run is not a trial of a study.
    """

    def __init__(self, monitor: str) -> None:
        self.monitor = monitor
        self.validations = 0
        hydra: Any = HydraConfig.get()
        if "study_name" not in hydra.sweeper or OmegaConf.is_missing(hydra.job, "num"):
            raise ConfigError("callbacks.pruning belongs to a study: give sweep=optuna on the command line")
        # Here and not later: a strategy may train in other processes, which know nothing of Hydra.
        self.sweeper: Any = OmegaConf.to_container(hydra.sweeper, resolve=True)
        self.number = int(hydra.sweep.subdir)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.sanity_checking or trainer.state.fn is not TrainerFn.FITTING:
            return
        ends = trainer.is_global_zero and self._report(trainer, pl_module)
        self.validations += 1
        if trainer.strategy.broadcast(ends):
            trainer.should_stop = True

    def _report(self, trainer: Trainer, module: Any) -> bool:
        trial = trial_of(open_study(self.sweeper), self.number)
        trial.report(float(trainer.callback_metrics[self.monitor]), self.validations)
        if module.progress >= 1 or not trial.should_prune():
            return False
        trial.set_user_attr(PRUNED_AT, module.progress)
        console.print(f"pruned by Optuna after {module.progress:.0%} of the steps", markup=False)
        return True

    def state_dict(self) -> dict[str, Any]:
        return {"validations": self.validations}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.validations = state_dict["validations"]
