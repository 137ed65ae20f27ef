"""What is private of PyTorch: the dispatcher, shapes that are exported, and the state of a schedule."""

from contextlib import AbstractContextManager
from typing import Any

import torch.fx.experimental._config
from torch.utils._python_dispatch import TorchDispatchMode

# A base class of modes that see every operation on tensors before it runs.
DispatchMode = TorchDispatchMode


def makes_tensors(operation: Any) -> bool:
    """Whether an operation makes a tensor on a device of its choice, as `empty`, `zeros` and `rand` do.

    Stands for `OpOverload._schema`.
    """
    schema = operation._schema
    return len(schema.returns) == 1 and {"device", "pin_memory"} <= {argument.name for argument in schema.arguments}


def sizes_of_one_are_general() -> AbstractContextManager[None]:
    """While it is entered, `torch.export.export` makes no special cases for sizes of 1.

    Stands for `torch.fx.experimental._config.backed_size_oblivious`.
    """
    config: Any = torch.fx.experimental._config
    patched: AbstractContextManager[None] = config.patch(backed_size_oblivious=True)
    return patched


def forget_length(schedule: dict[str, Any]) -> None:
    """Takes the length of a one-cycle schedule out of its state, so that a longer run keeps its own.

    Stands for `OneCycleLR._schedule_phases`, which a state dict holds.
    """
    for key in ("total_steps", "_schedule_phases"):
        schedule.pop(key, None)
