"""The public Python API: colour pictures with a trained network. Imports neither Lightning nor wandb."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from colorization.checkpoint import read_checkpoint, rebuild, trained_size
from colorization.color import lab_to_rgb, merge_lab, normalize_lightness, rgb_to_lab, to_float, to_uint8
from colorization.errors import ConfigError, PictureError
from colorization.imagefiles import to_rgb
from colorization.network import ColorizationNetwork
from colorization.objectives.base import Objective

Picture = TypeVar("Picture", Image.Image, NDArray[np.uint8])


class Colorizer:
    """Colours pictures of any size; the lightness stays that of the picture, at its full resolution.

    Args:
        network: lightness to the objective's map.
        objective: the map to ab.
        resolution: the network sees a picture at about `resolution * resolution` pixels, whatever its shape.
        device: where the network runs.
    """

    def __init__(
        self, network: ColorizationNetwork, objective: Objective, resolution: int, device: str | torch.device = "cpu"
    ) -> None:
        self.device = torch.device(device)
        self.network = network.eval().to(self.device)
        self.objective = objective.eval().to(self.device)
        self.resolution = resolution

    @classmethod
    def from_checkpoint(cls, path: str | Path, device: str = "auto", resolution: int | None = None) -> "Colorizer":
        """Loads what `train.py` wrote. Needs nothing besides the file.

        Args:
            path: a checkpoint.
            device: `auto` (a GPU if there is one), `cpu`, `cuda` or `mps`.
            resolution: see the class; None means the size that the network was trained at.

        Raises:
            CheckpointError: the checkpoint is missing, damaged, too new, or names foreign code.
            ConfigError: the device is not there, or the resolution is too small.
        """
        checkpoint = read_checkpoint(path)
        network, objective = rebuild(checkpoint, path)
        return cls(network, objective, seen_resolution(checkpoint, resolution), find_device(device))

    def __call__(self, image: Picture) -> Picture:
        """Colours one picture.

        Args:
            image: a PIL picture of any mode, or a uint8 array `(H, W)` (gray) or `(H, W, 3)` (RGB). Colours it has are
                not looked at.

        Returns:
            The coloured picture, of the kind and size that was given: mode `RGB`, or uint8 `(H, W, 3)`.

        Raises:
            PictureError: the array is of another type or shape.
        """
        if isinstance(image, Image.Image):
            return Image.fromarray(self(np.asarray(to_rgb(image))))
        if image.dtype != np.uint8 or image.ndim not in (2, 3) or image.shape[2:] not in ((), (3,)) or not image.size:
            raise PictureError(
                f"an array of {image.dtype} with shape {image.shape} is no picture: give uint8 (H, W) or (H, W, 3)"
            )
        pixels = torch.tensor(image, device=self.device)
        if pixels.ndim == 2:
            pixels = pixels.unsqueeze(-1).expand(-1, -1, 3)
        lightness = rgb_to_lab(to_float(pixels.permute(2, 0, 1).unsqueeze(0)))[:, :1]
        rgb = lab_to_rgb(merge_lab(lightness, self.predict_ab(lightness)))
        return to_uint8(rgb)[0].permute(1, 2, 0).cpu().numpy()

    def predict_ab(self, lightness: Tensor) -> Tensor:
        """Lightness `(B, 1, H, W)` in 0..100 to ab in Lab units, float32 `(B, 2, H, W)`."""
        return predict_ab(self.network, self.objective, lightness, self.resolution)


@torch.inference_mode()
def predict_ab(network: ColorizationNetwork, objective: Objective, lightness: Tensor, resolution: int) -> Tensor:
    """Shows pictures to a network at the size it is used to, and brings the colours back to the pictures' size.

    Args:
        network: lightness to the objective's map.
        objective: the map to ab.
        lightness: `(B, 1, H, W)` in 0..100.
        resolution: the network sees about `resolution * resolution` pixels, whatever the shape of the pictures.

    Returns:
        Ab in Lab units, float32 `(B, 2, H, W)`.
    """
    size = lightness.shape[-2:]
    scale = resolution / math.sqrt(size[0] * size[1])
    seen_size = [max(round(side * scale), 1) for side in size]
    seen = F.interpolate(lightness, seen_size, mode="bilinear", align_corners=False, antialias=True)
    ab = objective.decode(network(normalize_lightness(seen)))
    return F.interpolate(ab, size, mode="bilinear", align_corners=False)


def seen_resolution(checkpoint: Mapping[str, Any], wanted: int | None) -> int:
    """The resolution at which a network sees pictures: what is wanted, or None for the size it was trained at.

    Raises:
        ConfigError: it is too small.
    """
    if wanted is None:
        return trained_size(checkpoint)
    if wanted < 16:
        raise ConfigError(f"resolution={wanted} is too small to see anything: give 16 or more")
    return wanted


def find_device(name: str) -> torch.device:
    """`auto`, `cpu`, `cuda` or `mps` (with an index, if wanted) to a device that is there.

    Raises:
        ConfigError: it is not there.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device={name} is not to be had on this machine: give auto, cpu, cuda or mps") from error
    return device
