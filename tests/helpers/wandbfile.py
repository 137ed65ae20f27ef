"""Reads what W&B writes offline: a log of records in the format of LevelDB, each a message of W&B's own protocol."""

import json
import struct
import time
from pathlib import Path
from typing import Any

from wandb.proto import wandb_internal_pb2

protocol: Any = wandb_internal_pb2  # made when it is imported

# https://github.com/google/leveldb/blob/main/doc/log_format.md; W&B puts seven bytes of its own before it.
_START, _BLOCK, _HEADER = 7, 32768, 7
_WHOLE, _LAST = 1, 4


def _read_records(path: Path) -> list[Any]:
    data = path.read_bytes()
    assert data[:4] in (b":W&B", b"")
    records: list[Any] = []
    message, at = b"", _START
    while True:
        if (left := _BLOCK - at % _BLOCK) < _HEADER:
            at += left
        if at + _HEADER > len(data):
            return records
        _, length, kind = struct.unpack("<IHB", data[at : at + _HEADER])
        message += data[at + _HEADER : at + _HEADER + length]
        at += _HEADER + length
        if kind in (_WHOLE, _LAST):
            records.append(protocol.Record.FromString(message))
            message = b""


def _values(items: Any) -> dict[str, Any]:
    return {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in items}


class OfflineRun:
    """A run's file.

    Args:
        folder: the folder of the run, whose newest part on W&B is read.
    """

    def __init__(self, folder: Path) -> None:
        self.records: list[Any] = []
        self.path = sorted((folder / "wandb").glob("offline-run-*"))[-1]
        [file] = self.path.glob("*.wandb")
        until = time.monotonic() + 60
        while not self._of("exit"):  # W&B's own process may still be writing when the run's has ended
            assert time.monotonic() < until
            time.sleep(0.05)
            self.records = _read_records(file)
        [self.run] = self._of("run")
        self.exit_code = self._of("exit")[0].exit_code
        self.history = [_values(record.item) for record in self._of("history")]
        self.config: dict[str, Any] = {}
        for record in [self.run.config, *self._of("config")]:
            self.config |= _values(record.update)
        self.summary: dict[str, Any] = {}
        for record in self._of("summary"):
            self.summary |= _values(record.update)
        self.environment = self._of("environment")[0]
        self.artifacts = self._of("artifact")
        self.steps = {metric.name or metric.glob_name: metric.step_metric for metric in self._of("metric")}
        self.saved = {file.path for record in self._of("files") for file in record.files}

    def _of(self, kind: str) -> list[Any]:
        return [getattr(record, kind) for record in self.records if record.WhichOneof("record_type") == kind]

    def rows_with(self, key: str) -> list[dict[str, Any]]:
        """The rows of the history that hold a value, or a picture or table, of this name."""
        return [row for row in self.history if key in row or f"{key}._type" in row]
