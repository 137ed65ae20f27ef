"""ONNX files from strangers: checked before onnxruntime opens them.

A graph may name further files that hold its weights. Here they have to be regular files in the graph's own folder.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from colorization.errors import ConfigError
from colorization.runtime.files import open_regular
from colorization.runtime.installation import install_hint
from colorization.weights.safe_load import UnreadableError

# Protocol Buffers, the format of ONNX, allow no larger file.
MOST_BYTES = 2 * 2**30
# Of a graph and the files that it names.
MOST_BYTES_TOGETHER = 16 * 2**30
_MOST_NODES = 200_000


def check_onnx(path: Path) -> str:
    """Checks an ONNX file, and the files that it names.

    Args:
        path: a file, under any name.

    Returns:
        The SHA-256 of its bytes and of those of the files that it names, 64 hexadecimal digits; for a single file, its
        own SHA-256.

    Raises:
        UnreadableError: it is not an ONNX file, or is too large, or names files in other folders, or holds what a
            trained network has no use for.
        ConfigError: the package onnx is not installed.
        OSError: it can't be opened.
    """
    try:
        import onnx
    except ImportError:
        raise ConfigError(f"{path} needs the packages onnx and onnxruntime: {install_hint('export')}") from None
    size = _size(path)
    if size > MOST_BYTES:
        raise UnreadableError(f"is refused: it has more than {MOST_BYTES // 2**30} GB")
    with open_regular(path) as file:
        content = file.read(MOST_BYTES + 1)
    digest = hashlib.sha256(content)
    try:
        model = onnx.ModelProto.FromString(content)
    except Exception as error:  # of the protobuf library, which has several implementations
        raise UnreadableError("is corrupt, or not an ONNX file") from error
    del content
    if not model.graph.output:
        raise UnreadableError("is corrupt, or not an ONNX file")
    for name in sorted(_files_named(model)):
        beside = path.parent / name
        if beside.is_symlink() or not beside.is_file():
            raise UnreadableError(f"needs the file {name} beside it, which holds its weights: get that as well")
        size += _size(beside)
        if size > MOST_BYTES_TOGETHER:
            raise UnreadableError(f"is refused: with its weights it has more than {MOST_BYTES_TOGETHER // 2**30} GB")
        with open_regular(beside) as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _size(path: Path) -> int:
    with open_regular(path) as file:
        return file.seek(0, 2)


def _files_named(model: Any) -> set[str]:
    """The names of the files that hold weights of a graph.

    Raises:
        UnreadableError: a name leads to another folder, or the graph holds what is refused.
    """
    if model.training_info:
        raise UnreadableError("is refused: it holds graphs for training")
    named: set[str] = set()
    for tensor in _tensors(model):
        for entry in tensor.external_data:
            if entry.key == "location":
                if entry.value in ("", ".", "..") or any(sign in entry.value for sign in "/\\\0"):
                    raise UnreadableError("is refused: it names a file outside of its folder")
                named.add(entry.value)
    return named


def _tensors(model: Any) -> Iterator[Any]:
    """All tensors of a graph, at any depth."""
    graphs, nodes = [model.graph], [node for function in model.functions for node in function.node]
    count = 0
    while graphs or nodes:
        if not nodes:
            graph = graphs.pop()
            if graph.sparse_initializer:
                raise UnreadableError("is refused: it has sparse weights")
            yield from graph.initializer
            nodes += graph.node
            continue
        node = nodes.pop()
        count += 1
        if count > _MOST_NODES:
            raise UnreadableError(f"is refused: it has more than {_MOST_NODES} nodes")
        if node.op_type == "EPContext":
            raise UnreadableError("is refused: it holds compiled code of a device (EPContext)")
        for attribute in node.attribute:
            if attribute.HasField("sparse_tensor") or attribute.sparse_tensors:
                raise UnreadableError("is refused: it has sparse weights")
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            if attribute.HasField("g"):
                graphs.append(attribute.g)
            graphs += attribute.graphs
