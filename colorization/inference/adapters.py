"""Adapters: what a foreign network takes and gives, in numbers; `conf/adapter` has one file for each known kind."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import yaml
from torch import Tensor

from colorization.color import ab_bins, annealed_mean, checked_temperature, lightness_to_gray, rgb_to_lab
from colorization.config.folder import CONF
from colorization.config.instantiate import instantiate, packages_named
from colorization.errors import ConfigError, did_you_mean
from colorization.runtime.files import StrPath, open_regular
from colorization.weights.pickles import RefusedError, check_limits

Takes = Literal["lightness", "gray", "gray_rgb"]
Gives = Literal["ab", "rgb", "logits", "probabilities"]
Layout = Literal["nchw", "nhwc"]
Fit = Literal["stretch", "keep"]

_CHANNELS = {"lightness": 1, "gray": 1, "gray_rgb": 3, "ab": 2, "rgb": 3}
_NAMES = {
    "lightness": "L (1 channel)",
    "gray": "a gray picture (1 channel)",
    "gray_rgb": "a gray picture as RGB (3 channels)",
    "ab": "ab (2 channels)",
    "rgb": "RGB (3 channels)",
}
# A table of bins has some hundred rows.
_MOST_BYTES_OF_BINS = 2**20
# A file of an adapter or a network has some 20 values. Aliases could make a few lines expand to billions.
_MOST_VALUES, _DEEPEST = 1000, 8


class Adapter:
    """Translates between this project's colours and those of a network.

    The network gets `(scale * value - mean) / std`, where the value is L in 0..100, or sRGB in 0..1 of the gray with
    that L. RGB that it gives is understood in the same way.

    Args:
        takes: `lightness`: L; `gray`: one channel; `gray_rgb`: the same gray three times.
        gives: `ab`; `rgb`, whose ab is taken; `logits` or `probabilities` of ab bins, whose annealed mean is taken
            (Zhang, Isola and Efros, 2016, eq. 5).
        scale: see above.
        mean: see above; one number, or one a channel.
        std: see above; one number, or one a channel.
        ab_scale: factor from what the network gives, or from the table of bins, to Lab units.
        bins: a file `.npy` with the ab of each bin, `(Q, 2)`; None for `colorization.color.ab_bins`.
        temperature: of the annealed mean.
        layout: order of the axes: `nchw` or `nhwc`.
        fit: `stretch`: the network sees every picture as a square; `keep`: at its own shape, padded where the network
            needs another size by repeating the last pixels.
        size: the network sees about `size * size` pixels; None for what the file says, or 256. A graph of a fixed size
            has that size.
        multiple: sides of the input are multiples of this.
        hints: whether the graph may have inputs for colours that a user picked; they get zeros, which mean none.

    Raises:
        ConfigError: a value is out of range, or the table of bins can't be read.
    """

    def __init__(
        self,
        takes: Takes,
        gives: Gives,
        scale: float = 1.0,
        mean: float | list[float] = 0.0,
        std: float | list[float] = 1.0,
        ab_scale: float = 1.0,
        bins: str | None = None,
        temperature: float = 0.38,
        layout: Layout = "nchw",
        fit: Fit = "keep",
        size: int | None = None,
        multiple: int = 1,
        hints: bool = False,
    ) -> None:
        self.takes, self.gives, self.layout, self.fit, self.hints = takes, gives, layout, fit, hints
        self.scale, self.ab_scale, self.size, self.multiple = scale, ab_scale, size, multiple
        self.channels = _CHANNELS[takes]
        self.mean, self.std = (self._of_channels(key, value) for key, value in (("mean", mean), ("std", std)))
        for key, number in (("scale", scale), ("ab_scale", ab_scale), *(("std", each) for each in self.std)):
            if not (np.isfinite(number) and number > 0):
                raise ConfigError(f"adapter.{key}={number:g} is out of range: give a number above 0")
        if not 1 <= multiple <= 1024:
            raise ConfigError(f"adapter.multiple={multiple} is out of range: give 1 to 1024")
        if size is not None and not 16 <= size <= 4096:
            raise ConfigError(f"adapter.size={size} is out of range: give 16 to 4096")
        self.is_distribution = gives in ("logits", "probabilities")
        if bins is not None and not self.is_distribution:
            raise ConfigError(f"adapter.bins has no effect with adapter.gives={gives}: leave it out")
        self.bins = (ab_bins() if bins is None else read_bins(Path(bins))) if self.is_distribution else None
        self.temperature: float | None = None
        if self.is_distribution:
            self.set_temperature(temperature)

    def _of_channels(self, key: str, value: float | list[float]) -> list[float]:
        values = value if isinstance(value, list) else [value] * self.channels
        if len(values) != self.channels or not np.isfinite(values).all():
            raise ConfigError(f"adapter.{key}={value}: give one number, or {self.channels}, one for each channel")
        return [float(each) for each in values]

    def set_temperature(self, value: float) -> None:
        """Sets the temperature of the annealed mean.

        Raises:
            ConfigError: it is out of range.
        """
        self.temperature = checked_temperature(value)

    @property
    def out_channels(self) -> int:
        """How many channels the network gives."""
        return _CHANNELS[self.gives] if self.bins is None else len(self.bins)

    def __str__(self) -> str:
        """What the network is fed with, and what is expected of it."""
        given = _NAMES.get(self.gives, f"{self.gives} of bins ({self.out_channels} channels)")
        return f"feeds {_NAMES[self.takes]} and expects {given}, {self.layout}"

    @property
    def identity(self) -> str:
        """All that changes colours, but the temperature, as text."""
        bins = None if self.bins is None else self.bins.tolist()
        numbers = (self.scale, self.mean, self.std, self.ab_scale, bins)
        return repr((self.takes, self.gives, *numbers, self.layout, self.fit, self.multiple))

    def encode(self, lightness: Tensor) -> Tensor:
        """Lightness `(B, 1, H, W)` in 0..100 to the input of the network, `(B, channels, H, W)` or, for `nhwc`,
        `(B, H, W, channels)`, float32.
        """
        value = lightness.float()
        if self.takes != "lightness":
            value = lightness_to_gray(value).expand(-1, self.channels, -1, -1)
        encoded = (self.scale * value - self._numbers(self.mean, value)) / self._numbers(self.std, value)
        return encoded.permute(0, 2, 3, 1).contiguous() if self.layout == "nhwc" else encoded

    def decode(self, output: Tensor) -> Tensor:
        """The output of the network, of the layout of its input, to ab in Lab units, float32 `(B, 2, H, W)`."""
        value = (output.permute(0, 3, 1, 2) if self.layout == "nhwc" else output).float()
        if self.gives == "ab":
            return self.ab_scale * value
        if self.bins is None:
            rgb = (value * self._numbers(self.std, value) + self._numbers(self.mean, value)) / self.scale
            return rgb_to_lab(rgb.clamp(0, 1))[:, 1:]
        assert self.temperature is not None
        logits = value.clamp(min=1e-30).log() if self.gives == "probabilities" else value
        return self.ab_scale * annealed_mean(logits, self.bins.to(logits), temperature=self.temperature)

    def _numbers(self, numbers: list[float], like: Tensor) -> Tensor:
        return torch.tensor(numbers, device=like.device).view(1, -1, 1, 1)


def read_bins(path: Path) -> Tensor:
    """A table of bins: float32 `(Q, 2)`, ab of each.

    Raises:
        ConfigError: it is not a file of NumPy with such a table.
    """
    try:
        with open_regular(path.expanduser()) as file:
            if file.seek(0, 2) > _MOST_BYTES_OF_BINS:
                raise ValueError
            file.seek(0)
            table = np.lib.format.read_array(file, allow_pickle=False, max_header_size=10_000)
        bins = torch.from_numpy(table.astype(np.float32))
    except (OSError, ValueError, TypeError, EOFError, MemoryError) as error:
        raise ConfigError(f"adapter.bins={path} can't be read: give a .npy file of at most 1 MB") from error
    if bins.ndim != 2 or bins.shape[1] != 2 or not len(bins) or not torch.isfinite(bins).all():
        raise ConfigError(f"adapter.bins={path} is not a table of ab: give one of shape (Q, 2), not {table.shape}")
    return bins


def shipped_adapters() -> dict[str, Path]:
    """The files of conf/adapter by name."""
    return {path.stem: path for path in sorted((CONF / "adapter").glob("*.yaml"))}


def find_adapter(adapter: str | Path | Mapping[str, Any] | Adapter) -> Adapter:
    """An adapter.

    Args:
        adapter: the name of a file in conf/adapter, the path of another such file, its content, or an adapter.

    Raises:
        ConfigError: there is none of that name, or it is not one.
    """
    if isinstance(adapter, Adapter):
        return adapter
    if not isinstance(adapter, Mapping):
        return build_adapter(adapter_node(adapter))
    built = instantiate(adapter, "adapter")  # the user's own configuration: it may name a class of theirs
    if not isinstance(built, Adapter):
        raise ConfigError(f"adapter._target_={adapter['_target_']} is not an Adapter: give another one")
    return built


def build_adapter(node: Mapping[str, Any]) -> Adapter:
    """The adapter that a file describes, which may be a stranger's: it names no code but this module's.

    Raises:
        ConfigError: it names other code, or is wrong.
    """
    if others := packages_named(dict(node)):
        raise ConfigError(f"adapter names code of {', '.join(others)}: a file may name {__name__}.Adapter only")
    built = instantiate(node, "adapter", (__name__,))
    if not isinstance(built, Adapter):
        raise ConfigError(f"adapter._target_={node['_target_']} is not an Adapter: leave it out")
    return built


def adapter_node(name: StrPath) -> dict[str, Any]:
    """The content of an adapter's file, by its name in conf/adapter or by its path. As with Hydra, its `defaults` name
    further files, whose keys it may replace.

    Raises:
        ConfigError: there is none.
    """
    known = shipped_adapters()
    path = known.get(str(name), Path(name).expanduser())
    if path.suffix not in (".yaml", ".yml"):
        raise ConfigError(f"adapter={name} does not exist{did_you_mean(str(name), known)}, or the path of a .yaml file")
    node = read_yaml(path, "adapter")
    defaults = node.pop("defaults", [])
    if not isinstance(defaults, list) or any(base not in [*known, "_self_"] for base in defaults):
        raise ConfigError(
            f"adapter={name}: its defaults are {defaults}: give a list of names out of {', '.join(known)}"
        )
    bases = [base for base in defaults if base != "_self_"]
    return {key: value for each in (*map(adapter_node, bases), node) for key, value in each.items()}


def read_yaml(path: Path, what: str) -> dict[str, Any]:
    """The content of a YAML file with keys.

    Args:
        path: the file.
        what: the option that names it, for messages.

    Raises:
        ConfigError: it can't be read, or has no keys.
    """
    try:
        with open_regular(path) as file:
            content = yaml.safe_load(file.read(2**20))
        check_limits(content, 0, _MOST_VALUES, _DEEPEST)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError, RefusedError) as error:
        raise ConfigError(f"{what}={path} can't be read: give the path of a YAML file") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{what}={path} has no keys: see docs/adapters.md for what belongs there")
    return content
