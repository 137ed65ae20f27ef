"""Consistency of a film's colours over time. Neither measure needs the true colours."""

from collections.abc import Iterable

import torch
from torch import Tensor
from torch.nn import functional as F

# Distances between compared frames, each with the same weight.
_STEPS = (1, 2, 4)
_LEVELS = 256
# Sundaram, Brox and Keutzer (2010), as in Lai et al.'s code: shares of the squared flows, and constants in squared px.
_OCCLUDED, _OCCLUDED_MORE = 0.01, 0.5
_BOUNDARY, _BOUNDARY_MORE = 0.01, 0.002


def color_distribution_consistency(frames: Iterable[Tensor]) -> float:
    """CDC: Liu et al., "Temporally consistent video colorization with deep feature propagation and self-regularization
    learning" (2021), as ColorMNet's evaluation_matrics/cdc.py computes it. For frames 1, 2 and 4 apart, the mean
    Jensen-Shannon divergence, in nats, of the histograms of red, green and blue; then the mean of the three. 0 is a
    film whose colours are the same in all frames: so it is for a gray still, and it grows with motion, too.

    Args:
        frames: uint8 RGB `(3, H, W)`, 5 or more.

    Raises:
        ValueError: there are fewer frames.
    """
    histograms = torch.stack([_histograms(frame) for frame in frames])
    if len(histograms) <= max(_STEPS):
        raise ValueError(f"{len(histograms)} frames are too few for CDC, which needs {max(_STEPS) + 1}")
    means = [_divergence(histograms[:-step], histograms[step:]).mean() for step in _STEPS]
    return float(torch.stack(means).mean())


def _histograms(frame: Tensor) -> Tensor:
    """The share of each level in each channel, float64 `(3, 256)`."""
    counts = [torch.bincount(channel.flatten().long(), minlength=_LEVELS) for channel in frame]
    return torch.stack(counts).double() / frame[0].numel()


def _divergence(first: Tensor, second: Tensor) -> Tensor:
    middle = (first + second) / 2
    # xlogy is 0 where a level does not occur.
    parts = [torch.xlogy(each, each) - torch.xlogy(each, middle) for each in (first, second)]
    divergence: Tensor = (parts[0] + parts[1]).sum(dim=-1) / 2
    return divergence


def warp(picture: Tensor, flow: Tensor) -> Tensor:
    """The values of a picture where a flow points, by bilinear interpolation; beyond the border, the border's.

    Args:
        picture: `(C, H, W)`, floats.
        flow: in pixels, right and down, `(2, H, W)`.

    Returns:
        `(C, H, W)`.
    """
    height, width = picture.shape[-2:]
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    across = (columns.to(flow) + flow[0]) * (2 / max(width - 1, 1)) - 1
    down = (rows.to(flow) + flow[1]) * (2 / max(height - 1, 1)) - 1
    grid = torch.stack((across, down), dim=-1).unsqueeze(0)
    warped = F.grid_sample(picture.unsqueeze(0), grid, mode="bilinear", padding_mode="border", align_corners=True)
    return warped[0]


def occluded(forward: Tensor, backward: Tensor) -> Tensor:
    """Where a flow can't be trusted: pixels that the backward flow does not bring back, and edges of motion. Sundaram,
    Brox and Keutzer, "Dense point trajectories by GPU-accelerated large displacement optical flow" (2010).

    Args:
        forward: from a frame to the next, in pixels, `(2, H, W)`.
        backward: from the next frame to this one.

    Returns:
        bool `(H, W)`.
    """
    back = warp(backward, forward)
    squares = forward.square().sum(dim=0) + back.square().sum(dim=0)
    lost = (forward + back).square().sum(dim=0) > _OCCLUDED * squares + _OCCLUDED_MORE
    steps = torch.zeros_like(forward[0])
    steps[:, :-1] += (forward[:, :, :-1] - forward[:, :, 1:]).square().sum(dim=0)
    steps[:-1] += (forward[:, :-1] - forward[:, 1:]).square().sum(dim=0)
    edge = steps > _BOUNDARY * forward.square().sum(dim=0) + _BOUNDARY_MORE
    return lost | edge


def warping_error(frame: Tensor, following: Tensor, flow: Tensor, hidden: Tensor) -> float:
    """The warping error of two frames: Lai et al., "Learning blind video temporal consistency" (2018), as their
    evaluate_WarpError.py computes it. The mean over pixels and channels of the squared difference between a frame and
    the following one, warped back; 0 if all pixels are occluded. A film's is the mean over its pairs. It depends on the
    flow: name its method.

    Args:
        frame: RGB in 0..1, `(3, H, W)`.
        following: likewise.
        flow: from the frame to the following one, in pixels, `(2, H, W)`; of the film in gray, or of the true one.
        hidden: pixels that don't count, bool `(H, W)`, see `occluded`.
    """
    seen = (warp(following, flow) - frame).square().mean(dim=0)[~hidden]
    return float(seen.double().mean()) if len(seen) else 0.0
