"""Saving models in folders and on the Hugging Face Hub: weights with their configuration, and a model card."""

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from colorization.checkpoints.card import generic_card
from colorization.checkpoints.network import describe, shareable
from colorization.errors import CheckpointError, ConfigError, first_line
from colorization.runtime.files import atomic_file
from colorization.runtime.installation import install_hint
from colorization.weights.safe_load import save_safetensors

WEIGHTS, CARD = "model.safetensors", "README.md"


def find(name: str | os.PathLike[str]) -> Path:
    """The file of weights of a model.

    Args:
        name: a folder, or `user/name` on the Hub.

    Raises:
        CheckpointError: it does not exist.
        ConfigError: the extra `hub` is not installed.
    """
    folder = Path(name).expanduser()
    if folder.is_dir():
        if not (folder / WEIGHTS).is_file():
            raise CheckpointError(f"{folder} has no {WEIGHTS}: give a folder that save_pretrained wrote")
        return folder / WEIGHTS
    if not _is_name_on_hub(str(name)):
        raise CheckpointError(f"{name} is neither a folder nor user/name on the Hugging Face Hub: give one of them")
    with _in_words(str(name), CheckpointError) as hub:
        return Path(hub.hf_hub_download(str(name), WEIGHTS))


def save(model: nn.Module, config: Mapping[str, Any], resolution: int, folder: Path, card: str | None = None) -> None:
    """Writes a model into a folder, see `Colorizer.save_pretrained`."""
    with atomic_file(folder / WEIGHTS) as part:
        save_safetensors(model.state_dict(), describe(shareable(config), resolution), part)
    with atomic_file(folder / CARD) as part:
        part.write_text(generic_card(config) if card is None else card, encoding="utf-8")


def push(
    model: nn.Module,
    config: Mapping[str, Any],
    resolution: int,
    name: str,
    card: str | None = None,
    *,
    private: bool = False,
    token: str | None = None,
) -> str:
    """Uploads a model, see `Colorizer.push_to_hub`."""
    if not _is_name_on_hub(name):
        raise ConfigError(f"{name} is not a name on the Hugging Face Hub: give user/name")
    with tempfile.TemporaryDirectory() as folder, _in_words(name, ConfigError) as hub:
        save(model, config, resolution, Path(folder), card)
        api = hub.HfApi(token=token)
        address = str(api.create_repo(name, private=private, exist_ok=True))
        api.upload_folder(repo_id=name, folder_path=folder, commit_message="Upload a colorization model")
    return address


def _is_name_on_hub(name: str) -> bool:
    user, slash, model = name.partition("/")
    return bool(user and slash and model) and "/" not in model and not name.startswith((".", "~"))


@contextmanager
def _in_words(name: str, kind: type[CheckpointError] | type[ConfigError]) -> Iterator[ModuleType]:
    """Imports huggingface_hub, and turns its exceptions into one sentence."""
    try:
        import huggingface_hub
    except ImportError:
        raise ConfigError(
            f"{name} is on the Hugging Face Hub, which needs huggingface_hub: {install_hint('hub')}"
        ) from None
    try:
        yield huggingface_hub
    except (CheckpointError, ConfigError):
        raise
    except Exception as error:  # of huggingface_hub, its HTTP library, or the system
        raise kind(f"{name} on the Hugging Face Hub is not available: {first_line(error)}") from error
