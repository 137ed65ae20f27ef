"""Everything private that we use of Lightning, PyTorch and W&B, in one place.

Each function says what it stands for; pyproject.toml pins what was tried, and tests/test_compat.py names what broke.
"""

from pytorch_lightning import Trainer
from pytorch_lightning.strategies.launchers import _SubprocessScriptLauncher


def relaunches_script(trainer: Trainer) -> bool:
    """Whether the trainer's strategy starts the script again for each of its other devices."""
    return isinstance(trainer.strategy.launcher, _SubprocessScriptLauncher)


def request_stop(trainer: Trainer) -> None:
    """Lets the trainer raise SIGTERMException as soon as the current batch or epoch has ended."""
    trainer._signal_connector.received_sigterm = True
