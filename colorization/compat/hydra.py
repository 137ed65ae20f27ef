"""What Hydra does at a cost."""

from typing import Any

from hydra.core.config_store import ConfigStore


def keep_one_store() -> None:
    """Keeps Hydra from copying the store of structured configurations, a singleton, each time it lists a group: a
    hundred times for `--help`, which then takes twice as long. What it loads from the store is copied anyway.
    """

    def same(store: ConfigStore, memo: dict[int, Any]) -> ConfigStore:
        return store

    ConfigStore.__deepcopy__ = same  # type: ignore[attr-defined]
