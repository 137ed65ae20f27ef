"""Turns a folder of photos into shards: `colorize-prepare SRC DST size=256`. `--help` tells more."""

import hashlib
import itertools
import json
import re
import shlex
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from omegaconf import DictConfig
from torch.utils.data import DataLoader

from colorization.commands.arguments import quoted
from colorization.config.instantiate import resolve
from colorization.data.exclusion import write_table
from colorization.data.folder import FolderPhotos
from colorization.data.tars.index import INDEX, MANIFEST, UNFINISHED, Manifest, ShardIndex, file_sha256
from colorization.data.tars.writing import (
    Packed,
    PackedPhotos,
    Plan,
    PlannedShard,
    Recipe,
    Record,
    lasting_file,
    write_shard,
)
from colorization.errors import ConfigError, DataError
from colorization.imagefiles import walk_pictures
from colorization.runtime.console import console, progress_bar

LEFT_OUT = "left_out.csv"
_PLACES = ("source", "target")
# Photos that each loader process may be ahead.
_AHEAD = 8


def run(composed: DictConfig) -> None:
    """Writes shards, a manifest of them, and a list of the photos that are not in them."""
    config = resolve(composed)
    recipe = check(config)
    source, target = (Path(config[key]).expanduser() for key in _PLACES)
    check_places(source, target)
    plan = Plan(listed(source), recipe)
    promised = promise(plan, target)
    if promised is not None and is_complete(promised, target):
        manifest = promised
        shutil.rmtree(target / UNFINISHED, ignore_errors=True)
        console.print("Everything is there already.")
    else:
        plan.check_splits()
        if promised is not None:
            console.print("Something is missing or damaged: what is there is looked over, the rest is packed again.")
        with _unfinished(plan, target) as folder:
            manifest = prepare(plan, target, folder, config["num_workers"], promised)
    left_out = f", {manifest.left_out} left out: {target / LEFT_OUT}" if manifest.left_out else ""
    console.print(f"{manifest.photos} photos in {len(manifest.shards)} shards{left_out}", markup=False)
    root = str(target) if re.fullmatch(r"[\w./-]+", str(target)) else quoted(str(target))
    console.print(f"  python train.py data=shards {shlex.quote(f'data.root={root}')}", markup=False)


def check(config: dict[str, Any]) -> Recipe:
    """The recipe that is asked for.

    Raises:
        ConfigError: a value can't work.
    """
    least = {"size": 16, "quality": 1, "photos_per_shard": 1, "num_workers": 0}
    for key, value in least.items():
        if config[key] < value:
            raise ConfigError(f"{key}={config[key]} is too small: give {value} or more")
    if config["quality"] > 100:
        raise ConfigError(f"quality={config['quality']} is too large: give 100 at the most")
    if not 0 < config["val_share"] < 1:
        raise ConfigError(f"val_share={config['val_share']:g} is no share: give a number between 0 and 1, such as 0.1")
    return Recipe(config["size"], config["quality"], config["photos_per_shard"], config["val_share"])


def check_places(source: Path, target: Path) -> None:
    """Makes sure that there is something to read, and a folder for nothing but shards.

    Raises:
        ConfigError: the folders are not what they should be.
    """
    if not source.is_dir():
        what = "is a file" if source.exists() else "does not exist"
        raise ConfigError(f"source={source} {what}: give a folder of photos")
    here, there = source.resolve(), target.resolve()
    if here == there or here in there.parents or there in here.parents:
        raise ConfigError(
            f"target={target} and source={source} lie in each other: give a folder elsewhere for the shards"
        )
    if target.is_symlink() and not target.exists():
        raise ConfigError(f"target={target} is a link to nowhere: remove it, or give another folder for the shards")
    if target.exists() and not target.is_dir():
        raise ConfigError(f"target={target} is a file: give a folder for the shards")
    known = any((target / name).exists() for name in (MANIFEST, UNFINISHED))
    if target.is_dir() and not known and any(target.iterdir()):
        raise ConfigError(f"target={target} holds other things: give a folder that is empty, or not there yet")


def listed(source: Path) -> FolderPhotos:
    """The photos below a folder.

    Raises:
        DataError: there are none, or not all can be listed.
    """
    try:
        photos = FolderPhotos(source, walk_pictures(source))
    except OSError as error:
        raise DataError(
            f"source={source} can't be listed: {error.filename}: {error.strerror}; make it readable, or move it away"
        ) from error
    if len(photos) == 0:
        raise DataError(f"source={source} holds no pictures (.jpg, .png, .webp, ...): give a folder of photos")
    return photos


def promise(plan: Plan, target: Path) -> Manifest | None:
    """The manifest of a folder that has been prepared as planned; None if there is none yet.

    Raises:
        ConfigError: it was prepared otherwise.
        DataError: the manifest is damaged.
    """
    path = target / MANIFEST
    if not path.exists():
        return None
    try:
        manifest = Manifest.parse(path.read_bytes(), str(path))
    except DataError as error:
        if (target / UNFINISHED).exists():  # the notes say it all
            return None
        raise DataError(
            f"{path} is damaged, and does not say any more what the shards were made with: remove the folder {target}, "
            "and the same command makes it anew"
        ) from error
    if manifest is None or {"made": manifest.made, "source": manifest.source} != plan.description():
        raise ConfigError(_made_otherwise(target))
    return manifest


