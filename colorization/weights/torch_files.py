"""The two formats of `torch.save`: ZIP archives, and the legacy format, still used by torchvision's VGG weights. Both
are read with `pickles`, and never use more memory than their size.
"""

import io
import zipfile
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

import torch

from colorization.weights.pickles import RefusedError, check_limits, read_pickle

ZIP_START = b"PK\x03\x04"
# Legacy files begin with this pickle, the magic number of PyTorch.
LEGACY_START = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
_LEGACY_PROTOCOL = 1001
# Maximum size of an archive's pickle, and of its directory; a ResNet-50 in training has 100 KB.
_MOST_PICKLE = 16 * 2**20
_LONGEST_READ = 4 * 2**20
_CHUNK = 2**20
_LONGEST_LINE = 1024


class _ShortReads(io.RawIOBase):
    """A file with reads of at most a few megabytes: readers allocate the memory of a read before they know whether the
    file has as much.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.file = file

    def read(self, size: int = -1) -> bytes:
        piece = self.file.read(min(size, _LONGEST_READ + 1) if size >= 0 else _LONGEST_READ + 1)
        if len(piece) > _LONGEST_READ:
            raise RefusedError(f"it has a directory or a name of more than {_LONGEST_READ // 2**20} MB")
        return piece

    def readline(self, size: int | None = -1) -> bytes:
        return self.file.readline(_LONGEST_LINE)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self.file.seek(offset, whence)

    def tell(self) -> int:
        return self.file.tell()

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True


def read_archive(path: Path) -> Any:
    """Reads a ZIP archive of `torch.save`, and verifies its checksums.

    Raises:
        RefusedError: it is compressed, claims more than its size, or holds something other than weights and training
            states.
        Exception: it is corrupt; any other error.
    """
    size = path.stat().st_size
    with path.open("rb") as file, zipfile.ZipFile(_ShortReads(file)) as archive:
        records = {record.filename: record for record in archive.infolist()}
        if any(record.compress_type != zipfile.ZIP_STORED for record in records.values()):
            raise RefusedError("it is compressed, which PyTorch's files are not")
        if sum(record.file_size for record in archive.infolist()) > size:
            raise RefusedError("it claims to hold more than its size")
        folder = next(name.partition("/")[0] for name in records if name.endswith("/data.pkl") and name.count("/") == 1)
        if f"{folder}/byteorder" in records and archive.read(f"{folder}/byteorder") != b"little":
            raise RefusedError("it is not little-endian")
        if records[f"{folder}/data.pkl"].file_size > _MOST_PICKLE:
            raise RefusedError(f"its pickle has more than {_MOST_PICKLE // 2**20} MB")
        memory: dict[str, torch.UntypedStorage] = {}

        def open_storage(key: str, dtype: torch.dtype, numbers: int) -> torch.UntypedStorage:
            record = records[f"{folder}/data/{key}"]
            if record.file_size != numbers * dtype.itemsize:
                raise RefusedError("it has a tensor that is larger than its stored data")
            if key not in memory:
                with archive.open(record) as data:
                    memory[key] = _fill(torch.UntypedStorage(record.file_size), data)
            return memory[key]

        value = read_pickle(io.BytesIO(archive.read(f"{folder}/data.pkl")), open_storage)
    check_limits(value, size)
    return value


def read_legacy(path: Path) -> Any:
    """Reads a legacy file of `torch.save`, before PyTorch 1.6: several pickles, then the data.

    Raises:
        RefusedError: it claims more than its size, or holds something other than weights and training states.
        Exception: it is corrupt; any other error.
    """
    size = path.stat().st_size
    left = size
    memory: dict[str, torch.UntypedStorage] = {}
    itemsizes: dict[str, int] = {}

    def open_storage(key: str, dtype: torch.dtype, numbers: int) -> torch.UntypedStorage:
        nonlocal left
        if key not in memory:
            left -= numbers * dtype.itemsize
            if left < 0:
                raise RefusedError("it claims to hold more than its size")
            memory[key] = torch.UntypedStorage(numbers * dtype.itemsize)
            itemsizes[key] = dtype.itemsize
        if len(memory[key]) != numbers * dtype.itemsize:
            raise RefusedError("it has contradicting sizes of its data")
        return memory[key]

    def refuse(*_: Any) -> torch.UntypedStorage:
        raise RefusedError("it has tensors in the wrong place")

    with path.open("rb") as file:
        pickles = cast(BinaryIO, _ShortReads(file))
        file.seek(len(LEGACY_START))
        if read_pickle(pickles, refuse) != _LEGACY_PROTOCOL or not read_pickle(pickles, refuse)["little_endian"]:
            raise RefusedError("it is not little-endian, or of an unknown version of PyTorch")
        value = read_pickle(pickles, open_storage)
        for key in read_pickle(pickles, refuse):
            if int.from_bytes(file.read(8), "little") * itemsizes[key] != len(memory[key]):
                raise RefusedError("it has contradicting sizes of its data")
            _fill(memory[key], file)
    check_limits(value, size)
    return value


def _fill(memory: torch.UntypedStorage, file: IO[bytes]) -> torch.UntypedStorage:
    """Fills memory with the next bytes of a file.

    Raises:
        EOFError: the file is too short.
    """
    view = memoryview(torch.empty(0, dtype=torch.uint8).set_(memory).numpy())  # type: ignore[arg-type]
    filled = 0
    while filled < len(view):
        count = file.readinto(  # type: ignore[attr-defined]
            view[filled : filled + _CHUNK]
        )
        if not count:
            raise EOFError("the file is truncated")
        filled += count
    return memory
