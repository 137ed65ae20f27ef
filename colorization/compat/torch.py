"""Private names of PyTorch: the dispatcher, shapes of exported graphs, and the state of a schedule."""

from contextlib import AbstractContextManager
from typing import Any

import torch.fx.experimental._config
from torch.utils._python_dispatch import TorchDispatchMode


class DispatchMode(TorchDispatchMode):
    """Base class of modes that intercept every operation on tensors."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # Otherwise PyTorch wraps the mode for its compiler, whose import takes longer than loading a network.
        return False


def makes_tensors(operation: Any) -> bool:
    """Whether an operation makes a tensor on a device of its choice, as `empty`, `zeros` and `rand` do.

    Wraps `OpOverload._schema`.
    """
    schema = operation._schema
    return len(schema.returns) == 1 and {"device", "pin_memory"} <= {argument.name for argument in schema.arguments}


def sizes_of_one_are_general() -> AbstractContextManager[None]:
    """In this context, `torch.export.export` does not specialize on sizes of 1.

    Wraps `torch.fx.experimental._config.backed_size_oblivious`.
    """
    config: Any = torch.fx.experimental._config
    patched: AbstractContextManager[None] = config.patch(backed_size_oblivious=True)
    return patched


def forget_length(schedule: dict[str, Any]) -> None:
    """Removes the length of a one-cycle schedule from its state, so that a longer run keeps its own.

    Wraps `OneCycleLR._schedule_phases`, which a state dict holds.
    """
    for key in ("total_steps", "_schedule_phases"):
        schedule.pop(key, None)
