"""Loading what colours: a checkpoint, an ONNX file with its adapter, or an entry of the catalogue."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from colorization.checkpoints.network import ENTRY, read_checkpoint, rebuild, trained_size, usual_resolution
from colorization.errors import CheckpointError
from colorization.inference.adapters import Adapter, find_adapter
from colorization.inference.catalogue import locate_graph, read_entry
from colorization.inference.onnx_network import OnnxNetwork
from colorization.inference.options import check_resolution, takes_adapter
from colorization.network import LightnessToAb, TrainedNetwork
from colorization.runtime.files import StrPath

# How an adapter may be named, see `find_adapter`.
AdapterLike = str | Path | Mapping[str, Any] | Adapter | None


@dataclass(frozen=True)
class Loaded:
    """A network with its facts.

    Attributes:
        model: lightness to ab.
        resolution: the network sees about `resolution * resolution` pixels.
        trained_size: side of the pictures that it was trained with, as far as known, in pixels.
        config: of the training; None for an ONNX file.
    """

    model: LightnessToAb
    resolution: int
    trained_size: int
    config: Mapping[str, Any] | None


def load_model(
    path: StrPath,
    resolution: int | None = None,
    trusted: Sequence[str] = (),
    adapter: AdapterLike = None,
    device: str = "cpu",
) -> Loaded:
    """Loads a network.

    Args:
        path: a checkpoint, a `.safetensors` file, an `.onnx` file, or a `.yaml` file like those of conf/catalogue.
        resolution: the network sees about `resolution * resolution` pixels; None for its own.
        trusted: further packages whose networks a checkpoint may name.
        adapter: of an ONNX file, see `find_adapter`; None for one of `colorize-export`.
        device: where the first pictures will be.

    Raises:
        CheckpointError: the file is missing or refused.
        ConfigError: an option is out of range, or does not go with the file.
    """
    check_resolution(resolution)
    path = Path(path)
    if path.suffix.lower() in (".yaml", ".yml"):
        entry = read_entry(path)
        own_adapter = entry.build_adapter()
        network = OnnxNetwork(locate_graph(entry, path), own_adapter, device)
        if network.sha256 != entry.sha256:
            raise CheckpointError(
                f"checkpoint {path} is refused: {network.path} has the SHA-256 {network.sha256}, and {entry.sha256} is "
                "expected; delete it, to fetch it again"
            )
    elif takes_adapter(path):
        network = OnnxNetwork(path, find_adapter(adapter) if adapter else None, device)
    else:
        checkpoint = read_checkpoint(path)
        model = TrainedNetwork(*rebuild(checkpoint, path, trusted))
        wanted = resolution or usual_resolution(checkpoint)
        return Loaded(model, wanted, trained_size(checkpoint), checkpoint[ENTRY]["config"])
    network.check_resolution(resolution)
    return Loaded(network, resolution or network.size, network.trained_size, None)
