"""Writing shards: the plan which photo goes into which shard, the encoding, and the tar files."""

import hashlib
import io
import json
import math
import os
import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import chain, count, groupby
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image
from torch.utils.data import Dataset

from colorization.data.colored import open_colored
from colorization.data.folder import FolderPhotos
from colorization.data.names import Names
from colorization.data.splits import Splits, name_hash
from colorization.data.tars.index import ShardEntry, ShardIndex, file_sha256, index_tar, photo_hash
from colorization.errors import DataError, PictureError
from colorization.imagefiles import save_picture
from colorization.imagefiles.picture import Picture
from colorization.runtime.files import atomic_file, write_text


@dataclass(frozen=True)
class Recipe:
    """The options of `colorize-prepare`.

    Attributes:
        size: maximum of a photo's shorter side, px.
        quality: of JPEG, 1..100.
        photos_per_shard: maximum number of photos in a shard.
        val_share: share of photos that is held out without folders `train` and `val`, 0..1.
    """

    size: int
    quality: int
    photos_per_shard: int
    val_share: float


class PlannedShard(NamedTuple):
    """A shard's file name, and the indices of its photos; unusable ones are left out later."""

    name: str
    photos: np.ndarray


class Plan:
    """The plan which photo of a folder goes into which shard: a function of the photos' names.

    Args:
        photos: the photos of the folder.
        recipe: the options.

    Attributes:
        shards: the photos are shuffled by a hash of their names, so that each shard is a sample of all.
        by_folder: whether the folders `train` and `val` are the splits.
        elsewhere: indices of photos that are in no split.
        members: name of each photo in its shard: its own with the ending `.jpg` and no other dot, because the ending of
            a WebDataset name begins at the first dot.

    Raises:
        DataError: a single photo can't be split.
    """

    def __init__(self, photos: FolderPhotos, recipe: Recipe) -> None:
        self.photos = photos
        self.recipe = recipe
        splits = Splits(photos.names, recipe.val_share)
        self.by_folder = splits.by_folder
        hashes = np.fromiter(map(name_hash, photos.names), dtype=np.float64, count=len(photos))
        self.shards: list[PlannedShard] = []
        for split in ("train", "val", "test"):
            indices = splits.indices(split)
            if indices is None:
                continue
            shuffled = indices[np.argsort(hashes[indices], kind="stable")]
            parts = np.array_split(shuffled, math.ceil(len(shuffled) / recipe.photos_per_shard))
            self.shards += [PlannedShard(f"{split}-{number:05d}.tar", part) for number, part in enumerate(parts)]
        packed = np.concatenate([shard.photos for shard in self.shards])
        self.elsewhere = np.setdiff1d(np.arange(len(photos)), packed)
        self.members = Names(_member_names(photos.names))

    def check_splits(self) -> None:
        """Checks that each split has a usable photo; usually it is the first.

        Raises:
            DataError: a split has none.
        """
        for split, shards in groupby(self.shards, lambda shard: shard.name.partition("-")[0]):
            found: list[str] = []
            for number in chain.from_iterable(shard.photos.tolist() for shard in shards):
                try:
                    open_colored(self.photos, number)
                    break
                except PictureError as error:
                    found.append(f"{self.photos.name(number)}: {error}")
            else:
                own_folder = self.by_folder or split == "test"
                where = (
                    f"{self.photos.root / split} has no" if own_folder else f"source={self.photos.root} has no {split}"
                )
                mend = "remove the folder" if own_folder else "give another val_share"
                raise DataError(f"{where} photo with colours: {found[0]}; add colour photos, or {mend}")

    def description(self) -> dict[str, Any]:
        """Identifies the plan: the recipe, and a hash of the photos' names and sizes."""
        digest = hashlib.sha256()
        for index, name in enumerate(self.photos.names):
            size = self.photos.stamp(index).split()[0]
            digest.update(name.encode("utf-8", "surrogateescape") + b"\0" + size.encode() + b"\0")
        return {
            "made": asdict(self.recipe),
            "source": {"photos": len(self.photos), "sha256": digest.hexdigest()},
        }


