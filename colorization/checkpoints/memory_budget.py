"""A limit on the memory for building a network, for configurations from strangers."""

from typing import Any

import torch

from colorization.compat.torch import DispatchMode, makes_tensors
from colorization.errors import CheckpointError

# Minimum size that counts for a tensor, to limit the number of small ones, too: creating one takes about 0.1 ms.
_LEAST = 2**16


class Budget(DispatchMode):
    """A context in which new tensors may have a total number of bytes, counted before they are allocated.

    It counts every operation with an argument `device`, such as `empty`, `zeros` and `rand`, which create parameters
    and buffers. Tensors on the meta device use no memory and do not count.

    Args:
        most: the number of bytes.

    Raises:
        CheckpointError: from within the context, if the limit is exceeded.
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
                    f"its configuration builds a network of more than {self.most / 2**20:.0f} MB, the limit for its "
                    "weights"
                )
        return function(*args, **kwargs)
