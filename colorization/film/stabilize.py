"""Temporal stabilization: measures and removes flicker in the colours of a film."""

import torch
from torch import Tensor
from torch.nn import functional as F

# Weight of the previous frame for a still pixel: at 25 frames per second a change takes 0.4 seconds.
KEEP = 0.9
# Motion is the change of lightness, in Lab units: at this value the weight is a third of KEEP.
MOTION = 2.0
# Frames whose lightness differs by this much on average, in Lab units, belong to different scenes.
CUT = 12.0
# Motion is measured on frames of at most this many pixels per side, in which film grain averages out.
_SIDE = 256
# For measuring flicker, a pixel is still if its lightness changes by less than this, in Lab units.
STILL = 1.0


class Stabilizer:
    """Averages the colours of a film over time where its lightness stays the same, and nowhere else.

    Each pixel is an exponential average `ab + w (before - ab)`, with `before` its stabilized colour in the previous
    frame and `w = KEEP exp(-(dL / MOTION)^2)` for the change dL of its lightness. A new scene resets the average.
    """

    def __init__(self) -> None:
        self._small: Tensor | None = None
        self._before: Tensor | None = None

    def __call__(self, lightness: Tensor, ab: Tensor) -> Tensor:
        """The stabilized colours of the next frame.

        Args:
            lightness: `(1, H, W)` in 0..100.
            ab: `(2, H, W)` in Lab units.

        Returns:
            Ab in Lab units, `(2, H, W)`.
        """
        scale = min(_SIDE / max(lightness.shape[-2:]), 1.0)
        size = [max(round(side * scale), 1) for side in lightness.shape[-2:]]
        small = F.interpolate(lightness.unsqueeze(0), size, mode="bilinear", align_corners=False, antialias=True)
        if self._small is not None and self._before is not None and self._small.shape == small.shape:
            change = (small - self._small.to(small.device)).abs()
            if change.mean() < CUT:
                weight = KEEP * torch.exp(-((change / MOTION) ** 2))
                weight = F.interpolate(weight, lightness.shape[-2:], mode="bilinear", align_corners=False)[0]
                ab = torch.lerp(ab, self._before.to(ab.device), weight)
        self._small, self._before = small, ab
        return ab


class Flicker:
    """Measures how much the colours of a film change from frame to frame where its lightness does not: the mean of the
    distances `|ab(t) - ab(t - 1)|` over all pixels whose L changes by less than `STILL`.
    """

    def __init__(self) -> None:
        self._last: tuple[Tensor, Tensor] | None = None
        self._sum = 0.0
        self._pixels = 0

    def update(self, lightness: Tensor, ab: Tensor) -> None:
        """Adds the next frame: lightness `(1, H, W)` in 0..100 and ab `(2, H, W)` in Lab units."""
        if self._last is not None and self._last[0].shape == lightness.shape:
            before, ab_before = (last.to(ab.device) for last in self._last)
            still = (lightness - before).abs()[0] < STILL
            self._sum += (ab - ab_before).norm(dim=0)[still].sum().item()
            self._pixels += int(still.sum())
        self._last = (lightness, ab)

    def compute(self) -> float:
        """The mean so far, in Lab units; 0 if no pixel is still."""
        return self._sum / self._pixels if self._pixels else 0.0
