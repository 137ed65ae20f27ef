"""The public Python API: colours pictures with a trained network. Imports neither Lightning nor wandb."""

import dataclasses
import logging
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from colorization.checkpoints import hub
from colorization.checkpoints.shipped import DEFAULT, DEFAULT_MODEL, in_catalogue
from colorization.errors import CheckpointError, ConfigError, PictureError
from colorization.imagefiles.arrays import as_picture, like
from colorization.imagefiles.picture import Picture
from colorization.inference.loading import AdapterLike, load_model
from colorization.inference.onnx_network import OnnxNetwork, check_device
from colorization.inference.options import check_adapter, check_device_name
from colorization.inference.tiles import colors_at, guide_colors, paint, shrink_lightness
from colorization.network import LightnessToAb, knobs, set_knob
from colorization.runtime.files import StrPath

log = logging.getLogger(__name__)

# Batch size for a list of pictures.
_TOGETHER = 8


class Colorizer:
    """Colours pictures of any size, and keeps their lightness at full resolution.

    Args:
        model: lightness to ab.
        resolution: the network sees a picture at about `resolution * resolution` pixels, whatever its shape.
        device: the device of the network. If it runs out of memory even for a single picture, the CPU takes over, with
            a warning in this module's log.
        saturation: factor on chroma; 1 is the network's prediction, 0 is gray.
    """

    def __init__(
        self,
        model: LightnessToAb,
        resolution: int,
        device: str | torch.device = "cpu",
        saturation: float = 1.0,
    ) -> None:
        if not (math.isfinite(saturation) and saturation >= 0):
            raise ConfigError(f"saturation={saturation:g} is out of range: give 0 or more, 1 for chroma as predicted")
        self.model = model.eval()
        self.resolution = resolution
        self.saturation = saturation
        self.config: Mapping[str, Any] | None = None  # of the training, if the network was loaded from a file
        self._move(torch.device(device))

    @classmethod
    def from_checkpoint(
        cls,
        path: StrPath,
        device: str = "auto",
        resolution: int | None = None,
        saturation: float = 1.0,
        temperature: float | None = None,
        vividness: float | None = None,
        trusted: Sequence[str] = (),
        adapter: AdapterLike = None,
    ) -> "Colorizer":
        """Loads a checkpoint of `train.py`. Needs nothing but the file.

        Args:
            path: a checkpoint.
            device: `auto` (a GPU if there is one), `cpu`, `cuda` or `mps`.
            resolution: see the class; None means the file's own: the size that the network was trained at, unless its
                export chose another.
            saturation: see the class.
            temperature: replaces the objective's, if it has one.
            vividness: from 0 (safe) to 1 (vivid); replaces the objective's, if it has one.
            trusted: your packages whose networks and objectives the checkpoint may name, besides `colorization`. Their
                code is imported and run.
            adapter: for an ONNX file, see `from_onnx`.

        Raises:
            CheckpointError: the checkpoint is missing, corrupt, too new, or names foreign code.
            ConfigError: the device is not available, the resolution is too small, or the objective has no such option.
        """
        if not Path(path).exists() and (str(path) == DEFAULT or in_catalogue(path)):
            made = "Colorizer.default()" if str(path) == DEFAULT else f"Colorizer.from_onnx('{path}')"
            raise CheckpointError(f"checkpoint {path} is the name of a model, not of a file: call {made}")
        check_adapter([path], adapter)
        found = find_device(device)
        loaded = load_model(path, resolution, trusted, adapter, device=str(found))
        if isinstance(loaded.model, OnnxNetwork):
            check_device(device)
        for knob, value in (("temperature", temperature), ("vividness", vividness)):
            if value is not None:
                set_knob(loaded.model, knob, value)
        colorizer = cls(loaded.model, loaded.resolution, found, saturation)
        colorizer.config = loaded.config
        return colorizer

    @classmethod
    def from_onnx(cls, path: StrPath, adapter: AdapterLike = None, device: str = "auto", **options: Any) -> "Colorizer":
        """Loads a network of another project from an ONNX file, run by onnxruntime (extra `export`).

        Args:
            path: the file, or the name of an entry of conf/catalogue, which is downloaded once.
            adapter: what the graph takes and gives: the name of a file in conf/adapter (`ddcolor`, `siggraph17`,
                `eccv16`, `deoldify`, `generic`), the path of another such file, or an `Adapter`. None for an entry of
                the catalogue, which has its own, and for a file of `colorize-export`.
            device: see `from_checkpoint`.
            options: `resolution`, `saturation` and `temperature`, see `from_checkpoint`.

        Raises:
            CheckpointError: the file is missing or refused, or the adapter does not fit the graph.
            ConfigError: an option is out of range, or a package is missing.
        """
        return cls.from_checkpoint(in_catalogue(path) or path, device, adapter=adapter, **options)

    @classmethod
    def default(cls, device: str = "auto", vividness: float | None = None) -> "Colorizer":
        """The default model of this package. Needs no file and no network connection.

        Args:
            device: see `from_checkpoint`.
            vividness: from 0 (safe) to 1 (vivid); None for the model's default.

        Raises:
            ConfigError: the device is not available, or the vividness is out of range.
        """
        return cls.from_checkpoint(DEFAULT_MODEL, device, vividness=vividness)

    @classmethod
    def from_pretrained(cls, name: str | os.PathLike[str], device: str = "auto", **options: Any) -> "Colorizer":
        """Loads a model from a folder that `save_pretrained` wrote, or from the Hugging Face Hub.

        Args:
            name: a folder, or `user/name` on the Hub (extra `hub`), fetched once into the Hub's cache.
            device: see `from_checkpoint`.
            options: further options of `from_checkpoint`.

        Raises:
            CheckpointError: the model does not exist, or is refused.
            ConfigError: an option is out of range, or the extra is not installed.
        """
        return cls.from_checkpoint(hub.find(name), device, **options)

    def save_pretrained(self, folder: str | os.PathLike[str], card: str | None = None) -> None:
        """Writes the model for `from_pretrained`: `model.safetensors`, and a model card as `README.md`.

        Args:
            folder: the output folder, created if necessary.
            card: Markdown; None generates one from the configuration.

        Raises:
            ConfigError: the colorizer was not loaded from a file, so that its configuration is unknown.
        """
        hub.save(self.model, self._description(), self.resolution, Path(folder), card)

    def push_to_hub(self, name: str, card: str | None = None, private: bool = False, token: str | None = None) -> str:
        """Uploads what `save_pretrained` writes to the Hugging Face Hub (extra `hub`). Returns its URL.

        Args:
            name: `user/name`; the repository is created if it is missing.
            card: see `save_pretrained`.
            private: whether a new repository is private.
            token: of the Hub; None for the one of `hf auth login`, or of the variable HF_TOKEN.

        Raises:
            ConfigError: the extra is not installed, or the Hub refuses.
        """
        return hub.push(self.model, self._description(), self.resolution, name, card, private=private, token=token)

    def _description(self) -> Mapping[str, Any]:
        if self.config is None:
            raise ConfigError("this Colorizer has no configuration, because it was not loaded from a file: load a file")
        return {**self.config, "objective": {**self.config["objective"], **knobs(self.model)}}

    def __call__(self, image: Any) -> Any:
        """Colours one picture or several.

        Args:
            image: a picture, or a list or tuple of pictures. Their colours are ignored. A picture may be

                - a path, as a string or `os.PathLike`;
                - a PIL picture of any mode;
                - an array `(H, W)`, `(H, W, 1)` (gray), `(H, W, 3)` (RGB) or `(H, W, 4)` (RGB and alpha), of uint8,
                  uint16 or floats in 0..1;
                - a tensor `(1, H, W)`, `(3, H, W)` or `(4, H, W)`, or a batch of such, of uint8 or floats in 0..1.

        Returns:
            The coloured input, of the same kind, type, size and device: mode `RGB`, arrays `(H, W, 3)`, tensors
            `(..., 3, H, W)`, a list for a list; for a path, a PIL picture. Alpha is kept (mode `RGBA`, a fourth
            channel). A PIL picture becomes upright sRGB with 8 bits.

        Raises:
            PictureError: it is of another type or shape.
        """
        if isinstance(image, Tensor) and image.ndim == 4:
            return torch.stack(self(list(image)))
        if not isinstance(image, list | tuple):
            return like(image, self.color(as_picture(image)))
        colored: list[Any] = []
        for start in range(0, len(image), _TOGETHER):
            group = image[start : start + _TOGETHER]
            colored += map(like, group, self.color_many([as_picture(each) for each in group]))
        return colored

    def color(self, picture: Picture) -> Picture:
        """Colours a picture that was read from a file, and keeps its metadata.

        Raises:
            PictureError: out of memory, also on the CPU.
        """
        return self.color_many([picture])[0]

    def color_many(self, pictures: Sequence[Picture]) -> list[Picture]:
        """Colours several pictures; those with the same input size are one batch.

        Raises:
            PictureError: out of memory for a single picture, also on the CPU.
        """
        try:
            return self._color_many(pictures)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        # Outside of the handler: the exception would keep the tensors alive.
        if len(pictures) > 1:
            log.warning("%s is out of memory for a batch of %d pictures: trying fewer", self.device, len(pictures))
            middle = len(pictures) // 2
            return [*self.color_many(pictures[:middle]), *self.color_many(pictures[middle:])]
        if self.device.type == "cpu":
            raise PictureError(
                f"is too large for the memory at resolution={self.resolution}: give a smaller resolution"
            )
        self.fall_back()
        return self.color_many(pictures)

    @torch.inference_mode()
    def _color_many(self, pictures: Sequence[Picture]) -> list[Picture]:
        alike: dict[tuple[int, int], list[int]] = {}
        for index, picture in enumerate(pictures):
            height, width = picture.pixels.shape[:2]
            alike.setdefault(self.model.seen_size(height, width, self.resolution), []).append(index)
        colored: dict[int, Picture] = {}
        for size, members in alike.items():
            guides = color_guides(self.model, [pictures[index].pixels for index in members], size, self.device)
            for index, guide in zip(members, guides, strict=True):
                pixels = paint(pictures[index].pixels, guide, self.saturation)
                colored[index] = dataclasses.replace(pictures[index], pixels=pixels)
        return [colored[index] for index in range(len(pictures))]

    def predict_ab(self, lightness: Tensor) -> Tensor:
        """Lightness `(B, 1, H, W)` in 0..100 to ab in Lab units, float32 `(B, 2, H, W)`, with `saturation`."""
        return self.saturation * predict_ab(self.model, lightness, self.resolution)

    def fall_back(self) -> None:
        """Falls back to the CPU, with a warning in the log."""
        log.warning("%s is out of memory: falling back to the CPU", self.device)
        self._move(torch.device("cpu"))

    def _move(self, device: torch.device) -> None:
        self.device = device
        self.model.to(device)


