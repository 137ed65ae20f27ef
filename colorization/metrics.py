"""Scores of coloured pictures against the true ones, picture by picture.

Everything is computed on 8-bit RGB, as a picture file would hold it.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torchmetrics import MeanMetric
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from colorization.color import colorfulness, gray_ab, lab_to_rgb, merge_lab, to_float, to_uint8

# Printed names, in the order of the tables. Colourfulness is best near the truth's; of its error less is better.
METRICS = {
    "psnr": "PSNR (dB)",
    "ssim": "SSIM",
    "colorfulness": "Colourfulness",
    "colorfulness_difference": "Colourfulness error",
}


def psnr(predicted: Tensor, truth: Tensor) -> Tensor:
    """Peak signal-to-noise ratio in dB over all pixels and channels of each `(B, 3, H, W)` picture in 0..1."""
    return peak_signal_noise_ratio(predicted, truth, data_range=1.0, dim=(1, 2, 3), reduction="none")


def ssim(predicted: Tensor, truth: Tensor) -> Tensor:
    """Structural similarity (Wang et al., 2004) of each `(B, 3, H, W)` picture in 0..1: 11x11 Gaussian window of sigma
    1.5, mean over the channels and over all windows that lie within the picture, as scikit-image has it.
    """
    _, full = structural_similarity_index_measure(
        predicted, truth, sigma=1.5, data_range=1.0, reduction="none", return_full_image=True
    )
    return full[..., 5:-5, 5:-5].mean(dim=(1, 2, 3))


def score_pictures(predicted: Tensor, truth: Tensor) -> dict[str, Tensor]:
    """All scores of each picture of a batch.

    Args:
        predicted: uint8 RGB `(B, 3, H, W)`.
        truth: uint8 RGB of the same shape.

    Returns:
        The keys of `METRICS` and `colorfulness_truth`, each `(B,)`. `colorfulness_difference` is the absolute
        difference of each picture; its mean is a mean of differences, not a difference of means.
    """
    # SSIM filters by convolution: under bfloat16 autocast, a score of 0.93 came out as 0.56.
    with torch.autocast(device_type=truth.device.type, enabled=False):
        predicted, truth = to_float(predicted), to_float(truth)
        colorful, colorful_truth = colorfulness(predicted), colorfulness(truth)
        return {
            "psnr": psnr(predicted, truth),
            "ssim": ssim(predicted, truth),
            "colorfulness": colorful,
            "colorfulness_difference": (colorful - colorful_truth).abs(),
            "colorfulness_truth": colorful_truth,
        }


def bootstrap_interval(values: Sequence[float], resamples: int = 2000, seed: int = 0) -> tuple[float, float]:
    """The 95 % percentile bootstrap interval of the mean (Efron, 1979) over pictures."""
    sample = np.asarray(values)
    draws = np.random.default_rng(seed).integers(0, len(sample), (resamples, len(sample)))
    low, high = np.percentile(sample[draws].mean(axis=1), (2.5, 97.5))
    return float(low), float(high)


def render(lightness: Tensor, ab: Tensor) -> Tensor:
    """Lightness `(B, 1, H, W)` and ab `(B, 2, H, W)` to uint8 RGB `(B, 3, H, W)`."""
    return to_uint8(lab_to_rgb(merge_lab(lightness, ab)))


class Scores(nn.Module):
    """Means over all pictures of the scores of the model and of the all-gray baseline.

    The names are those of `score_pictures`, and the same with `gray_` before them for the baseline.
    """

    def __init__(self) -> None:
        super().__init__()
        names = [name for key in METRICS for name in (key, f"gray_{key}")]
        self._means = {name: MeanMetric() for name in (*names, "colorfulness_truth")}
        self.means = nn.ModuleDict(self._means)  # so that Lightning moves them to the device

    def update(self, lightness: Tensor, predicted: Tensor, truth: Tensor) -> dict[str, Tensor]:
        """Adds a batch and returns the scores of its pictures, each `(B,)`.

        Args:
            lightness: `(B, 1, H, W)`, 0..100.
            predicted: uint8 RGB `(B, 3, H, W)`.
            truth: uint8 RGB `(B, 3, H, W)`.
        """
        scores = score_pictures(predicted, truth)
        gray = score_pictures(render(lightness, gray_ab(lightness)), truth)
        scores |= {f"gray_{key}": gray[key] for key in METRICS}
        for name, mean in self._means.items():
            mean.update(scores[name])
        return scores

    def compute(self) -> dict[str, Tensor]:
        """The means over all pictures since the last reset."""
        return {name: mean.compute() for name, mean in self._means.items()}

    def reset(self) -> None:
        for mean in self._means.values():
            mean.reset()
