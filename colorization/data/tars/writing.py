"""How a folder of photos becomes shards: which photo goes where, in which form, and how that is written."""

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

from colorization.data.folder import FolderPhotos
from colorization.data.names import Names
from colorization.data.photos import open_colored
from colorization.data.splits import Splits, name_hash
from colorization.data.tars.index import ShardEntry, ShardIndex, file_sha256, index_tar, photo_hash
from colorization.errors import DataError, PictureError
from colorization.imagefiles import save_picture
from colorization.imagefiles.picture import Picture
from colorization.runtime.files import atomic_file, write_text


@dataclass(frozen=True)
class Recipe:
    """What shards are made with.

    Attributes:
        size: the most pixels of a photo's shorter side.
        quality: of JPEG, 1..100.
        photos_per_shard: the most photos in a shard.
        val_share: the share of photos that is held out where the folder does not say which, 0..1.
    """

    size: int
    quality: int
    photos_per_shard: int
    val_share: float


class PlannedShard(NamedTuple):
    """A shard's file name, and the numbers of the photos that it is to hold, as far as they can be used."""

    name: str
    photos: np.ndarray


class Plan:
    """Which photo of a folder goes into which shard. The same for the same names, wherever they are.

    Args:
        photos: the folder's.
        recipe: what the shards are made with.

    Attributes:
        shards: shuffled by a hash of the photos' names, so that each is a sample of all.
        by_folder: whether the folders `train` and `val` are the splits.
        elsewhere: numbers of photos that are in no split.
        members: under which name each photo goes into its shard: its own with `.jpg` for its ending. WebDataset takes
            what is behind the first dot for the ending, so that a name has no other dot there.

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
        """Looks for one photo of each split that can be used; usually it is the first.

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
        """What tells this plan from others: the recipe, and the names and sizes of the photos."""
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
    """A photo's bytes as they go into a shard; or None, and why it is left out."""

    contents: bytes | None
    why: str


class PackedPhotos(Dataset[Packed]):
    """Photos in the form that they have in shards.

    Args:
        photos: the originals.
        recipe: what is made of them.
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
    """An upright sRGB photo as a JPEG with colours at full resolution, its shorter side `size` pixels at the most."""
    scale = recipe.size / min(rgb.size)
    if scale < 1:
        width, height = (max(round(side * scale), recipe.size) for side in rgb.size)
        rgb = rgb.resize((width, height), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    save_picture(Picture(np.asarray(rgb)), file, "jpg", recipe.quality)
    return file.getvalue()


@dataclass(frozen=True)
class Record:
    """What came of a planned shard.

    Attributes:
        entry: for the manifest; a shard with no photos has no file.
        index: where its photos are.
        left_out: names of photos that are not in it, and why.
    """

    entry: ShardEntry
    index: ShardIndex
    left_out: list[tuple[str, str]]

    def write(self, folder: Path) -> None:
        """Writes the record down, so that another process can continue."""
        stem = Path(self.entry.name).stem
        with atomic_file(folder / f"{stem}.npz", sync=True) as part:
            part.write_bytes(self.index.dump())
        text = json.dumps({"entry": self.entry.model_dump(), "left_out": self.left_out})
        write_text(folder / f"{stem}.json", text, sync=True)  # last: it says that the shard is done

    @classmethod
    def read(cls, folder: Path, name: str) -> "Record | None":
        """What `write` has noted of the shard of this file name; None if that was not done yet."""
        path = folder / f"{Path(name).stem}.json"
        if not path.exists():
            return None
        found = json.loads(path.read_bytes())
        index = ShardIndex.parse(path.with_suffix(".npz").read_bytes(), str(path))
        return cls(ShardEntry.model_validate(found["entry"]), index, [(photo, why) for photo, why in found["left_out"]])


def write_shard(path: Path, plan: Plan, shard: PlannedShard, contents: Iterator[Packed]) -> Record:
    """Writes one shard, atomically, the same bytes whenever and wherever.

    Args:
        path: its file.
        plan: what it is part of.
        shard: which one.
        contents: of its photos, in order; no more is taken.

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
