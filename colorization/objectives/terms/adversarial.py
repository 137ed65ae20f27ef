"""The loss of a discriminator that is trained to tell predicted from true colours."""

from collections.abc import Callable, Iterable
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import Optimizer

from colorization.color import lab_to_rgb, merge_lab, normalize_ab, normalize_lightness, rgb_to_lab, saturated
from colorization.errors import ConfigError
from colorization.objectives.terms.base import Term


class Adversarial(Term):
    """Loss of a generative adversarial network, conditional on lightness (Isola et al., "Image-to-Image Translation
    with Conditional Adversarial Networks", 2017).

    The network's optimizer does not hold the discriminator's parameters. `ColorizationModule` trains them with a second
    optimizer on `discriminator_loss`, once per step of the network.

    Args:
        loss: `hinge` (Lim and Ye, 2017), `lsgan` (Mao et al., 2017) or `vanilla` (Goodfellow et al., 2014, with the
            non-saturating loss of the generator).
        optimizer: builds the discriminator's optimizer from its parameters.
        width: channels of the discriminator's first layer.
        enhance: factor on the saturation of the true pictures, see `colorization.color.saturated`.
        summed: see `Term`; `begin` is the length of the warm-up without this term.
    """

    comparable = False

    def __init__(
        self,
        optimizer: Callable[[Iterable[Tensor]], Optimizer],
        loss: Literal["hinge", "lsgan", "vanilla"] = "hinge",
        width: int = 64,
        enhance: float = 1.0,
        **summed: Any,
    ) -> None:
        super().__init__(**summed)
        if width < 8:
            raise ConfigError(f"objective.terms: width={width} of the discriminator is too small: give 8 or more")
        self.kind = loss
        self.enhance = enhance
        self.make_optimizer = optimizer
        self.discriminator = PatchDiscriminator(width)
        # Gradients pass through the discriminator to the network; its own parameters get some only in its own step.
        self.discriminator.requires_grad_(False)

    def forward(self, lightness: Tensor, predicted: Tensor, ab: Tensor) -> Tensor:
        verdict = self._judge(lightness, predicted)
        if self.kind == "hinge":
            return -verdict.mean()
        if self.kind == "lsgan":
            return ((verdict - 1) ** 2).mean()
        return F.softplus(-verdict).mean()

    def discriminator_loss(self, lightness: Tensor, predicted: Tensor, ab: Tensor) -> Tensor:
        """The discriminator's loss: a scalar. Arguments as for `forward`."""
        if self.enhance != 1:
            rgb = saturated(lab_to_rgb(merge_lab(lightness, ab)), factor=self.enhance)
            ab = rgb_to_lab(rgb)[:, 1:]
        true, false = self._judge(lightness, ab), self._judge(lightness, predicted.detach())
        if self.kind == "hinge":
            return F.relu(1 - true).mean() + F.relu(1 + false).mean()
        if self.kind == "lsgan":
            return (((true - 1) ** 2).mean() + (false**2).mean()) / 2
        return (F.softplus(-true).mean() + F.softplus(false).mean()) / 2

    def _judge(self, lightness: Tensor, ab: Tensor) -> Tensor:
        return self.discriminator(torch.cat((normalize_lightness(lightness), normalize_ab(ab)), dim=1)).float()


class PatchDiscriminator(nn.Sequential):
    """Judges overlapping patches of 54 x 54 pixels (PatchGAN of Isola et al., 2017, with the last two kernels 3 x 3
    instead of 4 x 4, for small pictures), with spectral normalization (Miyato et al., 2018) in place of BatchNorm.

    `(B, 3, H, W)` normalized Lab to one score per patch, `(B, 1, H/8, W/8)`.

    Args:
        width: channels of the first layer; doubled by each of the next three.
    """

    def __init__(self, width: int) -> None:
        layers: list[nn.Module] = []
        before = 3
        for factor, kernel, stride in ((1, 4, 2), (2, 4, 2), (4, 4, 2), (8, 3, 1)):
            convolution = _SpectralConv2d(before, width * factor, kernel, stride=stride, padding=1)
            layers += [convolution, nn.LeakyReLU(0.2, inplace=True)]
            before = width * factor
        super().__init__(*layers, _SpectralConv2d(before, 1, 3, padding=1))


class _SpectralConv2d(nn.Conv2d):
    """A convolution with spectral normalization: the weight matrix is divided by its largest singular value, estimated
    by one power iteration per step (Miyato et al., 2018). Unlike PyTorch's parametrization it can be pickled.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1, padding: int = 0) -> None:
        super().__init__(in_channels, out_channels, kernel, stride=stride, padding=padding)
        self.left: Tensor
        self.register_buffer("left", F.normalize(torch.randn(self.out_channels), dim=0))
        with torch.no_grad():
            for _ in range(15):
                self._largest_singular_value()

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            weight = self.weight / self._largest_singular_value()
        return self._conv_forward(x, weight, self.bias)

    def _largest_singular_value(self) -> Tensor:
        matrix = self.weight.flatten(1)
        with torch.no_grad():
            right = F.normalize(self.left @ matrix, dim=0)
            left = F.normalize(matrix @ right, dim=0)
            if self.training:
                self.left.copy_(left)
        return left @ matrix @ right
