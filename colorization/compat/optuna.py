"""Private names of Optuna: a trial by its number, and a parameter by its distribution."""

from optuna import Study, Trial
from optuna.distributions import BaseDistribution


def trial_of(study: Study, number: int) -> Trial:
    """A trial that exists already, of this process or of another one.

    Wraps `FrozenTrial._trial_id`. What was suggested for the trial is kept, and the rest can be suggested.
    """
    return Trial(study, study.get_trials(deepcopy=False)[number]._trial_id)


def suggest(trial: Trial, key: str, distribution: BaseDistribution) -> None:
    """Suggests a parameter, unless the trial has it.

    Wraps `Trial._suggest`, which `Study.ask` uses for distributions.

    Raises:
        ValueError: the study has the parameter with other values.
    """
    trial._suggest(key, distribution)