def color_guides(
    model: LightnessToAb,
    pictures: Sequence[NDArray[Any]],
    size: tuple[int, int],
    device: torch.device,
) -> Tensor:
    """Runs a network at its own resolution on several pictures.

    Args:
        model: lightness to ab.
        pictures: pixels, see `colorization.inference.tiles.read_lightness`.
        size: height and width of the network's input, the same for all, see `LightnessToAb.seen_size`.
        device: of the network.

    Returns:
        Maps for `paint` and `colors_at`, `(B, 9, *size)`.

    Raises:
        PictureError: the colours are not finite.
    """
    with torch.autocast(device.type, enabled=False):
        lightness = torch.stack([shrink_lightness(pixels, size, device) for pixels in pictures])
    ab = model(lightness)
    if not torch.isfinite(ab).all():
        raise PictureError("gets colours that are not finite: the checkpoint is damaged, use an earlier one")
    return guide_colors(lightness, ab)


@torch.inference_mode()
def predict_ab(model: LightnessToAb, lightness: Tensor, resolution: int) -> Tensor:
    """Runs a network at its own resolution, and upsamples the colours to the pictures' size.

    Args:
        model: lightness to ab.
        lightness: `(B, 1, H, W)` in 0..100.
        resolution: the network sees about `resolution * resolution` pixels, whatever the shape of the pictures.

    Returns:
        Ab in Lab units, float32 `(B, 2, H, W)`.
    """
    height, width = lightness.shape[-2:]
    size = model.seen_size(height, width, resolution)
    seen = F.interpolate(lightness, size, mode="bilinear", align_corners=False, antialias=True)
    return colors_at(guide_colors(seen, model(seen)), lightness)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception means that a device is out of memory."""
    # MPS and the CPU's allocator raise plain RuntimeErrors.
    said = str(error).lower()
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        "out of memory" in said or "can't allocate memory" in said
    )


def find_device(name: str) -> torch.device:
    """The device of a name `auto`, `cpu`, `cuda` or `mps`, optionally with an index.

    Raises:
        ConfigError: it is not available.
    """
    check_device_name(name)
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device={name} is not available on this machine: give auto, cpu, cuda or mps") from error
    return device
