"""Private names of OmegaConf."""

from typing import Any

from omegaconf import DictConfig


def root_of(node: DictConfig) -> Any:
    """The configuration of a node. Wraps `Node._get_root`."""
    return node._get_root()
