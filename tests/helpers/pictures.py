"""Networks whose colours are known, and colour profiles, for tests of what becomes of pictures."""

import struct
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from colorization.color import rgb_to_lab
from colorization.inference.colorizer import Colorizer
from colorization.network import LightnessToAb

# The ab that `painter` gives to every pixel.
AB = (12.0, 25.0)


class Painter(LightnessToAb):
    """Gives every pixel the same ab, or, with `split`, one ab to dark and another to bright pixels."""

    def __init__(self, ab: Sequence[float] = AB, split: Sequence[float] | None = None) -> None:
        super().__init__()
        self.ab, self.split = torch.tensor(ab), torch.tensor(ab if split is None else split)
        self.seen: list[tuple[int, ...]] = []

    def forward(self, lightness: Tensor) -> Tensor:
        self.seen.append(tuple(lightness.shape))
        dark, bright = (ab.view(1, 2, 1, 1) for ab in (self.ab, self.split))
        return torch.where(lightness < 50, dark, bright)


def painter(ab: Sequence[float] = AB, split: Sequence[float] | None = None, resolution: int = 64) -> Colorizer:
    """A Colorizer whose network is a `Painter`."""
    return Colorizer(Painter(ab, split), resolution)


def lab_of(pixels: np.ndarray) -> np.ndarray:
    """Lab `(H, W, 3)` of gray `(H, W)` or RGB `(H, W, 3)` of uint8, uint16 or floats."""
    highest = np.iinfo(pixels.dtype).max if pixels.dtype.kind == "u" else 1
    rgb = torch.from_numpy(pixels.astype(np.float64) / highest)
    rgb = rgb.unsqueeze(-1).expand(-1, -1, 3) if rgb.ndim == 2 else rgb[..., :3]
    return rgb_to_lab(rgb.permute(2, 0, 1)).permute(1, 2, 0).numpy()


def gray_levels(pixels: np.ndarray) -> np.ndarray:
    """RGB back to gray of the same depth: the gray whose L is nearest."""
    highest = np.iinfo(pixels.dtype).max
    every = np.arange(highest + 1, dtype=pixels.dtype).reshape(1, -1)
    ladder = lab_of(every)[0, :, 0].astype(np.float64)
    lightness = lab_of(pixels)[..., 0]
    above = np.clip(np.searchsorted(ladder, lightness), 1, highest)
    return above - (lightness - ladder[above - 1] < ladder[above] - lightness)


# How a camera's picture is stored for each value of EXIF's orientation.
TURNS = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}

# Chromaticities of red, green and blue: Adobe RGB (1998) 4.3.1, and Display P3 (SMPTE EG 432-1).
ADOBE_RGB = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
DISPLAY_P3 = ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06))
_D65 = (0.3127, 0.3290)
# ICC.1:2022, 7.2.16 and E.3: the white of profiles, and the Bradford matrix that brings other whites to it.
_D50 = np.array([0.9642, 1.0, 0.8249])
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def icc_profile(primaries: Sequence[tuple[float, float]] | None, gamma: float) -> bytes:
    """An ICC profile (ICC.1:2022) of RGB with a white of D65, or of gray if there are no primaries."""
    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    tags = {b"desc": _text(b"test"), b"cprt": _text(b"none"), b"wtpt": _xyz(_D50)}
    if primaries is None:
        tags[b"kTRC"] = curve
    else:
        colorants = _adapted(primaries)
        for index, letter in enumerate((b"r", b"g", b"b")):
            tags |= {letter + b"XYZ": _xyz(colorants[:, index]), letter + b"TRC": curve}
    directory, content = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        directory += name + struct.pack(">II", start + len(content), len(data))
        content += data + bytes(-len(data) % 4)
    space = b"GRAY" if primaries is None else b"RGB "
    head = struct.pack(">I4sI4s4s4s", start + len(content), b"\0\0\0\0", 0x02400000, b"mntr", space, b"XYZ ")
    head += struct.pack(">6H4s", 2026, 1, 1, 0, 0, 0, b"acsp")
    head = head.ljust(68, b"\0") + b"".join(_fixed(value) for value in _D50)
    return head.ljust(128, b"\0") + directory + content


def colorant_matrix(primaries: Sequence[tuple[float, float]]) -> np.ndarray:
    """Linear RGB of a space to XYZ with D65, `(3, 3)` (Lindbloom, RGB/XYZ Matrices)."""
    columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in primaries]).T
    return columns * np.linalg.solve(columns, _white())


def _white() -> np.ndarray:
    return np.array([_D65[0] / _D65[1], 1, (1 - sum(_D65)) / _D65[1]])


def _adapted(primaries: Sequence[tuple[float, float]]) -> np.ndarray:
    scale = np.diag((_BRADFORD @ _D50) / (_BRADFORD @ _white()))
    return np.linalg.inv(_BRADFORD) @ scale @ _BRADFORD @ colorant_matrix(primaries)


def _fixed(value: float) -> bytes:
    return struct.pack(">i", round(value * 65536))


def _xyz(values: np.ndarray) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(_fixed(value) for value in values)


def _text(text: bytes) -> bytes:
    return b"desc\0\0\0\0" + struct.pack(">I", len(text) + 1) + text + bytes(1 + 8 + 2 + 1 + 67)
