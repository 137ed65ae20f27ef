"""Private names of torchmetrics: the network of LPIPS."""

from torch import nn
from torchmetrics.functional.image.lpips import _NoTrainLpips


def lpips_network() -> nn.Module:
    """LPIPS with randomly initialized AlexNet, with the published linear heads: `(first, second, normalize=True)`.

    Wraps `_NoTrainLpips`; the public classes download AlexNet's weights.
    """
    return _NoTrainLpips(net="alex", pnet_rand=True)
