"""Computation in blocks that fit into the cache of a core."""

from collections.abc import Callable
from functools import wraps

import torch
from torch import Tensor

# Pixels per core and block: three channels of float32 fill most of the L2 cache.
BLOCK = 2**16

# glibc returns idle memory to the system if it exceeds twice the largest block that was ever freed, and the system
# clears its pages when they are allocated again, which takes ten times as long as the computation. Freeing this block,
# which is never touched and costs nothing, raises the threshold to its maximum (M_TRIM_THRESHOLD in mallopt(3)).
torch.empty(2**25 - 2**16, dtype=torch.uint8)


def in_blocks(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """Runs `function` of `(..., C, H, W)` on a CPU in blocks that fit into the caches of its cores."""

    @wraps(function)
    def run(picture: Tensor, **options: int) -> Tensor:
        pixels, most = picture[..., 0, :, :].numel(), BLOCK * torch.get_num_threads()
        if pixels <= most or not picture.is_cpu or (picture.requires_grad and torch.is_grad_enabled()):
            return function(picture, **options)
        *batch, channels, height, width = picture.shape
        flat = picture.reshape(-1, channels, 1, height * width)
        few = max(most // flat.shape[-1], 1)  # small pictures in batches, large ones in parts
        blocks = [part for pictures in flat.split(few) for part in pictures.split(most, dim=-1)]
        first = function(blocks[0], **options)
        whole = first.new_empty(len(flat), first.shape[1], 1, flat.shape[-1])
        targets = [part for pictures in whole.split(few) for part in pictures.split(most, dim=-1)]
        targets[0].copy_(first)
        for block, target in zip(blocks[1:], targets[1:], strict=True):
            target.copy_(function(block, **options))
        return whole.view(*batch, -1, height, width)

    return run
