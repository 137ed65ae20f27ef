"""The dataset that turns photos into uint8 RGB tensors of one size."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset, DistributedSampler

from colorization.data.colored import ColorlessError, open_colored, open_upright, read_colored, to_tensor
from colorization.data.cropping import RandomCrop
from colorization.data.degrade import CLEAN_SHARE, degrade
from colorization.data.photos import Photos
from colorization.data.protocols import Protocol
from colorization.data.skipped import Skipped
from colorization.errors import PictureError


class Draw(NamedTuple):
    """A photo's index, and the seed of its random crop in this epoch."""

    photo: int
    seed: int


# Index of padding: it gives all ranks the same number of items.
NO_PHOTO = -1


class PhotoDataset(Dataset[dict[str, Any]]):
    """Photos cropped to one size.

    An item is `rgb`, uint8 `(3, H, W)`, or None; `name` and `index` of the photo; and `skipped`, the photos skipped
    before it. The item `NO_PHOTO` is empty. If photos are degraded, `seen` is the gray copy, uint8 `(1, H, W)`.

    Args:
        photos: the photos.
        size: side of the square crop, px.
        augment: True (training) crops at random, and replaces an unusable photo by another one; False (scoring) crops
            by `protocol`, and leaves out unusable photos.
        crop_scale: range of a random crop's area, as a share of the photo's.
        protocol: None crops the centre square of the resized photo.
        degrade: degradation of the gray copies, a key of `colorization.data.degrade.STRENGTHS`; None for none. Half of
            the photos stay clean in training, none in scoring.
        keep_colorless: photos without colour count in scoring, too.
        split: the split of the photos.
    """

    def __init__(
        self,
        photos: Photos,
        size: int,
        augment: bool,
        crop_scale: tuple[float, float] = (1.0, 1.0),
        protocol: Protocol | None = None,
        degrade: str | None = None,
        keep_colorless: bool = False,
        split: str = "all",
    ) -> None:
        self.photos = photos
        self.augment = augment
        self.degrade = degrade
        self.split = split
        self._open = open_upright if keep_colorless else open_colored
        self.random_crop = RandomCrop(size, crop_scale)
        self.protocol = protocol or Protocol("fit_middle", size)

    def __len__(self) -> int:
        return len(self.photos)

    def _candidates(self, index: int) -> Iterator[int]:
        if index == NO_PHOTO:
            return
        yield index
        if not self.augment:
            return
        if (blocks := self.photos.blocks()) is not None:  # first from the same shard: others may have to be fetched
            (beside,) = np.nonzero(blocks.shards == blocks.shards[index])
            yield from map(int, beside[torch.randperm(len(beside)).numpy()])
        yield from map(int, torch.randperm(len(self)).numpy())

    def __getitem__(self, number: int | Draw) -> dict[str, Any]:
        """The photo of an index; a `Draw` holds the seed of its random crop, too. An index alone has one crop."""
        photo, seed = (number, number) if isinstance(number, int) else number
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            return self._load(photo, seed)

    def _load(self, index: int, seed: int) -> dict[str, Any]:
        skipped: list[Skipped] = []
        for candidate in self._candidates(index):
            name, drawn = self.photos.name(candidate), torch.get_rng_state()
            try:
                item = self._cut(candidate) | {"name": name, "index": candidate, "skipped": skipped}
                return item if self.degrade is None else item | {"seen": self._seen(item["rgb"], self.degrade, seed)}
            except PictureError as error:
                skipped.append(Skipped(self.split, name, str(error), not isinstance(error, ColorlessError)))
                torch.set_rng_state(drawn)  # its crop may have been drawn: the next photo's is the same without it
        return {"rgb": None, "name": "", "index": NO_PHOTO, "skipped": skipped}

    def _cut(self, index: int) -> dict[str, Any]:
        """A photo's crop, `rgb`, and in scoring, what `_beside` adds. Only photos for training may be reduced."""
        if self.augment:
            crop = self.random_crop.begin()
            return {"rgb": crop(read_colored(self.photos, index, crop.shrink))}
        image = self._open(self.photos, index)
        cut = to_tensor(self.protocol(image))
        return {"rgb": cut, **self._beside(index, image, cut)}

    def _beside(self, index: int, photo: Image.Image, cut: Tensor) -> dict[str, Any]:
        """What an item holds besides the photo in scoring."""
        return {}

    def _seen(self, cut: Tensor, strength: str, seed: int) -> Tensor:
        pixels = cut.permute(1, 2, 0).contiguous().numpy()
        gray = degrade(pixels, seed, strength, CLEAN_SHARE if self.augment else 0)
        return torch.from_numpy(np.array(gray)).unsqueeze(0)


class EachOnceSampler(DistributedSampler[int]):
    """Shards photos over ranks so that each is seen exactly once.

    PyTorch's sampler repeats some photos to give all ranks the same number; this one pads with `NO_PHOTO`. The numbers
    have to be equal, because the ranks wait for each other at every batch.
    """

    def __init__(self, dataset: PhotoDataset, num_replicas: int, rank: int) -> None:
        super().__init__(dataset, num_replicas=num_replicas, rank=rank, shuffle=False)

    def __iter__(self) -> Iterator[int]:
        photos = len(self.dataset)  # type: ignore[arg-type]
        indices = [*range(photos), *[NO_PHOTO] * (self.total_size - photos)]
        return iter(indices[self.rank :: self.num_replicas])


def collate(items: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Items to a batch: `rgb` uint8 `(B, 3, H, W)`; lists `name`, `index` and `skipped`.
    B may be less than the batch size, also 0. Further tensors are stacked.
    """
    kept = [item for item in items if item["rgb"] is not None]
    further = kept[0].keys() - {"rgb", "name", "index", "skipped"} if kept else ()
    return {
        **{key: torch.stack([item[key] for item in kept]) for key in further},
        "rgb": torch.stack([item["rgb"] for item in kept]) if kept else torch.empty(0, 3, 1, 1, dtype=torch.uint8),
        "name": [item["name"] for item in kept],
        "index": [item["index"] for item in kept],
        "skipped": [skip for item in items for skip in item["skipped"]],
    }
