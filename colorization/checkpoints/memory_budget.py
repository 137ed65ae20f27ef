"""A limit on the memory that building a network may take, for configurations that come from strangers."""

from typing import Any

import torch

from colorization.compat.torch import DispatchMode, makes_tensors
from colorization.errors import CheckpointError

# No tensor counts for less, so that many small ones have a limit too: making one takes about 0.1 ms.
_LEAST = 2**16


class Budget(DispatchMode):
    """While it is entered, tensors can be made up to a number of bytes in all, and are counted before they are made.

    What counts is every operation that says on which device its result is to be: `empty`, `zeros`, `rand` and their
    like, of which parameters and buffers are made. Tensors on the meta device take no memory and do not count.

    Args:
        most: how many bytes.

    Raises:
        CheckpointError: from within, when that is exceeded.
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most
        self.left = most

    def __torch_dispatch__(
        self,
        function: Any,
        types: tuple[type, ...],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if makes_tensors(function) and str(kwargs.get("device")) != "meta":
            # On the meta device the same call gives the size without the memory.
            planned = function(*args, **{**kwargs, "device": torch.device("meta"), "pin_memory": False})
            self.left -= max(planned.numel() * planned.element_size(), _LEAST)
            if self.left < 0:
                raise CheckpointError(
                    f"its configuration asks for a network of more than the {self.most / 2**20:.0f} MB that go with "
                    "the weights in it"
                )
        return function(*args, **kwargs)
