"""Private names of torchmetrics: the network of LPIPS."""

from typing import Literal

from torch import nn
from torchmetrics.functional.image.lpips import _NoTrainLpips


def lpips_network(trunk: Literal["alex", "vgg"]) -> nn.Module:
    """LPIPS with a randomly initialized trunk, with the published linear heads: `(first, second, normalize=True)`.

    Wraps `_NoTrainLpips`; the public classes download the trunk's weights.
    """
    return _NoTrainLpips(net=trunk, pnet_rand=True)