def is_complete(promised: Manifest, target: Path) -> bool:
    """Whether all files that a manifest promises are there: shards of the right size, and the very index."""
    sizes = {entry.name: entry.bytes for entry in promised.shards}
    return (
        all((target / name).is_file() and (target / name).stat().st_size == size for name, size in sizes.items())
        and (target / INDEX).is_file()
        and file_sha256(target / INDEX) == promised.index_sha256
        and (target / LEFT_OUT).is_file()
    )


def _made_otherwise(target: Path) -> str:
    return f"target={target} was made from other photos or with other options: give another folder, or remove it first"


@contextmanager
def _unfinished(plan: Plan, target: Path) -> Iterator[Path]:
    """The folder in which finished shards are noted down, of this plan and for this process alone.

    Raises:
        ConfigError: another process is at it, or the folder is of another plan.
        DataError: it can't be written.
    """
    folder = target / UNFINISHED
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "lock").acquire(timeout=0):
            _note_plan(plan, target, folder)
            for leftover in itertools.chain(target.glob(".*.part.*"), folder.glob(".*.part.*")):
                leftover.unlink()
            yield folder
            shutil.rmtree(folder)
    except Timeout as error:
        raise ConfigError(f"target={target} is being written by another process: wait for it, or stop it") from error
    except OSError as error:
        raise DataError(
            f"target={target} can't be written ({error.strerror or error}): make room or give another folder; the same "
            "command goes on where this one stopped"
        ) from error


def _note_plan(plan: Plan, target: Path, folder: Path) -> None:
    """Makes sure that the notes are of this plan. Notes of which nobody can say what plan they are of are removed."""
    path = folder / "plan.json"
    try:
        noted = json.loads(path.read_bytes())
    except (FileNotFoundError, ValueError):
        for note in itertools.chain(folder.glob("*.json"), folder.glob("*.npz")):
            note.unlink()
        with lasting_file(path) as part:
            part.write_text(json.dumps(plan.description()))
    else:
        if noted != plan.description():
            raise ConfigError(_made_otherwise(target))


def prepare(plan: Plan, target: Path, folder: Path, num_workers: int, promised: Manifest | None = None) -> Manifest:
    """Writes all shards that are not there yet, and then the manifest.

    Args:
        plan: what is to be written.
        target: the folder for it.
        folder: where finished shards are noted down.
        num_workers: processes that read, scale and compress.
        promised: the manifest, if all was there before: what is written must be what it says.

    Raises:
        DataError: a loader process was ended, or a shard is not what was promised.
        OSError: something can't be written.
    """
    entries = {entry.name: entry for entry in promised.shards} if promised is not None else {}
    records: dict[str, Record] = {}
    for shard in plan.shards:
        record = _kept(target, folder, shard)
        if record is None and shard.name in entries:
            record = Record.recovered(target / shard.name, plan, shard, entries[shard.name])
        if record is not None:
            records[shard.name] = record
    missing = [shard for shard in plan.shards if shard.name not in records]
    done = sum(len(shard.photos) for shard in plan.shards) - sum(len(shard.photos) for shard in missing)
    with progress_bar() as progress:
        task = progress.add_task("Packing photos", total=len(plan.photos) - len(plan.elsewhere), completed=done)
        contents = _pack(plan, missing, num_workers, lambda: progress.advance(task))
        try:
            for shard in missing:
                record = write_shard(target / shard.name, plan, shard, contents)
                if promised is not None and (record.entry if record.entry.photos else None) != entries.get(shard.name):
                    (target / shard.name).unlink(missing_ok=True)
                    raise DataError(
                        f"{target / shard.name} can't be made again as {MANIFEST} has it, as photos or libraries have "
                        f"changed: remove the folder {target}, and the same command makes it anew"
                    )
                record.write(folder)
                records[shard.name] = record
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"{len(records)} of {len(plan.shards)} shards are written, and the same command goes on from there"
            ) from None
        except RuntimeError as error:
            if not str(error).startswith("DataLoader worker (pid"):
                raise
            raise DataError(
                f"the system ended a loader process, as it does when memory runs out: give less than num_workers="
                f"{num_workers}; the same command goes on where this one stopped"
            ) from error
    return _finish(plan, target, [records[shard.name] for shard in plan.shards])


def _kept(target: Path, folder: Path, shard: PlannedShard) -> Record | None:
    """What was noted of a shard, if its file is there."""
    record = Record.read(folder, shard.name)
    if record is None or record.entry.photos == 0:
        return record
    path = target / shard.name
    return record if path.exists() and path.stat().st_size == record.entry.bytes else None


def _pack(
    plan: Plan, shards: Sequence[PlannedShard], num_workers: int, advance: Callable[[], None]
) -> Iterator[Packed]:
    """The photos of these shards, in order."""
    loader = DataLoader(
        PackedPhotos(plan.photos, plan.recipe),
        batch_size=None,
        sampler=[number for shard in shards for number in shard.photos.tolist()],
        collate_fn=_as_it_is,
        num_workers=num_workers,
        prefetch_factor=_AHEAD if num_workers else None,
    )
    for photo in loader:
        advance()
        yield photo


def _as_it_is(photo: Any) -> Any:
    return photo


def _finish(plan: Plan, target: Path, records: Sequence[Record]) -> Manifest:
    """Writes the index, the list of what is left out, and last the manifest, which says that all is there."""
    elsewhere = [
        (plan.photos.name(number), "lies in none of the folders train, val and test") for number in plan.elsewhere
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
    with lasting_file(target / INDEX) as part:
        part.write_bytes(index)
    with lasting_file(target / LEFT_OUT) as part:
        write_table(part, ("name", "why"), left_out)
    with lasting_file(target / MANIFEST) as part:
        part.write_bytes(manifest.dump())
    return manifest