def _member_names(names: Iterable[str]) -> Iterator[str]:
    taken: set[str] = set()
    for name in names:
        folder, slash, file = name.rpartition("/")
        stem = folder + slash + os.path.splitext(file)[0].replace(".", "_")
        candidates = (f"{stem}_{number}.jpg" if number > 1 else f"{stem}.jpg" for number in count(1))
        member = next(candidate for candidate in candidates if candidate not in taken)
        taken.add(member)
        yield member


class Packed(NamedTuple):
    """A photo's bytes in a shard; or None, and why it is left out."""

    contents: bytes | None
    why: str


class PackedPhotos(Dataset[Packed]):
    """Photos, encoded for shards.

    Args:
        photos: the originals.
        recipe: the options.
    """

    def __init__(self, photos: FolderPhotos, recipe: Recipe) -> None:
        self.photos = photos
        self.recipe = recipe

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> Packed:
        try:
            return Packed(packed(open_colored(self.photos, index), self.recipe), "")
        except PictureError as error:
            return Packed(None, str(error))


def packed(rgb: Image.Image, recipe: Recipe) -> bytes:
    """An upright sRGB photo as a JPEG with colours at full resolution, its shorter side at most `size` pixels."""
    scale = recipe.size / min(rgb.size)
    if scale < 1:
        width, height = (max(round(side * scale), recipe.size) for side in rgb.size)
        rgb = rgb.resize((width, height), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    save_picture(Picture(np.asarray(rgb)), file, "jpg", recipe.quality)
    return file.getvalue()


@dataclass(frozen=True)
class Record:
    """The result of writing a shard.

    Attributes:
        entry: for the manifest; a shard without photos has no file.
        index: the index of its photos.
        left_out: names of photos that were left out, and why.
    """

    entry: ShardEntry
    index: ShardIndex
    left_out: list[tuple[str, str]]

    def write(self, folder: Path) -> None:
        """Saves the record, so that another process can resume."""
        stem = Path(self.entry.name).stem
        with atomic_file(folder / f"{stem}.npz", sync=True) as part:
            part.write_bytes(self.index.dump())
        text = json.dumps({"entry": self.entry.model_dump(), "left_out": self.left_out})
        write_text(folder / f"{stem}.json", text, sync=True)  # last: it says that the shard is done

    @classmethod
    def read(cls, folder: Path, name: str) -> "Record | None":
        """Reads what `write` saved for the shard `name`; None if it has not been written."""
        path = folder / f"{Path(name).stem}.json"
        if not path.exists():
            return None
        found = json.loads(path.read_bytes())
        index = ShardIndex.parse(path.with_suffix(".npz").read_bytes(), str(path))
        return cls(ShardEntry.model_validate(found["entry"]), index, [(photo, why) for photo, why in found["left_out"]])


def write_shard(path: Path, plan: Plan, shard: PlannedShard, contents: Iterator[Packed]) -> Record:
    """Writes one shard, atomically and reproducibly: the same plan gives the same bytes.

    Args:
        path: its file.
        plan: the plan it belongs to.
        shard: the shard.
        contents: its photos, in order; an iterator that is not read beyond them.

    Raises:
        OSError: it can't be written.
    """
    hashes: list[int] = []
    left_out: list[tuple[str, str]] = []
    with atomic_file(path, sync=True) as part:
        with part.open("wb") as file, tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for number, photo in zip(shard.photos.tolist(), contents, strict=False):
                if photo.contents is None:
                    left_out.append((plan.photos.name(number), photo.why))
                    continue
                member = tarfile.TarInfo(plan.members[number])
                member.size = len(photo.contents)
                tar.addfile(member, io.BytesIO(photo.contents))
                hashes.append(photo_hash(photo.contents))
        with part.open("rb") as written:
            found = index_tar(written)
        index = ShardIndex(found.names, found.offsets, found.sizes, np.array(hashes, dtype=np.uint64))
        entry = ShardEntry(name=path.name, photos=len(index), bytes=part.stat().st_size, sha256=file_sha256(part))
    if not hashes:
        path.unlink()
    return Record(entry, index, left_out)
