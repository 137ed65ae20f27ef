"""Findings of an audit in a single photo: readability, size and colour."""

import hashlib
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from colorization.audit.duplicates import appearance, perceptual_hash
from colorization.color import COLORLESS_CHROMA, colorfulness, is_colorless, rgb_to_lab, to_float
from colorization.config.schemas import AuditThresholds
from colorization.data.colored import small_copy
from colorization.data.photos import Photos
from colorization.data.prior import count_bins, sample_ab
from colorization.errors import PictureError
from colorization.imagefiles import is_gray_mode, to_rgb

# Sepia: hues from red-brown to olive, in degrees of the ab plane; minimum mean chroma, and minimum chroma of 90 % of
# the mid-tones, in Lab units. Below, a warm picture is more likely a photo with little colour.
_WARM = (20.0, 110.0)
_LEAST_CHROMA = 7.0
_LEAST_MIDDLE_CHROMA = 5.0
_MIDDLE_TONES = (20.0, 85.0)
# Side of the copy on which toning is measured, px: it averages out the blocks of JPEG's subsampled chroma.
_TONED_SIDE = 24
_TONE_GROUPS = 16


class Finding(NamedTuple):
    """A finding in a photo: one of `FINDINGS`, and the details."""

    kind: str
    detail: str


@dataclass
class Examined:
    """The examination of a photo. An unreadable photo has findings only.

    Args:
        index: its index in the list of photos.
        findings: its findings, without comparison to other photos.
        digest: hash of its size and pixels, as upright sRGB.
        hash: `perceptual_hash`.
        appearance: `appearance`, uint8 `(8, 8, 3)`.
        ab: `sample_ab`, int8 `(2, 32, 32)`, rounded to whole Lab units; None for one without colour.
        counts: `count_bins`, int64 `(Q,)`; None for one without colour.
    """

    index: int
    findings: list[Finding] = field(default_factory=list)
    digest: bytes | None = None
    hash: int | None = None
    appearance: np.ndarray | None = None
    ab: np.ndarray | None = None
    counts: np.ndarray | None = None


class Examination(Dataset[Examined]):
    """Examines every photo of a list.

    Args:
        photos: the list.
        thresholds: the thresholds of findings.
        bins: `(Q, 2)`, see `colorization.color.ab_bins`.
    """

    def __init__(self, photos: Photos, thresholds: AuditThresholds, bins: Tensor) -> None:
        self.photos = photos
        self.thresholds = thresholds
        self.bins = bins

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> Examined:
        examined = Examined(index)
        try:
            image = self.photos.open(index)
            rgb = to_rgb(image)
        except PictureError as error:
            examined.findings.append(Finding("unreadable", str(error)))
            return examined
        if min(rgb.size) < self.thresholds.tiny:
            examined.findings.append(Finding("tiny", f"{rgb.width} x {rgb.height} px"))
        lack = f"stored as gray (mode {image.mode})" if is_gray_mode(image) else None
        if found := judge_color(rgb, self.thresholds) if lack is None else Finding("gray", lack):
            examined.findings.append(found)
        if found is None or found.kind != "gray":
            ab = sample_ab(rgb)
            examined.ab = ab.round().to(torch.int8).numpy()
            examined.counts = count_bins(ab, self.bins).numpy()
        examined.digest = hashlib.blake2b(f"{rgb.size}".encode() + rgb.tobytes(), digest_size=16).digest()
        examined.hash = perceptual_hash(rgb)
        examined.appearance = appearance(rgb)
        return examined


def judge_color(rgb: Image.Image, thresholds: AuditThresholds) -> Finding | None:
    """Whether an RGB picture is gray, sepia-toned or low in colour; None if it is none of them.

    Gray and low colour are measured on a copy of 48 x 48 pixels, which averages out grain and compression noise.
    """
    copy = small_copy(rgb)
    if is_colorless(copy):
        return Finding("gray", f"chroma stays below {COLORLESS_CHROMA:g}")
    toned = tones(rgb)
    if toned.is_sepia(thresholds.sepia):
        return Finding("sepia", f"hue {toned.hue:.0f} degrees, {toned.deviation:.2f} Lab units from one tone curve")
    colorful = float(colorfulness(to_float(copy)))
    return Finding("low_color", f"colourfulness {colorful:.1f}") if colorful < thresholds.low_color else None


class Tones(NamedTuple):
    """How a picture's colour depends on its lightness, in Lab units.

    Args:
        chroma: of the mean colour.
        hue: of the mean colour, degrees.
        middle_chroma: tenth percentile of the chroma of mid-tones along the mean hue; 0 without mid-tones.
        spread: root mean square across the mean hue.
        deviation: root mean square of ab that lightness does not explain.
    """

    chroma: float
    hue: float
    middle_chroma: float
    spread: float
    deviation: float

    def is_sepia(self, most: float) -> bool:
        """Whether a picture is toned: one warm hue everywhere, and one colour for each lightness.

        Toning dyes the silver of a black-and-white print, and a filter maps gray levels to colours. In both cases
        colour is a curve over lightness. In a photo of coloured things, colours differ at the same lightness; with a
        single coloured thing on gray, the grays have no chroma.

        Args:
            most: maximum deviation from such a curve; from one hue, 1.25 times as much.
        """
        return (
            self.deviation < most
            and self.spread < 1.25 * most
            and self.chroma > _LEAST_CHROMA
            and self.middle_chroma > _LEAST_MIDDLE_CHROMA
            and _WARM[0] < self.hue < _WARM[1]
        )


def tones(rgb: Image.Image) -> Tones:
    """Measures toning on a small copy of an RGB picture.

    The curve of ab over lightness is piecewise linear: one line in each of 16 groups of pixels of equal size, sorted by
    lightness. It follows any tone curve, also one with kinks where a channel is clipped.
    """
    small = np.array(rgb.resize((_TONED_SIDE, _TONED_SIDE), Image.Resampling.BOX), dtype=np.float32) / 255
    lab = rgb_to_lab(torch.from_numpy(small).permute(2, 0, 1)).flatten(1).double().numpy()
    lightness, ab = lab[0], lab[1:].T
    mean = ab.mean(axis=0)
    chroma = float(np.linalg.norm(mean))
    direction = mean / max(chroma, 1e-6)
    along, across = ab @ direction, ab @ np.array([-direction[1], direction[0]])
    middle = (lightness > _MIDDLE_TONES[0]) & (lightness < _MIDDLE_TONES[1])

    order = np.argsort(lightness, kind="stable")
    x = lightness[order].reshape(_TONE_GROUPS, -1, 1)
    y = ab[order].reshape(_TONE_GROUPS, -1, 2)
    x, y = x - x.mean(axis=1, keepdims=True), y - y.mean(axis=1, keepdims=True)
    slope = (x * y).sum(axis=1, keepdims=True) / np.maximum((x**2).sum(axis=1, keepdims=True), 1e-6)
    return Tones(
        chroma=chroma,
        hue=float(np.degrees(np.arctan2(mean[1], mean[0]))) % 360,
        middle_chroma=float(np.percentile(along[middle], 10)) if middle.mean() > 0.1 else 0.0,
        spread=float(np.sqrt((across**2).mean())),
        deviation=float(np.sqrt(((y - slope * x) ** 2).sum(axis=-1).mean())),
    )
