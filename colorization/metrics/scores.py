"""Scores of coloured pictures against the true ones, picture by picture.

All but the share of clipped pixels are computed on 8-bit RGB, as a picture file would hold it.
"""

from collections.abc import Callable, Collection

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics import MeanMetric
from torchmetrics.functional.image import peak_signal_noise_ratio

from colorization.color import (
    GRID_SIDE,
    ciede2000,
    colorfulness,
    colorfulness_abs,
    gray_ab,
    grid_squares,
    lab_to_mapped_rgb,
    merge_lab,
    rgb_to_lab,
    to_float,
    to_uint8,
)
from colorization.metrics.names import CHEAP, LOGGED

# Metrics that are defined for a single picture, hence also for the truth.
# Each has two differences to the truth's: of each picture, and of the means.
OF_TRUTH = {"colorfulness": colorfulness, "colorfulness_abs": colorfulness_abs}

# Of identical pictures, whose PSNR would make a mean infinite: 8-bit pictures of 256 x 256 that differ at all have less
# than 101.1 dB.
_MOST_PSNR = 100.0
# Constants of SSIM for pictures in 0..1: (0.01)^2 and (0.03)^2.
_C1, _C2 = 1e-4, 9e-4
# The largest ab error that the AuC counts, in Lab units (Zhang, Isola and Efros, 2016).
AUC_REACH = 150


