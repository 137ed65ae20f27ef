"""The two kinds of files that `torch.save` has written: ZIP archives, and the older ones, which torchvision's VGG
weights still are. Both are read with `pickles`, and never take more memory than they have bytes.
"""

import io
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import torch

from colorization.weights.pickles import RefusedError, check_limits, read_pickle

ZIP_START = b"PK\x03\x04"
# The pickle in which older files begin: a whole number that stands for PyTorch.
LEGACY_START = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
_LEGACY_PROTOCOL = 1001
# An archive's pickle and its directory; those of a ResNet-50 in training have 100 KB.
_MOST_PICKLE = 16 * 2**20
_LONGEST_READ = 4 * 2**20
_CHUNK = 2**20
_LONGEST_LINE = 1024


class _ShortReads(io.RawIOBase):
    """A file that is read in pieces of some megabytes at most, because readers take memory for a piece before they see
    whether there is so much.
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
    """Reads a ZIP archive of `torch.save`; its check sums are looked at.

    Raises:
        RefusedError: it is compressed, claims more than its size, or holds what weights and training states do not.
        Exception: it is damaged; any other error.
    """
    size = path.stat().st_size
    with path.open("rb") as file, zipfile.ZipFile(_ShortReads(file)) as archive:
        records = {record.filename: record for record in archive.infolist()}
        if any(record.compress_type != zipfile.ZIP_STORED for record in records.values()):
            raise RefusedError("it is compressed, as no file of PyTorch is")
        if sum(record.file_size for record in archive.infolist()) > size:
            raise RefusedError("it claims to hold more than its size")
        folder = next(name.partition("/")[0] for name in records if name.endswith("/data.pkl") and name.count("/") == 1)
        if f"{folder}/byteorder" in records and archive.read(f"{folder}/byteorder") != b"little":
            raise RefusedError("its numbers have their bytes in the order of another kind of machine")
        if records[f"{folder}/data.pkl"].file_size > _MOST_PICKLE:
            raise RefusedError(f"its pickle has more than {_MOST_PICKLE // 2**20} MB")
        memory: dict[str, torch.UntypedStorage] = {}

        def open_storage(key: str, dtype: torch.dtype, numbers: int) -> torch.UntypedStorage:
            record = records[f"{folder}/data/{key}"]
            if record.file_size != numbers * dtype.itemsize:
                raise RefusedError("it has a tensor that claims more numbers than are stored")
            if key not in memory:
                with archive.open(record) as data:
                    memory[key] = _fill(torch.UntypedStorage(record.file_size), data)
            return memory[key]

        value = read_pickle(io.BytesIO(archive.read(f"{folder}/data.pkl")), open_storage)
    check_limits(value, size)
    return value


def read_legacy(path: Path) -> Any:
    """Reads a file of `torch.save` as it was before PyTorch 1.6: several pickles, and then the numbers.

    Raises:
        RefusedError: it claims more than its size, or holds what weights and training states do not.
        Exception: it is damaged; any other error.
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
            raise RefusedError("it contradicts itself about how many numbers are stored")
        return memory[key]

    def refuse(*_: Any) -> torch.UntypedStorage:
        raise RefusedError("it names numbers where there are none")

    with path.open("rb") as file:
        pickles = _ShortReads(file)
        file.seek(len(LEGACY_START))
        if read_pickle(pickles, refuse) != _LEGACY_PROTOCOL or not read_pickle(pickles, refuse)["little_endian"]:
            raise RefusedError("it is of another kind of machine, or of a version of PyTorch that is not known")
        value = read_pickle(pickles, open_storage)
        for key in read_pickle(pickles, refuse):
            if int.from_bytes(file.read(8), "little") * itemsizes[key] != len(memory[key]):
                raise RefusedError("it contradicts itself about how many numbers are stored")
            _fill(memory[key], file)
    check_limits(value, size)
    return value


def _fill(memory: torch.UntypedStorage, file: BinaryIO) -> torch.UntypedStorage:
    """Fills memory with the next bytes of a file.

    Raises:
        EOFError: there are not so many.
    """
    view = memoryview(torch.empty(0, dtype=torch.uint8).set_(memory).numpy())
    filled = 0
    while filled < len(view):
        count = file.readinto(view[filled : filled + _CHUNK])
        if not count:
            raise EOFError("it ends before its numbers do")
        filled += count
    return memory
