"""Safe loading of weights from strangers: files are recognized by content, run no code, and use no more memory than
their size.

`torch.load(weights_only=True)` runs no code either, but allocates whatever sets, bytearrays and tensors on other
devices a file asks for. Here, `pickles` reads a file, and creates tensors and plain values only.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from colorization.runtime.files import open_regular
from colorization.runtime.installation import install_hint
from colorization.weights import torch_files
from colorization.weights.pickles import RefusedError, check_limits

# The entry of checkpoints and of exported files' metadata that describes the file.
ENTRY = "colorization"

# Maximum header of a safetensors file, with names and shapes; a ResNet-50 has 30 KB.
_MOST_HEADER = 4 * 2**20


class UnreadableError(ValueError):
    """A file can't be used. The message continues a sentence that begins with the file: `is refused: ...`."""


def load(path: Path) -> Any:
    """Reads a file of `torch.save` or `save_safetensors` onto the CPU.

    Args:
        path: a file, under any name.

    Returns:
        The saved object, of dense tensors, None, bool, int, float, str, list, tuple, Counter and dict (also for an
        OrderedDict). For a safetensors file, a dict with `state_dict` and, if the file describes itself,
        `colorization`.

    Raises:
        UnreadableError: it is another kind of file, or corrupt, or holds other objects, or more than its size.
        OSError: it can't be opened.
    """
    with open_regular(path) as file:
        head = file.read(len(torch_files.LEGACY_START))
    try:
        if head.startswith(torch_files.ZIP_START):
            return torch_files.read_archive(path)
        if head == torch_files.LEGACY_START:
            return torch_files.read_legacy(path)
        if head[8:9] == b"{":
            return _load_safetensors(path, int.from_bytes(head[:8], "little"))
    except UnreadableError:
        raise
    except RefusedError as error:
        raise UnreadableError(f"is refused: {error}") from error
    except Exception as error:  # corrupt bytes can raise any exception
        raise UnreadableError(f"is corrupt, or not a file of weights ({type(error).__name__})") from error
    raise UnreadableError("is corrupt, or neither a PyTorch nor a safetensors file")


def load_state_dict(path: Path) -> dict[str, Tensor]:
    """Reads a state dict.

    Raises:
        UnreadableError: see `load`, or it is not a state dict.
        OSError: it can't be opened.
    """
    state = load(path)
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):  # of safetensors and of many trainers
        state = state["state_dict"]
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()
    ):
        raise UnreadableError("is not a state dict (names to tensors)")
    return state


def _load_safetensors(path: Path, header: int) -> dict[str, Any]:
    try:
        from safetensors import safe_open
    except ImportError:
        raise UnreadableError(
            f"is a safetensors file, which needs the package safetensors: {install_hint('export')}"
        ) from None
    if header > _MOST_HEADER:
        raise RefusedError(f"its header has more than {_MOST_HEADER // 2**20} MB")
    with safe_open(path, framework="pt") as file:
        state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  it is not a dict
        description = (file.metadata() or {}).get(ENTRY)
    loaded = {"state_dict": state} | ({} if description is None else {ENTRY: json.loads(description)})
    check_limits(loaded, path.stat().st_size)
    return loaded


def save_safetensors(state: Mapping[str, Tensor], description: Mapping[str, Any], path: Path) -> None:
    """Writes weights with their description, for `load`.

    Args:
        state: the weights by name.
        description: the entry `colorization`, of JSON's types; tuples become lists.
        path: the file.
    """
    from safetensors.torch import save

    # Copies: the format supports neither strides nor shared memory.
    copies = {key: value.detach().clone(memory_format=torch.contiguous_format) for key, value in state.items()}
    path.write_bytes(save(copies, {ENTRY: json.dumps(description)}))


def stored_bytes(state: Mapping[str, Tensor]) -> int:
    """The size of weights in bytes, shared memory counted once."""
    storages = [tensor.untyped_storage() for tensor in state.values()]
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())
