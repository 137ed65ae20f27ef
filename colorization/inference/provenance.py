"""The provenance of a coloured picture: hashes of its source and of the network, and the options that change pixels.

It is one line in the file (see `colorization.imagefiles.provenance`), so that it moves with the file, exists exactly if
the picture exists, and needs no locks between processes that write into one folder.
"""

import hashlib
import re
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

import colorization
from colorization.errors import PictureError
from colorization.imagefiles import MAX_PIXELS, Picture, read_picture
from colorization.inference.colorizer import Colorizer
from colorization.runtime.files import open_regular

# Long enough: among a billion files, the probability of a collision is 10^-21.
_DIGITS = 32
_LINE = re.compile(r"colorization \S+ source=([0-9a-f]+) network=([0-9a-f]+)((?: \w+=\S+)*)")


@dataclass(frozen=True)
class Provenance:
    """The provenance of a picture.

    Attributes:
        source: hash of the file that was coloured.
        network: hash of the network.
        options: the options that change pixels, by name, as text.
    """

    source: str
    network: str
    options: dict[str, str]

    def __str__(self) -> str:
        """The line in the picture."""
        options = "".join(f" {key}={value}" for key, value in self.options.items())
        return f"colorization {colorization.__version__} source={self.source} network={self.network}{options}"

    @classmethod
    def parse(cls, line: str | None) -> "Provenance | None":
        """Parses a line; None if this project did not write it."""
        found = _LINE.search(line or "")
        if found is None:
            return None
        options = dict(pair.split("=", 1) for pair in found[3].split())
        return cls(found[1], found[2], options)

    def difference(self, other: "Provenance | None") -> str | None:
        """How an existing picture with the provenance `other` differs from this one; None if it is the same."""
        if other is None:
            return "does not say what it was made from"
        if self.source != other.source:
            return "was made from another picture"
        if self.network != other.network:
            return "was made by another network"
        for key in self.options | other.options:
            now, before = self.options.get(key, "null"), other.options.get(key, "null")
            if now != before:
                return f"was made with {key}={before} instead of {now}"
        return None


class Maker:
    """Determines the provenance of pictures of a colorizer.

    Args:
        colorizer: the colorizer.
        quality: of lossy formats, if it is not their default.
    """

    def __init__(self, colorizer: Colorizer, quality: int | None = None) -> None:
        self.network = network_hash(colorizer)
        model = colorizer.model
        options = {
            "resolution": colorizer.resolution,
            "saturation": float(colorizer.saturation),
            "temperature": model.temperature,
            "vividness": model.vividness,
            "quality": quality,
        }
        self.options = {key: f"{value:g}" for key, value in options.items() if value is not None}

    def provenance(self, source: Path) -> Provenance:
        """The provenance of a picture made from this file.

        Raises:
            PictureError: it can't be read.
        """
        try:
            with open_regular(source) as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise PictureError(f"can't be read: {error.strerror or error}") from error
        return Provenance(digest[:_DIGITS], self.network, self.options)

    def read(self, source: Path, max_pixels: int = MAX_PIXELS) -> Picture:
        """Reads a picture, with the line about what is going to be made from it.

        Raises:
            PictureError: see `colorization.imagefiles.read_picture`.
        """
        return replace(read_picture(source, max_pixels), provenance=str(self.provenance(source)))


@torch.inference_mode()
def network_hash(colorizer: Colorizer) -> str:
    """A hash of a network: of its classes and all weights, independent of its file."""
    digest = hashlib.sha256()
    # Of this project: the network and the objective, each for itself.
    parts: list[nn.Module] = [*colorizer.model.children()] or [colorizer.model]
    for module in parts:
        digest.update(f"{type(module).__qualname__}\n".encode())
        for name, tensor in sorted(module.state_dict().items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            if tensor.numel():
                digest.update(tensor.cpu().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()[:_DIGITS]
