"""Quantization of the ab plane into bins."""

from functools import cache
from itertools import product

import torch
from torch import Tensor

from colorization.color.conversion import in_float32, rgb_to_lab
from colorization.errors import ConfigError

# Step of the grid that quantizes the ab plane, in Lab units (Zhang, Isola and Efros, 2016).
BIN_STEP = 10

# Nodes of the grid per axis, from -110 to 110: beyond the sRGB gamut.
GRID_SIDE = 23


@cache
def ab_bins() -> Tensor:
    """The bins of the ab plane: nodes of a grid with step `BIN_STEP`.

    A node is a bin if it is a corner of a grid square that holds a colour of 8-bit sRGB. So every such colour lies
    between four bins, and within 7.08 Lab units (half a diagonal) of the nearest. There are 309 bins; no published rule
    gives the 313 of Zhang, Isola and Efros (2016).

    Returns:
        float32 `(Q, 2)`, in Lab units, sorted by a, then b.
    """
    # The surface of the RGB cube has all ab values: every line of constant ab crosses it.
    levels = torch.arange(256.0) / 255
    first, second = torch.meshgrid(levels, levels, indexing="ij")
    faces = []
    for axis, level in product(range(3), (0.0, 1.0)):
        face = [first, second]
        face.insert(axis, torch.full_like(first, level))
        faces.append(torch.stack(face))
    ab = rgb_to_lab(torch.stack(faces))[:, 1:].movedim(1, -1).flatten(0, -2)
    # Rounded, so that grays fall into the same square on every CPU.
    squares = (ab.round(decimals=2) / BIN_STEP).floor().unique(dim=0)
    corners = torch.tensor(list(product((0.0, 1.0), repeat=2)))
    return ((squares.unsqueeze(1) + corners).flatten(0, 1).unique(dim=0) * BIN_STEP).contiguous()


def nearest_bins(ab: Tensor, bins: Tensor, count: int = 1) -> tuple[Tensor, Tensor]:
    """The bins closest to each pixel.

    Args:
        ab: `(B, 2, H, W)` in Lab units.
        bins: `(Q, 2)`, see `ab_bins`.
        count: number of bins for each pixel.

    Returns:
        Distances in Lab units and indices of bins, each `(B, H, W, count)`, the nearest first.
    """
    with torch.autocast(device_type=ab.device.type, enabled=False):
        pixels = ab.float().permute(0, 2, 3, 1).flatten(1, 2)
        distances = torch.cdist(
            pixels, bins.expand(len(ab), -1, -1), compute_mode="donot_use_mm_for_euclid_dist"
        )  # the other mode has errors of up to a unit with TF32
        near = distances.topk(count, largest=False)
    shape = (len(ab), *ab.shape[-2:], count)
    return near.values.view(shape), near.indices.view(shape)


@in_float32
def annealed_mean(logits: Tensor, bins: Tensor, *, temperature: float) -> Tensor:
    """The mean colour of a distribution over bins whose logits are divided by a temperature: 1 is the mean, near 0 the
    mode (Zhang, Isola and Efros, "Colorful Image Colorization", 2016, eq. 5).

    Args:
        logits: `(B, Q, H, W)`; log probabilities will do.
        bins: `(Q, 2)` in Lab units, see `ab_bins`.
        temperature: 0.001 to 1000, see `checked_temperature`.

    Returns:
        Ab in Lab units, float32 `(B, 2, H, W)`.
    """
    # The maximum is subtracted before the division: a softmax of quotients, which are rounded, is off by up to 0.05 Lab
    # units at low temperatures.
    weights = (logits - logits.amax(dim=1, keepdim=True)).div_(temperature).exp_()
    # Not einsum: an exported graph of it would not take a picture of one logit.
    sums = (bins.T @ weights.flatten(2)).unflatten(2, weights.shape[2:])
    return sums / weights.sum(dim=1, keepdim=True)


def checked_temperature(temperature: float) -> float:
    """Returns a valid temperature of `annealed_mean`.

    Raises:
        ConfigError: it is not within 0.001 to 1000.
    """
    if not 1e-3 <= temperature <= 1e3:
        raise ConfigError(f"temperature={temperature:g} is out of range: give 0.001 to 1000, for example 0.38")
    return temperature


def grid_squares(ab: Tensor) -> Tensor:
    """The index of the grid node closest to each pixel. For colours of sRGB, that is the closest of `ab_bins`; it needs
    no table of distances, and works for any ab.

    Args:
        ab: `(B, 2, H, W)` in Lab units.

    Returns:
        int64 `(B, H, W)`, from 0 to `GRID_SIDE ** 2 - 1`.
    """
    half = GRID_SIDE // 2
    a, b = ((ab.float() / BIN_STEP).round().clamp(-half, half).long() + half).unbind(1)
    return a * GRID_SIDE + b
