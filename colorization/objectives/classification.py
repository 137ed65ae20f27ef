"""Predicts a distribution over ab bins for each pixel."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from colorization.color import COLORLESS_CHROMA, ab_bins, annealed_mean, checked_temperature, nearest_bins
from colorization.errors import ConfigError
from colorization.objectives.base import Objective

# Soft targets as in the paper: the 5 nearest bins, weighted by a Gaussian with a sigma of 5 Lab units.
NEIGHBORS = 5
SIGMA = 5.0
# The paper predicts distributions at a quarter of the picture's resolution.
STRIDE = 4


class Classification(Objective):
    """Cross-entropy between a predicted distribution over ab bins and a soft-encoded true colour (Zhang, Isola and
    Efros, "Colorful Image Colorization", 2016): a mean of colours is no longer the best answer.

    The network's output are features. A layer of this objective turns them into logits of the bins, at a quarter of the
    resolution. Rare colours have more weight (class rebalancing, eq. 4 of the paper), by the prior of `set_prior`;
    without a prior all colours have the same weight. Photos without colour are ignored.

    Args:
        temperature: of the annealed mean that turns a distribution into a colour (eq. 5): 1 is the mean, near 0 the
            mode. May be changed at any time.
        uniform_share: lambda of the paper, the share of a uniform distribution mixed into the prior: 1 turns
            rebalancing off.
        features: number of channels of the network's output.
        summed: `weight` and `terms`, see `Objective`.
    """

    wants_prior = True

    def __init__(
        self, temperature: float = 0.38, uniform_share: float = 0.5, features: int = 64, **summed: Any
    ) -> None:
        super().__init__(**summed)
        if not 0 < uniform_share <= 1:
            raise ConfigError(f"objective.uniform_share={uniform_share:g} is out of range: give more than 0, at most 1")
        if features < 1:
            raise ConfigError(f"objective.features={features} is too small: give 1 or more")
        self.temperature = temperature
        self.uniform_share = uniform_share
        self.out_channels = features
        bins = ab_bins()
        self.classify = nn.Conv2d(features, len(bins), STRIDE, stride=STRIDE)
        self.bins: Tensor
        self.prior: Tensor
        self.class_weights: Tensor
        self.register_buffer("bins", bins.clone())
        self.register_buffer("prior", torch.full((len(bins),), 1 / len(bins)))
        self.register_buffer("class_weights", torch.ones(len(bins)))

    @property
    def temperature(self) -> float:
        return self._temperature

    @temperature.setter
    def temperature(self, value: float) -> None:
        self._temperature = checked_temperature(value)

    def set_prior(self, prior: Tensor) -> None:
        self.prior.copy_(prior)
        self.class_weights.copy_(rebalancing_weights(prior, self.bins.cpu(), self.uniform_share))

    def pixel_loss(self, prediction: Tensor, ab: Tensor) -> Tensor:
        logits = self._logits(prediction)
        # The mean colour of the pixels of a logit; the last ones may extend beyond the edge.
        coarse = F.avg_pool2d(ab.float(), STRIDE, ceil_mode=True)
        target, nearest = self.encode(coarse)
        cross_entropy = -(target * F.log_softmax(logits, dim=1)).sum(dim=1)
        colored = (ab.float().norm(dim=1) >= COLORLESS_CHROMA).flatten(1).any(dim=1)
        weights = self.class_weights[nearest] * colored.view(-1, 1, 1)
        return (weights * cross_entropy).sum() / (colored.sum().clamp(min=1) * nearest[0].numel())

    def encode(self, ab: Tensor) -> tuple[Tensor, Tensor]:
        """Soft-encodes each colour over its nearest bins. The mean of the bins under the result is the colour, with an
        error of at most 0.71 Lab units (0.22 on average over the colours of sRGB).

        Args:
            ab: `(B, 2, H, W)` in Lab units.

        Returns:
            Distributions `(B, Q, H, W)` that sum to 1 over the bins, and the index of the nearest bin `(B, H, W)`.
        """
        distances, indices = nearest_bins(ab, self.bins, NEIGHBORS)
        shares = torch.softmax(-(distances**2) / (2 * SIGMA**2), dim=-1)
        target = shares.new_zeros(*indices.shape[:-1], len(self.bins)).scatter_(-1, indices, shares)
        return target.movedim(-1, 1), indices[..., 0]

    def decode(self, prediction: Tensor) -> Tensor:
        ab = annealed_mean(self._logits(prediction), self.bins, temperature=self.temperature)
        ab = F.interpolate(ab, scale_factor=float(STRIDE), mode="bilinear", align_corners=False)
        return ab[..., : prediction.shape[-2], : prediction.shape[-1]]

    def _logits(self, prediction: Tensor) -> Tensor:
        height, width = prediction.shape[-2:]
        padded = F.pad(prediction, (0, -width % STRIDE, 0, -height % STRIDE), mode="replicate")
        return self.classify(padded).float()


def rebalancing_weights(prior: Tensor, bins: Tensor, uniform_share: float) -> Tensor:
    """Class weights that rebalance rare colours (Zhang et al., 2016, eq. 4).

    The prior is smoothed over neighbouring bins by a Gaussian of sigma 5 Lab units, mixed with a uniform distribution,
    and inverted; the mean of the weights under the smoothed prior is 1.

    Args:
        prior: `(Q,)`, the share of each bin.
        bins: `(Q, 2)` in Lab units.
        uniform_share: lambda of the paper.

    Returns:
        `(Q,)`.
    """
    spread = torch.exp(-(torch.cdist(bins.double(), bins.double()) ** 2) / (2 * SIGMA**2))
    smoothed = (spread / spread.sum(dim=0)) @ prior.double()
    smoothed = smoothed / smoothed.sum()
    weights = 1 / ((1 - uniform_share) * smoothed + uniform_share / len(bins))
    return (weights / (smoothed * weights).sum()).to(prior.dtype)
