"""Turns a folder of photos into shards: `python -m colorization.data.prepare SRC DST size=256`. `--help` tells more."""

import hashlib
import itertools
import json
import re
import shlex
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import fields
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from omegaconf import DictConfig
from torch.utils.data import DataLoader

from colorization.cli import FLAGS_WITH_A_VALUE, quoted, script
from colorization.config import PrepareConfig, did_you_mean, resolve
from colorization.data.exclusion import write_table
from colorization.data.folder import FolderPhotos
from colorization.data.packing import Packed, PackedPhotos, Plan, PlannedShard, Recipe, Record, write_shard
from colorization.data.shardindex import INDEX, MANIFEST, UNFINISHED, Manifest, ShardIndex
from colorization.errors import ConfigError, DataError
from colorization.files import whole_file
from colorization.imagefiles import walk_pictures
from colorization.report import console, progress_bar

LEFT_OUT = "left_out.csv"
_OPTIONS = tuple(field.name for field in fields(PrepareConfig))
_PLACES = ("source", "target")
# Photos that each loader process may be ahead.
_AHEAD = 8


def to_overrides(words: Sequence[str]) -> list[str]:
    """What Hydra is to see of a command line: the two plain words are the folders, whatever they are called.

    Raises:
        ConfigError: there are more of them, or a word has the form of an option and is none.
    """
    options: list[str] = []
    places: list[str] = []
    rest = iter(words)
    for word in rest:
        key, equals, value = word.partition("=")
        if word.startswith("-"):
            options += [word, *itertools.islice(rest, int(word in FLAGS_WITH_A_VALUE))]
        elif key in _PLACES and equals:
            options.append(f"{key}={quoted(value)}")
        elif equals and (key in _OPTIONS or key.startswith("hydra.")):
            options.append(word)
        elif equals and re.fullmatch(r"[\w.]+", key) and not Path(word).expanduser().exists():
            raise ConfigError(f"{key} is not an option{did_you_mean(key, _OPTIONS)}")
        else:
            places.append(word)
    if len(places) > len(_PLACES):
        raise ConfigError(f"{places[2]} is one word too many: give a folder of photos and a folder for the shards")
    return [*options, *(f"{key}={quoted(place)}" for key, place in zip(_PLACES, places, strict=False))]


@script("prepare", to_overrides)
def main(composed: DictConfig) -> None:
    """Writes shards, a manifest of them, and a list of the photos that are not in them."""
    config = resolve(composed)
    recipe = check(config)
    source, target = (Path(config[key]).expanduser() for key in _PLACES)
    check_places(source, target)
    photos = FolderPhotos(source, walk_pictures(source))
    if len(photos) == 0:
        raise DataError(f"source={source} holds no pictures (.jpg, .png, .webp, ...): give a folder of photos")
    plan = Plan(photos, recipe)
    manifest = finished(plan, target)
    if manifest is None:
        with _unfinished(plan, target) as folder:
            manifest = prepare(plan, target, folder, config["num_workers"])
    else:
        console.print("Everything is there already.")
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
    if target.exists() and not target.is_dir():
        raise ConfigError(f"target={target} is a file: give a folder for the shards")
    known = any((target / name).exists() for name in (MANIFEST, UNFINISHED))
    if target.is_dir() and not known and any(target.iterdir()):
        raise ConfigError(f"target={target} holds other things: give a folder that is empty, or not there yet")


def finished(plan: Plan, target: Path) -> Manifest | None:
    """The manifest of a folder that has been prepared as planned; None if that is still to be done.

    Raises:
        ConfigError: it was prepared otherwise.
    """
    path = target / MANIFEST
    if not path.exists():
        return None
    manifest = Manifest.parse(path.read_bytes(), str(path))
    if manifest is None or {"made": manifest.made, "source": manifest.source} != plan.description():
        raise ConfigError(_made_otherwise(target))
    shutil.rmtree(target / UNFINISHED, ignore_errors=True)
    return manifest


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
    description = json.dumps(plan.description())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "lock").acquire(timeout=0):
            noted = folder / "plan.json"
            if not noted.exists():
                with whole_file(noted) as part:
                    part.write_text(description)
            elif noted.read_text() != description:
                raise ConfigError(_made_otherwise(target))
            for leftover in itertools.chain(target.glob(".*.part.*"), folder.glob(".*.part.*")):
                leftover.unlink()
            try:
                yield folder
            except DataError:  # no photo can be used
                shutil.rmtree(folder)
                with suppress(OSError):
                    target.rmdir()
                raise
            shutil.rmtree(folder)
    except Timeout as error:
        raise ConfigError(f"target={target} is being written by another process: wait for it, or stop it") from error
    except OSError as error:
        raise DataError(
            f"target={target} can't be written ({error.strerror or error}): make room or give another folder; the same "
            "command goes on where this one stopped"
        ) from error


def prepare(plan: Plan, target: Path, folder: Path, num_workers: int) -> Manifest:
    """Writes all shards that are not there yet, and then the manifest.

    Args:
        plan: what is to be written.
        target: the folder for it.
        folder: where finished shards are noted down.
        num_workers: processes that read, scale and compress.

    Raises:
        DataError: no photo can be used.
        OSError: something can't be written.
    """
    records = {shard.name: record for shard in plan.shards if (record := _kept(target, folder, shard)) is not None}
    missing = [shard for shard in plan.shards if shard.name not in records]
    done = sum(len(shard.photos) for shard in plan.shards) - sum(len(shard.photos) for shard in missing)
    with progress_bar() as progress:
        task = progress.add_task("Packing photos", total=len(plan.photos) - len(plan.elsewhere), completed=done)
        contents = _pack(plan, missing, num_workers, lambda: progress.advance(task))
        try:
            for shard in missing:
                records[shard.name] = write_shard(target / shard.name, plan, shard, contents)
                records[shard.name].write(folder)
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"{len(records)} of {len(plan.shards)} shards are written, and the same command goes on from there"
            ) from None
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
    if not filled:
        name, why = left_out[0]
        raise DataError(f"source={plan.photos.root} has no photo with colours: {name}: {why}; add colour photos")
    index = ShardIndex.joined([record.index for record in filled]).dump()
    manifest = Manifest(
        **plan.description(),
        photos=sum(record.entry.photos for record in filled),
        left_out=len(left_out),
        index_sha256=hashlib.sha256(index).hexdigest(),
        shards=[record.entry for record in filled],
    )
    with whole_file(target / INDEX) as part:
        part.write_bytes(index)
    with whole_file(target / LEFT_OUT) as part:
        write_table(part, ("name", "why"), left_out)
    with whole_file(target / MANIFEST) as part:
        part.write_bytes(manifest.dump())
    return manifest


if __name__ == "__main__":
    main()
