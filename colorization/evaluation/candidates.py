"""What is scored: checkpoints, and folders of pictures that other tools coloured."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from colorization.color import lab_to_mapped_levels, merge_lab
from colorization.errors import ConfigError, PictureError
from colorization.inference.colorizer import color_guides, predict_ab
from colorization.inference.tiles import colors_at, paint
from colorization.network import LightnessToAb


class Colored(NamedTuple):
    """Coloured pictures.

    Attributes:
        rgb: uint8 RGB `(B, 3, H, W)`, as a file would hold them.
        ab: the colours before rounding and gamut mapping, in Lab units `(B, 2, H, W)`; None if they are unknown.
    """

    rgb: Tensor
    ab: Tensor | None


@dataclass
class Checkpoint:
    """A checkpoint that is scored.

    Attributes:
        label: its name in tables and pictures.
        path: its path.
        model: lightness to ab.
        resolution: the network sees about `resolution * resolution` pixels of a picture.
    """

    label: str
    path: str
    model: LightnessToAb
    resolution: int

    @property
    def facts(self) -> dict[str, Any]:
        """Its entries in `metrics.json`."""
        return {"checkpoint": self.path, "resolution": self.resolution}

    @property
    def title(self) -> str:
        """What its table is headed by."""
        return f"{self.label}: {self.path}, seen at {self.resolution} px"

    def color(self, batch: dict[str, Any]) -> Colored:
        """Colours a batch of `PhotoDataModule`: the pixels that `colorize` writes. If photos are degraded, the network
        sees the degraded lightness; its colours are merged with the original one, so that only colours are compared.

        Raises:
            ConfigError: the colours are not finite.
        """
        rgb, lightness, seen = batch["rgb"], batch["lightness"], batch["seen"]
        if seen is not lightness:
            ab = predict_ab(self.model, seen, self.resolution)
            return Colored(lab_to_mapped_levels(merge_lab(lightness, ab), highest=255).to(torch.uint8), ab)
        pixels = [picture.permute(1, 2, 0).cpu().numpy() for picture in rgb]
        size = self.model.seen_size(rgb.shape[-2], rgb.shape[-1], self.resolution)
        try:
            guides = color_guides(self.model, pixels, size, rgb.device)
        except PictureError as error:
            raise ConfigError(f"{self.path}: a photo {error}") from error
        painted = [torch.from_numpy(paint(*each, saturation=1.0)) for each in zip(pixels, guides, strict=True)]
        return Colored(
            torch.stack(painted).permute(0, 3, 1, 2).contiguous().to(rgb.device), colors_at(guides, lightness)
        )


@dataclass
class Folder:
    """A folder of coloured pictures that is scored.

    Attributes:
        label: its name in tables and pictures.
        path: its path.
        number: which of the folders it is, from 0.
        best_of: how many pictures of each photo it holds.
    """

    label: str
    path: str
    number: int
    best_of: int

    @property
    def facts(self) -> dict[str, Any]:
        """Its entries in `metrics.json`."""
        return {"predictions": self.path, "best_of": self.best_of}

    @property
    def title(self) -> str:
        """What its table is headed by."""
        chosen = f", the best of {self.best_of} by PSNR" if self.best_of > 1 else ""
        return f"{self.label}: pictures in {Path(self.path)}{chosen}"

    def color(self, batch: dict[str, Any]) -> Colored:
        """The folder's pictures of a batch of `PhotoDataModule`."""
        return Colored(batch["predicted"][:, self.number], None)


Candidate = Checkpoint | Folder
