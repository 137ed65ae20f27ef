"""The identity of a run: the options that determine what is learned.

`ckpt_path=auto` resumes only the same run, and leaves a finished one alone.
"""

from collections.abc import Mapping
from typing import Any

# Groups that do not influence what is learned.
_ASIDE = ("callbacks", "ckpt_path", "logger", "lr_find", "paths")
# Options that may change when a run is resumed: paths, devices, initial weights and decoding.
_MAY_CHANGE = (
    *("init_from", "backbone.pretrained", "backbone.weights", "objective.temperature", "objective.vividness"),
    *(f"data.{key}" for key in ("root", "num_workers", "cache", "cache_gb", "skipped_file")),
    *(f"trainer.{key}" for key in ("accelerator", "default_root_dir", "devices", "enable_model_summary")),
    *(f"trainer.{key}" for key in ("enable_progress_bar", "log_every_n_steps", "num_nodes", "profiler", "strategy")),
)
# A longer run resumes a shorter one, but is not finished when that one is.
LENGTH = "trainer.max_epochs"
# Options that were added later, with the values of the earlier behaviour.
_DEFAULTS = {"objective.weight": 1.0, "data.degrade": "none"}
# Options that were added later, whose earlier behaviour is in the state that a checkpoint keeps.
_IN_STATE = ("scheduler.cycle_momentum",)


def difference(
    before: Mapping[str, Any], now: Mapping[str, Any], *, ignore: tuple[str, ...] = ()
) -> tuple[str, Any, Any] | None:
    """The first option by which two runs differ: its name and both values; None if they are the same run.

    Args:
        before: a run's resolved configuration.
        now: another run's.
        ignore: options to ignore.
    """
    first, second = ({k: v for k, v in leaves(node).items() if _counts(k, ignore)} for node in (before, now))
    for key in sorted(first.keys() | second.keys()):
        old, new = (values.get(key, _DEFAULTS.get(key)) for values in (first, second))
        if old != new and not (key in _IN_STATE and key not in first):
            return key, old, new
    return None


def _counts(key: str, ignore: tuple[str, ...]) -> bool:
    return key not in _MAY_CHANGE and key not in ignore and key.partition(".")[0] not in _ASIDE


def leaves(value: Any, path: str = "") -> dict[str, Any]:
    """All values of a configuration by full name, without options that are null."""
    if not isinstance(value, Mapping):
        return {} if value is None else {path: value}
    dotted = f"{path}." if path else ""
    return {key: leaf for name, below in value.items() for key, leaf in leaves(below, f"{dotted}{name}").items()}
