"""Degradation of old photographs, simulated on gray copies of colour photos: the network's input is degraded, and the
target is the colours of the original.

All lengths are relative to the picture's shorter side, so that a defect looks the same at any size.
"""

import io
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

from colorization.color.conversion import RGB_TO_XYZ
from colorization.color.curves import from_linear, to_linear

Gray = NDArray[np.float32]
Defect = Callable[[Gray, np.random.Generator, float], Gray]


class Strength(NamedTuple):
    """How much pictures are degraded.

    Attributes:
        share: probability of each defect, 0..1; lower for rare ones.
        amount: maximum severity, relative to the worst, 0..1.
    """

    share: float
    amount: float


STRENGTHS = {"light": Strength(0.3, 0.4), "old": Strength(0.4, 0.8)}
# Share of training photos without degradation: most pictures of users are clean.
CLEAN_SHARE = 0.5

# The shorter side, in pixels, for which the lengths below are given.
_SIDE = 128
# Sensitivity to each linear primary of panchromatic film (the luminance Y) and of orthochromatic film, which is blind
# to red: skin turns dark, lips black and skies white.
_LUMINANCE = np.array(RGB_TO_XYZ[1], np.float32)
_ORTHOCHROMATIC = np.array((0.03, 0.52, 0.45), np.float32)
# Linear sRGB of each level.
_LINEAR = to_linear(torch.arange(256, dtype=torch.uint8)).numpy()


def degrade(rgb: NDArray[np.uint8], seed: int, strength: str, clean_share: float = 0) -> Image.Image:
    """A gray picture of a photo, like the scan of an old print.

    Args:
        rgb: `(H, W, 3)`.
        seed: the same picture, seed and strength give the same result.
        strength: a key of `STRENGTHS`.
        clean_share: probability of no degradation.

    Returns:
        Mode `L`, of the same size.
    """
    random = np.random.default_rng(seed)
    share, amount = STRENGTHS[strength]
    if random.random() < clean_share:
        return _to_image(_expose(rgb, _LUMINANCE))
    gray = _expose(rgb, _film(random, share, amount))
    for defect, rarity in _DEFECTS:
        if random.random() < share * rarity:
            gray = defect(gray, random, amount)
    image = _to_image(gray)
    return _compress(image, random, amount) if random.random() < share else image


def _film(random: np.random.Generator, share: float, amount: float) -> NDArray[np.float32]:
    """The film's sensitivity to each primary."""
    if random.random() < 0.5 * share:
        weights = _ORTHOCHROMATIC
    else:
        weights = _LUMINANCE * np.exp(random.normal(0, 0.3 * amount, 3)).astype(np.float32)
    return weights / weights.sum()


def _expose(rgb: NDArray[np.uint8], weights: NDArray[np.float32]) -> Gray:
    """The sRGB gray, 0..1, of the brightness on the film."""
    linear = np.tensordot(_LINEAR[rgb], weights, axes=1)
    return from_linear(torch.from_numpy(linear)).numpy()


def _scale(gray: Gray) -> float:
    return min(gray.shape) / _SIDE


def _blur(gray: Gray, random: np.random.Generator, amount: float) -> Gray:
    return gaussian_filter(gray, random.uniform(0.3, 0.3 + 1.2 * amount) * _scale(gray), truncate=2.5)


def _fade(gray: Gray, random: np.random.Generator, amount: float) -> Gray:
    """Changes the contrast curve, lifts blacks and dims whites."""
    black, white = random.uniform(0, 0.3 * amount), 1 - random.uniform(0, 0.3 * amount)
    gamma = np.exp(random.normal(0, 0.35 * amount))
    return (black + (white - black) * gray.clip(0, 1) ** gamma).astype(np.float32)


def _light_unevenly(gray: Gray, random: np.random.Generator, amount: float) -> Gray:
    """Stains, and light that falls off towards one side or the corners."""
    return gray * (1 + _noise(gray.shape, random, (4, 4)) * random.uniform(0.05, 0.05 + 0.2 * amount))


def _add_grain(gray: Gray, random: np.random.Generator, amount: float) -> Gray:
    size = random.uniform(1, 2) * max(_scale(gray), 0.5)
    height, width = (max(round(side / size), 1) for side in gray.shape)
    return gray + _noise(gray.shape, random, (height, width)) * random.uniform(0.01, 0.01 + 0.08 * amount)


def _scratch(gray: Gray, random: np.random.Generator, amount: float) -> Gray:
    """Scratches and dust, white or black."""
    height, width = gray.shape
    mask = Image.new("L", (width, height))
    draw = ImageDraw.Draw(mask)
    thickness = max(round(_scale(gray)), 1)
    for _ in range(random.integers(1, 2 + round(4 * amount))):
        x, y = random.uniform(0, width), random.uniform(0, height)
        along, aside = random.normal(0, height), random.normal(0, width / 20)
        strength = int(random.integers(80, 256))
        draw.line((x, y, x + aside, y + along), fill=strength, width=thickness)
    for _ in range(random.integers(0, 2 + round(8 * amount))):
        x, y, radius = random.uniform(0, width), random.uniform(0, height), random.uniform(0.5, 1.5) * thickness
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=int(random.integers(80, 256)))
    cover = np.asarray(mask, np.float32) / 255
    return gray + cover * (random.choice((0.05, 0.95)) - gray)


def _print_dots(gray: Gray, random: np.random.Generator, amount: float) -> Gray:
    """Halftone dots of a newspaper or a book."""
    frequency, angle = 2 * np.pi / (random.uniform(2.5, 4.5) * _scale(gray)), random.uniform(0, np.pi / 2)
    y, x = np.indices(gray.shape, np.float32)
    along, across = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    screen = np.sin(frequency * along) * np.sin(frequency * across)
    return (gray + random.uniform(0.1, 0.1 + 0.25 * amount) * screen).astype(np.float32)


# In the order in which they arise, with their relative frequency.
_DEFECTS: tuple[tuple[Defect, float], ...] = (
    (_blur, 1.0),
    (_add_grain, 1.0),
    (_print_dots, 0.2),
    (_fade, 1.0),
    (_light_unevenly, 0.6),
    (_scratch, 0.5),
)


def _compress(image: Image.Image, random: np.random.Generator, amount: float) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "jpeg", quality=int(random.integers(90 - round(65 * amount), 91)))
    return Image.open(file)


def _noise(shape: tuple[int, ...], random: np.random.Generator, cells: tuple[int, int]) -> Gray:
    """Gaussian noise of `cells`, upsampled bicubically."""
    height, width = shape
    noise = random.standard_normal(cells, np.float32)
    if cells == shape:
        return noise
    return np.asarray(Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC))


def _to_image(gray: Gray) -> Image.Image:
    return Image.fromarray((gray.clip(0, 1) * 255).round().astype(np.uint8))