def psnr(predicted: Tensor, truth: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB over all pixels and channels of each `(B, 3, H, W)` picture in 0..1. It is at
    most 100, also for identical pictures.
    """
    ratio = peak_signal_noise_ratio(predicted, truth, data_range=1.0, dim=(1, 2, 3), reduction="none")
    return ratio.clamp(max=_MOST_PSNR)


def ssim(predicted: Tensor, truth: Tensor) -> Tensor:
    """Structural similarity (Wang, Bovik, Sheikh and Simoncelli, 2004, eq. 13) of each `(B, 3, H, W)` picture in 0..1:
    11x11 Gaussian window of sigma 1.5, mean over the channels and over all windows that lie within the picture, as in
    scikit-image. Within 2e-5 in float32; torchmetrics is off by 5e-4 in pictures with plain areas.
    """
    means = _gaussian_means(torch.cat((predicted, truth, predicted**2, truth**2, predicted * truth), dim=1))
    ours, theirs, our_square, their_square, product = means.chunk(5, dim=1)
    covariance = product - ours * theirs
    variances = (our_square - ours**2) + (their_square - theirs**2)
    alike = (2 * ours * theirs + _C1) * (2 * covariance + _C2)
    return (alike / ((ours**2 + theirs**2 + _C1) * (variances + _C2))).mean(dim=(1, 2, 3))


def _gaussian_means(values: Tensor) -> Tensor:
    """The weighted mean of each window that lies within: `(B, C, H, W)` to `(B, C, H - 10, W - 10)`."""
    places = torch.arange(-5, 6, dtype=torch.float64)
    weights = torch.softmax(-(places**2) / (2 * 1.5**2), dim=0).to(values)
    channels = values.shape[1]
    row = weights.expand(channels, 1, 1, -1)
    return F.conv2d(F.conv2d(values, row, groups=channels), row.mT, groups=channels)


def mean_ciede2000(predicted: Tensor, truth: Tensor) -> Tensor:
    """CIEDE2000, mean over the pixels of each `(B, 3, H, W)` picture in 0..1."""
    return ciede2000(rgb_to_lab(predicted), rgb_to_lab(truth)).mean(dim=(1, 2))


def colorfulness_difference(predicted: Tensor, truth: Tensor) -> Tensor:
    """Absolute difference in colourfulness of each `(B, 3, H, W)` picture in 0..1. Its mean is a mean of differences;
    the difference of means is in `colorization.evaluation.bootstrap`. Both are published as Delta-colourfulness.
    """
    return (colorfulness(predicted) - colorfulness(truth)).abs()


def colorfulness_abs_difference(predicted: Tensor, truth: Tensor) -> Tensor:
    """As `colorfulness_difference`, by `colorfulness_abs`."""
    return (colorfulness_abs(predicted) - colorfulness_abs(truth)).abs()


_ON_RGB: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "psnr": psnr,
    "ssim": ssim,
    "ciede2000": mean_ciede2000,
    "colorfulness": lambda predicted, truth: colorfulness(predicted),
    "colorfulness_abs": lambda predicted, truth: colorfulness_abs(predicted),
    "colorfulness_difference": colorfulness_difference,
    "colorfulness_abs_difference": colorfulness_abs_difference,
}


def score_pictures(predicted: Tensor, truth: Tensor, names: Collection[str] = CHEAP) -> dict[str, Tensor]:
    """Scores on RGB of each picture of a batch.

    Args:
        predicted: uint8 RGB `(B, 3, H, W)`.
        truth: uint8 RGB of the same shape.
        names: keys of `METRICS`; those that are not computed on the RGB of a single picture are ignored.

    Returns:
        For each name `(B,)`.
    """
    # SSIM filters by convolution: under bfloat16 autocast, a score of 0.93 came out as 0.56.
    with torch.autocast(device_type=truth.device.type, enabled=False):
        predicted, truth = to_float(predicted), to_float(truth)
        return {name: score(predicted, truth) for name, score in _ON_RGB.items() if name in names}


def score_truth(truth: Tensor, names: Collection[str] = CHEAP) -> dict[str, Tensor]:
    """Those of `OF_TRUTH` in `names`, each `(B,)`, of true pictures, uint8 RGB `(B, 3, H, W)`."""
    return {name: score(to_float(truth)) for name, score in OF_TRUTH.items() if name in names}


def pixel_auc(predicted: Tensor, truth: Tensor) -> Tensor:
    """The AuC of each pixel: Zhang, Isola and Efros, "Colorful image colorization" (2016), section 3.1.

    The paper plots the share of pixels whose ab error is at most t over t = 0, 1, .. 150. The AuC is the area under
    that curve by the trapezoidal rule, divided by 150. For a single pixel the curve is one step at t = k, the error
    rounded up, with an area of 150 for k = 0, of 150.5 - k for k = 1 .. 150, and of 0 beyond. The AuC of one picture or
    of many is the mean over their pixels.

    Args:
        predicted: ab in Lab units, `(B, 2, H, W)`.
        truth: ab of the same shape.

    Returns:
        float32 `(B, H, W)`, 0..1.
    """
    step = (predicted.float() - truth.float()).norm(dim=1).ceil()
    area = torch.where(step == 0, AUC_REACH, (AUC_REACH + 0.5 - step).clamp(min=0))
    return area / AUC_REACH


def sums_by_color(values: Tensor, ab: Tensor) -> Tensor:
    """Sums of a pixel value for each colour, a colour being the node of the grid of ab bins nearest to the pixel.

    Args:
        values: `(B, H, W)`.
        ab: the pixels' colours, `(B, 2, H, W)` in Lab units.

    Returns:
        float64 `(B, GRID_SIDE ** 2)`, on the CPU.
    """
    colors = GRID_SIDE**2
    numbers = grid_squares(ab).cpu() + colors * torch.arange(len(ab)).view(-1, 1, 1)
    sums = torch.bincount(numbers.flatten(), values.cpu().double().flatten(), minlength=colors * len(ab))
    return sums.view(len(ab), colors)


def render(lightness: Tensor, ab: Tensor) -> Tensor:
    """Lightness `(B, 1, H, W)` and ab `(B, 2, H, W)` to uint8 RGB `(B, 3, H, W)`, as in prediction: with less
    chroma outside the sRGB gamut.
    """
    return to_uint8(lab_to_mapped_rgb(merge_lab(lightness, ab)))


class Scores(nn.Module):
    """Scores of the model and of the all-gray baseline, as means over all pictures.

    The names are `LOGGED`.
    """

    def __init__(self) -> None:
        super().__init__()
        self._means = {name: MeanMetric() for name in LOGGED}
        self.means = nn.ModuleDict(self._means)  # registered, so that Lightning moves them to the device

    def update(self, lightness: Tensor, predicted: Tensor, truth: Tensor) -> dict[str, Tensor]:
        """Adds a batch and returns the scores of its pictures, each `(B,)`.

        Args:
            lightness: `(B, 1, H, W)`, 0..100.
            predicted: uint8 RGB `(B, 3, H, W)`.
            truth: uint8 RGB `(B, 3, H, W)`.
        """
        scores = score_pictures(predicted, truth)
        gray = score_pictures(render(lightness, gray_ab(lightness)), truth)
        scores |= {f"gray_{key}": gray[key] for key in CHEAP}
        scores |= {f"{key}_truth": value for key, value in score_truth(truth).items()}
        for name, mean in self._means.items():
            mean.update(scores[name])
        return scores

    def compute(self) -> dict[str, Tensor]:
        """The means over all pictures since the last reset."""
        return {name: mean.compute() for name, mean in self._means.items()}

    def reset(self) -> None:
        for mean in self._means.values():
            mean.reset()
