"""What every objective promises."""

from abc import ABC, abstractmethod

from torch import Tensor, nn


class Objective(nn.Module, ABC):
    """Gives the network's output its meaning.

    Whatever an objective learns from data is a buffer, so that it travels in the checkpoint.

    A new objective is a subclass in a file of this folder, and one file in `conf/objective/`.

    Attributes:
        out_channels: how many channels the network has to produce.
    """

    out_channels: int

    @abstractmethod
    def loss(self, prediction: Tensor, ab: Tensor) -> dict[str, Tensor]:
        """How wrong a prediction is.

        Args:
            prediction: the network's output, `(B, out_channels, H, W)`.
            ab: the true colours in Lab units, `(B, 2, H, W)`.

        Returns:
            Scalars by name: `loss`, which is minimized, and the terms that it is made of, if there are several.
        """

    @abstractmethod
    def decode(self, prediction: Tensor) -> Tensor:
        """The network's output `(B, out_channels, H, W)` to ab in Lab units, float32 `(B, 2, H, W)`."""
