"""Packs a folder of photos into shards, with a manifest and a list of photos left out. A stopped run can be resumed."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from torch.utils.data import DataLoader

from colorization.data.tars.index import INDEX, MANIFEST, UNFINISHED, Manifest, ShardIndex, file_sha256
from colorization.data.tars.writing import Packed, PackedPhotos, Plan, PlannedShard, Record, write_shard
from colorization.errors import ConfigError, DataError
from colorization.runtime.console import progress_bar
from colorization.runtime.files import atomic_file, sweep, write_csv, write_text

LEFT_OUT = "left_out.csv"
# Photos that each loader process prefetches.
_AHEAD = 8


def prepared(plan: Plan, target: Path) -> Manifest | None:
    """The manifest of a folder that is prepared as planned; None if it is not finished.

    Raises:
        ConfigError: it was prepared from other photos or with other options.
        DataError: one of its files is missing or corrupt.
    """
    path = target / MANIFEST
    if not path.exists():
        return None
    try:
        manifest = Manifest.parse(path.read_bytes(), str(path))
    except DataError as error:
        raise DataError(_damaged(path, target)) from error
    if manifest is None or {"made": manifest.made, "source": manifest.source} != plan.description():
        raise ConfigError(_made_otherwise(target))
    for entry in manifest.shards:
        if not _has_size(target / entry.name, entry.bytes):
            raise DataError(_damaged(target / entry.name, target))
    if not (target / INDEX).is_file() or file_sha256(target / INDEX) != manifest.index_sha256:
        raise DataError(_damaged(target / INDEX, target))
    if not (target / LEFT_OUT).is_file():
        raise DataError(_damaged(target / LEFT_OUT, target))
    shutil.rmtree(target / UNFINISHED, ignore_errors=True)
    return manifest


def _has_size(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def _damaged(path: Path, target: Path) -> str:
    return f"{path} is missing or corrupt: remove the folder {target} and repeat the command"


def _made_otherwise(target: Path) -> str:
    return f"target={target} was made from other photos or with other options: give another folder, or remove it first"


def prepare(plan: Plan, target: Path, num_workers: int) -> Manifest:
    """Writes all missing shards, and then the manifest.

    Args:
        plan: the plan.
        target: the output folder, which is created.
        num_workers: worker processes.

    Raises:
        ConfigError: another process writes there, or the folder belongs to another plan.
        DataError: a split has no usable photo, the folder can't be written, or a loader process was killed.
    """
    plan.check_splits()
    with _notes(plan, target) as folder:
        records = _written(plan, target, folder)
        missing = [shard for shard in plan.shards if shard.name not in records]
        try:
            for record in _pack(plan, missing, target, num_workers):
                record.write(folder)
                records[record.entry.name] = record
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"{len(records)} of {len(plan.shards)} shards are written; repeat the command to resume"
            ) from None
        return _finish(plan, target, [records[shard.name] for shard in plan.shards])


@contextmanager
def _notes(plan: Plan, target: Path) -> Iterator[Path]:
    """Locks the folder with the records of finished shards of this plan.

    Raises:
        ConfigError: another process has locked it, or it belongs to another plan.
        DataError: it can't be written.
    """
    folder = target / UNFINISHED
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "lock").acquire(timeout=0):
            path, description = folder / "plan.json", json.dumps(plan.description())
            if not path.exists():
                write_text(path, description, sync=True)
            elif path.read_text(encoding="utf-8", errors="replace") != description:
                raise ConfigError(_made_otherwise(target))
            sweep(target)
            sweep(folder)
            yield folder
            shutil.rmtree(folder)
    except Timeout as error:
        raise ConfigError(f"target={target} is being written by another process: wait for it, or stop it") from error
    except OSError as error:
        raise DataError(
            f"target={target} can't be written ({error.strerror or error}): make room or give another folder, "
            "then repeat the command to resume"
        ) from error


def _written(plan: Plan, target: Path, folder: Path) -> dict[str, Record]:
    """The records of existing shards, by name.

    Raises:
        DataError: a record is corrupt.
    """
    try:
        records = [Record.read(folder, shard.name) for shard in plan.shards]
    except (OSError, ValueError, KeyError) as error:
        raise DataError(_damaged(folder, target)) from error
    return {
        record.entry.name: record
        for record in records
        if record is not None and (not record.entry.photos or _has_size(target / record.entry.name, record.entry.bytes))
    }


def _pack(plan: Plan, shards: list[PlannedShard], target: Path, num_workers: int) -> Iterator[Record]:
    """Writes shards, one after the other.

    Raises:
        DataError: a loader process was killed.
        OSError: something can't be written.
    """
    numbers = [number for shard in shards for number in shard.photos.tolist()]
    total = len(plan.photos) - len(plan.elsewhere)
    loader = DataLoader(
        PackedPhotos(plan.photos, plan.recipe),
        batch_size=None,
        sampler=numbers,
        collate_fn=_as_it_is,
        num_workers=num_workers,
        prefetch_factor=_AHEAD if num_workers else None,
    )
    with progress_bar() as progress:
        task = progress.add_task("Packing photos", total=total, completed=total - len(numbers))
        photos = _counted(loader, lambda: progress.advance(task))
        try:
            for shard in shards:
                yield write_shard(target / shard.name, plan, shard, photos)
        except RuntimeError as error:
            if not str(error).startswith("DataLoader worker (pid"):
                raise
            raise DataError(
                "the system killed a loader process, as it does when memory runs out: give less than num_workers="
                f"{num_workers} and repeat the command to resume"
            ) from error


def _counted(photos: Iterable[Packed], advance: Callable[[], None]) -> Iterator[Packed]:
    for photo in photos:
        advance()
        yield photo


def _as_it_is(photo: Any) -> Any:
    return photo


def _finish(plan: Plan, target: Path, records: list[Record]) -> Manifest:
    """Writes the index, the list of photos left out and, last, the manifest, which marks the folder as complete."""
    elsewhere = [
        (plan.photos.name(number), "is in none of the folders train, val and test") for number in plan.elsewhere
    ]
    left_out = sorted([*elsewhere, *(row for record in records for row in record.left_out)])
    filled = [record for record in records if record.entry.photos]
    index = ShardIndex.joined([record.index for record in filled]).dump()
    manifest = Manifest(
        **plan.description(),
        photos=sum(record.entry.photos for record in filled),
        left_out=len(left_out),
        index_sha256=hashlib.sha256(index).hexdigest(),
        shards=[record.entry for record in filled],
    )
    with atomic_file(target / INDEX, sync=True) as part:
        part.write_bytes(index)
    write_csv(target / LEFT_OUT, ("name", "why"), left_out, sync=True)
    with atomic_file(target / MANIFEST, sync=True) as part:
        part.write_bytes(manifest.dump())
    return manifest
