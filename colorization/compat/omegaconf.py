"""What is private of OmegaConf: the way up."""

from typing import Any

from omegaconf import DictConfig


def root_of(node: DictConfig) -> Any:
    """The configuration that a node is a part of. Stands for `Node._get_root`."""
    return node._get_root()
