"""Files of weights that may come from a stranger: recognized by content, and read without running code from them and
without taking more memory than they have bytes.
"""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from colorization.errors import CheckpointError
from colorization.runtime.installation import install_hint

# The entry of a checkpoint, and of an exported file's metadata, that says what the file is.
ENTRY = "colorization"


def load(path: Path) -> Any:
    """Reads what `train.py` or `colorization.checkpoints.export` wrote, onto the CPU.

    Args:
        path: a file of `torch.save` (a ZIP archive) or a safetensors file, under any name.

    Returns:
        What `torch.save` was given. Of a safetensors file, a dict with `state_dict` and, if it says what it is,
        `colorization`.

    Raises:
        CheckpointError: it is neither, or damaged, or would take more memory than it has bytes.
    """
    with path.open("rb") as file:
        head = file.read(9)
    try:
        if head.startswith(b"PK\x03\x04"):
            _refuse_bomb(path)
            return torch.load(path, map_location="cpu", weights_only=True)
        if head[8:] == b"{":
            return _load_safetensors(path)
    except CheckpointError:
        raise
    except Exception as error:  # whatever a library raises about damaged bytes
        raise CheckpointError(
            f"checkpoint {path} is damaged or not a checkpoint ({type(error).__name__}); take another one, "
            "for instance last.ckpt of the same run"
        ) from error
    raise CheckpointError(
        f"checkpoint {path} is damaged or not a checkpoint; give a .ckpt that train.py wrote, or a .safetensors of "
        "colorization.checkpoints.export"
    )


def _refuse_bomb(path: Path) -> None:
    """PyTorch stores weights as they are. An archive that is to grow in reading has been tampered with."""
    with zipfile.ZipFile(path) as archive:
        records = archive.infolist()
    if any(record.compress_type != zipfile.ZIP_STORED for record in records):
        raise CheckpointError(f"checkpoint {path} is refused: it is compressed, as no file of train.py is")
    if sum(record.file_size for record in records) > path.stat().st_size:
        raise CheckpointError(f"checkpoint {path} is refused: it claims to hold more than its size")


def _load_safetensors(path: Path) -> dict[str, Any]:
    try:
        from safetensors import safe_open
    except ImportError:
        raise CheckpointError(
            f"checkpoint {path} is a safetensors file, which needs the package safetensors: {install_hint('export')}"
        ) from None
    with safe_open(path, framework="pt") as file:
        state = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  it is no dict
        description = (file.metadata() or {}).get(ENTRY)
    return {"state_dict": state} | ({} if description is None else {ENTRY: json.loads(description)})


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
