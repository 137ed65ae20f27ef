"""Steps over many pixels, taken so that memory is not what they wait for."""

from collections.abc import Callable
from functools import wraps

import torch
from torch import Tensor

# Pixels that a core goes over in one step after the other: three channels of float32 fill most of its second cache.
BLOCK = 2**16

# glibc returns memory to the system when more than twice the largest block that was ever freed lies idle, and the
# system clears every page of it that is asked for again: that takes ten times as long as the steps that use it. This
# block, which is never touched and so costs nothing, is the largest that counts (M_TRIM_THRESHOLD in mallopt(3)).
torch.empty(2**25 - 2**16, dtype=torch.uint8)


def in_blocks(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Runs `function` of `(..., C, H, W)` on a CPU on as many pixels at a time as its cores' caches hold."""

    @wraps(function)
    def run(picture: Tensor, **options: int) -> Tensor:
        pixels, most = picture[..., 0, :, :].numel(), BLOCK * torch.get_num_threads()
        if pixels <= most or not picture.is_cpu or (picture.requires_grad and torch.is_grad_enabled()):
            return function(picture, **options)
        *batch, channels, height, width = picture.shape
        flat = picture.reshape(-1, channels, 1, height * width)
        few = max(most // flat.shape[-1], 1)  # small pictures together, large ones in parts
        blocks = [part for pictures in flat.split(few) for part in pictures.split(most, dim=-1)]
        first = function(blocks[0], **options)
        whole = first.new_empty(len(flat), first.shape[1], 1, flat.shape[-1])
        targets = [part for pictures in whole.split(few) for part in pictures.split(most, dim=-1)]
        targets[0].copy_(first)
        for block, target in zip(blocks[1:], targets[1:], strict=True):
            target.copy_(function(block, **options))
        return whole.view(*batch, -1, height, width)

    return run
