"""Files of weights that may come from a stranger: recognized by content, and read without running code from them and
without taking more memory than they have bytes.

PyTorch's own `torch.load(weights_only=True)` runs no code either, but makes whatever sets, bytearrays and tensors on
other devices a file asks for. Here a file is read by `pickles`, which makes tensors and plain values only.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from colorization.runtime.installation import install_hint
from colorization.weights import torch_files
from colorization.weights.pickles import RefusedError, check_limits

# The entry of a checkpoint, and of an exported file's metadata, that says what the file is.
ENTRY = "colorization"

# The names and shapes in a safetensors file; those of a ResNet-50 have 30 KB.
_MOST_HEADER = 4 * 2**20


class UnreadableError(ValueError):
    """A file that can't be used. The message goes on where a sentence has named the file: `is refused: ...`."""


def load(path: Path) -> Any:
    """Reads what `torch.save` or `save_safetensors` wrote, onto the CPU.

    Args:
        path: a file, under any name.

    Returns:
        What `torch.save` was given, made of dense tensors, None, bool, int, float, str, list, tuple, Counter and dict
        (also for an OrderedDict). Of a safetensors file, a dict with `state_dict` and, if it says what it is,
        `colorization`.

    Raises:
        UnreadableError: it is neither, or damaged, or holds anything else, or claims more than its bytes.
        OSError: it can't be opened.
    """
    with path.open("rb") as file:
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
    except Exception as error:  # whatever damaged bytes lead to
        raise UnreadableError(f"is damaged, or of another kind ({type(error).__name__})") from error
    raise UnreadableError("is damaged, or of another kind: it begins neither as PyTorch's nor as safetensors files do")


def load_state_dict(path: Path) -> dict[str, Tensor]:
    """Reads a file that holds tensors by name.

    Raises:
        UnreadableError: see `load`, or it holds something else.
        OSError: it can't be opened.
    """
    state = load(path)
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):  # of safetensors, and of many trainers
        state = state["state_dict"]
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()
    ):
        raise UnreadableError("holds no state dict (names to tensors)")
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
        state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  it is no dict
        description = (file.metadata() or {}).get(ENTRY)
    loaded = {"state_dict": state} | ({} if description is None else {ENTRY: json.loads(description)})
    check_limits(loaded, path.stat().st_size)
    return loaded


def save_safetensors(state: Mapping[str, Tensor], description: Mapping[str, Any], path: Path) -> None:
    """Writes weights, and what they are, in the form that `load` reads.

    Args:
        state: the weights by name.
        description: what goes into `colorization`: of JSON's types, tuples becoming lists.
        path: the file.
    """
    from safetensors.torch import save

    # Copies, because the format knows neither strides nor weights that share memory.
    copies = {key: value.detach().clone(memory_format=torch.contiguous_format) for key, value in state.items()}
    path.write_bytes(save(copies, {ENTRY: json.dumps(description)}))


def stored_bytes(state: Mapping[str, Tensor]) -> int:
    """How many bytes of memory weights fill, the same memory counted once."""
    storages = [tensor.untyped_storage() for tensor in state.values()]
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())
