"""The checkpoints that visitors of the page may choose from."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from colorization.errors import CheckpointError, ConfigError
from colorization.inference.colorizer import Colorizer
from colorization.inference.options import check_resolution
from colorization.network import set_knob

_ENDINGS = (".ckpt", ".safetensors")


@dataclass(frozen=True)
class Wishes:
    """What a visitor may set.

    Attributes:
        model: a name in `Models.knobs`.
        resolution: the network sees about `resolution * resolution` pixels.
        saturation: factor on chroma, 0 or more.
        vividness: from 0 to 1; None for models without it.
    """

    model: str
    resolution: int
    saturation: float = 1.0
    vividness: float | None = None


class Models:
    """Checkpoints by name, one of them in memory. All are loaded once at first, so that a damaged one is found.

    Args:
        paths: the checkpoints, by the names that visitors see; the first is theirs at first.
        device: see `Colorizer.from_checkpoint`.
        trusted: see `Colorizer.from_checkpoint`.

    Attributes:
        knobs: the own resolution of each model, and its vividness, if it has one.

    Raises:
        CheckpointError: a checkpoint can't be used.
        ConfigError: the device is not available.
    """

    def __init__(self, paths: Mapping[str, Path], device: str = "auto", trusted: Sequence[str] = ()) -> None:
        self._paths, self._device, self._trusted = paths, device, trusted
        self._lock = threading.Lock()
        self._loaded = ""
        self.knobs: dict[str, Wishes] = {}
        for name in reversed(list(paths)):  # the first one stays in memory
            colorizer = self._load(name)
            self.knobs[name] = Wishes(name, colorizer.resolution, vividness=colorizer.model.vividness)
        self.knobs = {name: self.knobs[name] for name in paths}

    @contextmanager
    def colorizer(self, wishes: Wishes) -> Iterator[Colorizer]:
        """Lends a Colorizer that does what is wished, to one job at a time.

        Raises:
            ConfigError: there is no such model, its file is gone, or a value is out of range.
        """
        if wishes.model not in self._paths:
            raise ConfigError(f"{wishes.model} is not one of the models: {', '.join(self._paths)}")
        if wishes.saturation < 0:
            raise ConfigError(f"saturation={wishes.saturation:g} is out of range: give 0 or more")
        check_resolution(wishes.resolution)
        with self._lock:
            try:
                colorizer = self._colorizer if self._loaded == wishes.model else self._load(wishes.model)
            except CheckpointError as error:  # whose message names a folder of this machine
                raise ConfigError(f"{wishes.model} can't be loaded any more: choose another model") from error
            colorizer.resolution, colorizer.saturation = wishes.resolution, wishes.saturation
            if wishes.vividness is not None:
                set_knob(colorizer.model, "vividness", wishes.vividness)
            yield colorizer

    def _load(self, name: str) -> Colorizer:
        self._colorizer = Colorizer.from_checkpoint(self._paths[name], self._device, trusted=self._trusted)
        self._loaded = name
        return self._colorizer


def find_models(first: Path, first_name: str, folder: Path | None) -> dict[str, Path]:
    """The checkpoints by name.

    Args:
        first: the one that visitors see at first.
        first_name: its name.
        folder: of further ones, with its sub-folders; None for none.

    Raises:
        ConfigError: the folder does not exist, or holds no checkpoints.
    """
    models = {first_name: first}
    if folder is not None:
        if not folder.is_dir():
            raise ConfigError(f"checkpoints={folder} is not a folder: give one with checkpoints of train.py")
        found = sorted(path for path in folder.rglob("*") if path.suffix in _ENDINGS and path.is_file())
        if not found:
            raise ConfigError(f"checkpoints={folder} holds no {' or '.join(_ENDINGS)} files: give another folder")
        for path in found:
            name = path.relative_to(folder).as_posix()
            if not path.samefile(first):
                models[f"{name} in {folder.name}" if name == first_name else name] = path
    return models
