"""Panels: rows of gray, prediction and truth in one picture."""

from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torchvision.utils import make_grid

from colorization.color import gray_ab, rgb_to_lab, to_float
from colorization.imagefiles import write_picture
from colorization.metrics import render


def make_panel(predicted: Tensor, truth: Tensor) -> Tensor:
    """Rows of gray, prediction and truth.

    Args:
        predicted: uint8 RGB `(B, 3, H, W)`.
        truth: uint8 RGB `(B, 3, H, W)`.

    Returns:
        uint8 RGB `(3, B * H + margins, 3 * W + margins)`.
    """
    lightness = rgb_to_lab(to_float(truth))[:, :1]
    gray = render(lightness, gray_ab(lightness))
    cells = torch.stack((gray, predicted, truth), dim=1).flatten(0, 1)
    return make_grid(cells, nrow=3, padding=4, pad_value=255)


def write_panel(panel: Tensor, path: Path) -> None:
    """Writes a uint8 RGB `(3, H, W)` panel as a picture file."""
    write_picture(Image.fromarray(panel.permute(1, 2, 0).contiguous().numpy()), path)
