"""Pretrained weights of classifiers: from a local file, or downloaded once from torchvision."""

import re
from pathlib import Path

from torch import Tensor, nn

from colorization.errors import ConfigError
from colorization.weights.downloads import cached, download
from colorization.weights.files import existing
from colorization.weights.safe_load import UnreadableError, load_state_dict

# Mean and standard deviation of ImageNet's RGB in 0..1, as torchvision's pretrained weights expect.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def load_weights(layers: nn.Module, name: str, weights: str | Path, option: str) -> None:
    """Loads a state dict into the first layers of a classifier; weights of other layers are ignored.

    Args:
        layers: the module to fill.
        name: the network's name, for messages.
        weights: a file of `torch.save` or safetensors: the state dict of a whole classifier or of its features (with
            or without the prefix `features.`). It may come from a stranger, see `safe_load`.
        option: the option that names the file, for messages.

    Raises:
        ConfigError: the file is missing or can't be read, or a weight is missing or has another shape.
    """
    state = read_state_dict(weights, name, option)
    what = f"{option}={weights}, the weights of {name}"
    wanted = layers.state_dict()
    # timm's feature networks write the stage `stages.0` of the classifier as `stages_0`.
    spelled = {re.sub(r"^(\w+)_(\d+)\.", r"\1.\2.", key): key for key in wanted}
    found = {key.removeprefix("features."): value for key, value in state.items()}
    found = {spelled.get(key, key): value for key, value in found.items()}
    # Files older than PyTorch 0.4.1 lack BatchNorm's counter of batches, which is not used.
    missing = [key for key in wanted if key not in found and not key.endswith("num_batches_tracked")]
    wrong = [key for key in wanted if key in found and found[key].shape != wanted[key].shape]
    if missing or wrong:
        why = f"{missing[0]} is missing" if missing else f"{wrong[0]} has another shape"
        raise ConfigError(f"{what}: the file does not fit, {why}; give weights of a {name}")
    layers.load_state_dict({**wanted, **{key: found[key] for key in wanted if key in found}})


def read_state_dict(weights: str | Path, name: str, option: str) -> dict[str, Tensor]:
    """Reads a state dict onto the CPU.

    Args:
        weights: a file of `torch.save` or safetensors.
        name: the network's name, for messages.
        option: the option that names the file, for messages.

    Raises:
        ConfigError: the file is missing, or is not a state dict.
    """
    path = existing(weights, option)
    what = f"{option}={path}, the weights of {name}"
    try:
        return load_state_dict(path)
    except UnreadableError as error:
        raise ConfigError(f"{what}: the file {error}; save one with torch.save(model.state_dict(), FILE)") from error


def download_imagenet_weights(name: str, option: str, otherwise: str) -> Path:
    """The local path of torchvision's ImageNet weights, downloaded if they are not cached yet.

    Args:
        name: torchvision's name of the network.
        option: the option that takes a local file instead, for messages.
        otherwise: the alternative to these weights, for messages.

    Raises:
        ConfigError: they can't be downloaded.
    """
    import torchvision  # slow to import

    url = torchvision.models.get_model_weights(name).DEFAULT.url
    try:
        return download(url)
    except (OSError, RuntimeError) as error:
        raise no_pretrained_weights(name, url, str(cached(url)), option, otherwise) from error


def no_pretrained_weights(name: str, what: str, where: str, option: str, otherwise: str) -> ConfigError:
    """The error for weights that can't be downloaded: what to fetch, where to put it, and the alternatives."""
    return ConfigError(
        f"the pretrained weights of {name} can't be downloaded: fetch {what} and put it at {where}, "
        f"or name a local file with {option}=FILE, or {otherwise}"
    )
