"""Everything private that we use of Lightning, PyTorch and W&B, in one place.

Each function says what it stands for; pyproject.toml pins what was tried, and tests/test_compat.py names what broke.
"""

from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

if TYPE_CHECKING:
    from pytorch_lightning import Trainer


def root_of(node: DictConfig) -> Any:
    """The configuration that a node is a part of."""
    return node._get_root()


def relaunches_script(trainer: "Trainer") -> bool:
    """Whether the trainer's strategy starts the script again for each of its other devices."""
    from pytorch_lightning.strategies.launchers import _SubprocessScriptLauncher

    return isinstance(trainer.strategy.launcher, _SubprocessScriptLauncher)


def request_stop(trainer: "Trainer") -> None:
    """Lets the trainer raise SIGTERMException as soon as the current batch or epoch has ended."""
    trainer._signal_connector.received_sigterm = True
