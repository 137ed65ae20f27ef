"""Pictures that other tools coloured: found in a folder, paired with the photos by name, and brought to their size."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from colorization.data.colored import to_tensor
from colorization.data.dataset import PhotoDataset
from colorization.data.names import bare_name
from colorization.data.photos import Photos
from colorization.data.protocols import Protocol
from colorization.data.roots import check_folder
from colorization.errors import ConfigError, PictureError
from colorization.imagefiles import find_pictures, open_picture, to_rgb

# How a tool numbers several pictures of one photo: photo_3.png, photo-3.png.
_NUMBER = re.compile(r"(.+)[-_]\d+")


@dataclass(frozen=True)
class Pairing:
    """Which pictures of a folder belong to which photos.

    Attributes:
        partners: names of pictures by the photo's index; `best_of` names each.
        alone: names of the photos without pictures, or with too few.
        unused: names of the pictures that belong to no photo.
    """

    partners: dict[int, list[str]]
    alone: list[str]
    unused: list[str]


class Fitted(NamedTuple):
    """A picture in the size of the scored photo.

    Attributes:
        pixels: uint8 RGB `(3, H, W)`.
        resized: whether it had neither the photo's size nor that of the scored photo.
    """

    pixels: Tensor
    resized: bool


def pair(photos: Sequence[str], pictures: Iterable[str], best_of: int = 1) -> Pairing:
    """Pairs photos with pictures by their paths within the folders, without the ending; photos that find nothing, by
    their bare names, if those are unique. With `best_of`, by `NAME_1.png`, `NAME-2.png` or `NAME/anything.png`, too.
    Photos that differ in the ending only have partners of exactly their names, so that no picture counts twice.

    Args:
        photos: their names, relative and with `/`.
        pictures: likewise.
        best_of: how many pictures each photo has.

    Raises:
        ConfigError: a photo has more pictures than `best_of`.
    """
    pictures = list(pictures)
    by_path, by_name = _index(pictures, best_of), _index(map(bare_name, pictures), best_of, pictures)
    stems = [_stem(name) for name in photos]
    shared, twins = _repeated(map(bare_name, stems)), _repeated(stems)
    partners: dict[int, list[str]] = {}
    alone = []
    for index, (photo, stem) in enumerate(zip(photos, stems, strict=True)):
        found = by_path.get(stem, [])
        if not found and bare_name(stem) not in shared:
            found = by_name.get(bare_name(stem), [])
        if stem in twins or (best_of == 1 and photo in found):
            found = [name for name in found if name == photo]
        if len(found) > best_of:
            raise ConfigError(
                f"{photo} has {len(found)} pictures, {found[0]} and {found[1]} among them: leave {best_of} in the "
                f"folder, or give best_of={len(found)}"
            )
        if len(found) == best_of:
            partners[index] = found
        else:
            alone.append(photo)
    used = {name for names in partners.values() for name in names}
    return Pairing(partners, alone, [name for name in pictures if name not in used])


def _index(keys: Iterable[str], best_of: int, names: Sequence[str] | None = None) -> dict[str, list[str]]:
    keys = list(keys)
    found: dict[str, list[str]] = defaultdict(list)
    for key, name in zip(keys, names or keys, strict=True):
        stem = _stem(key)
        stems = {stem}
        if best_of > 1:
            stems |= {match[1] for match in [_NUMBER.fullmatch(stem)] if match}
            stems |= {str(PurePosixPath(name).parent if names is None else PurePosixPath(name).parent.name)}
        for each in stems:
            found[each].append(name)
    return found


def _stem(name: str) -> str:
    return str(PurePosixPath(name).with_suffix(""))


def _repeated(names: Iterable[str]) -> set[str]:
    seen: set[str] = set()
    twice: set[str] = set()
    for name in names:
        (twice if name in seen else seen).add(name)
    return twice


class Predictions:
    """The pictures of a tool in a folder.

    Args:
        folder: it and its sub-folders are searched.
        best_of: how many pictures each photo has; the one with the highest PSNR to the scored photo counts.

    Raises:
        DataError: the folder does not exist, or holds no picture.
    """

    def __init__(self, folder: Path, best_of: int = 1) -> None:
        check_folder(folder, "predictions", "coloured pictures")
        self.folder = folder
        self.best_of = best_of
        self.names = find_pictures(folder)
        self._of_photo: list[list[str]] = []

    def pair(self, photos: Sequence[str]) -> Pairing:
        """Pairs them with photos, see `pair`."""
        try:
            return pair(photos, self.names, self.best_of)
        except ConfigError as error:
            raise ConfigError(f"predictions: in {self.folder}, {error}") from error

    def select(self, pairing: Pairing, indices: Iterable[int]) -> None:
        """Says which photos are scored: indices among those that were paired."""
        self._of_photo = [pairing.partners[index] for index in indices]

    def fitted(self, index: int, photo: Image.Image, protocol: Protocol, truth: Tensor) -> Fitted:
        """The picture of a photo, in the size of the scored photo.

        A picture of the photo's size is cropped and resized like the photo. One of the scored photo's size stays as it
        is. Any other is first resized to the photo's size (bicubic, with antialiasing).

        Args:
            index: of the photo among the selected.
            photo: the upright photo.
            protocol: crops and resizes it.
            truth: the scored photo, uint8 RGB `(3, H, W)`.

        Raises:
            PictureError: it can't be read.
        """
        candidates = [self._fit(name, photo, protocol, truth) for name in self._of_photo[index]]
        return min(candidates, key=lambda fitted: (fitted.pixels.int() - truth.int()).square().sum().item())

    def _fit(self, name: str, photo: Image.Image, protocol: Protocol, truth: Tensor) -> Fitted:
        try:
            picture = to_rgb(open_picture(self.folder / name))
        except PictureError as error:
            raise PictureError(f"has a picture in {self.folder}, {name}, that {error}") from error
        if picture.size != photo.size:
            if picture.size == (truth.shape[2], truth.shape[1]):
                return Fitted(to_tensor(picture), resized=False)
            return Fitted(to_tensor(protocol(picture.resize(photo.size, Image.Resampling.BICUBIC))), resized=True)
        return Fitted(to_tensor(protocol(picture)), resized=False)


def paired_with_all(pairings: Sequence[Pairing], photos: int) -> np.ndarray:
    """The indices of the photos that every folder has pictures of, int64, ascending."""
    return np.array([i for i in range(photos) if all(i in pairing.partners for pairing in pairings)], dtype=np.int64)


class PairedDataset(PhotoDataset):
    """Scored photos with the pictures of other tools: items have `predicted`, uint8 `(F, 3, H, W)`, and `resized`,
    bool `(F,)`, for F folders.

    Args:
        photos: the photos that are selected in each of `predictions`.
        protocol: crops and resizes photos and pictures.
        predictions: the folders.
        options: further ones of `PhotoDataset`.
    """

    def __init__(
        self, photos: Photos, size: int, protocol: Protocol, predictions: Sequence[Predictions], **options: Any
    ) -> None:
        super().__init__(photos, size, augment=False, protocol=protocol, **options)
        self.protocol = protocol
        self.predictions = predictions

    def _beside(self, index: int, photo: Image.Image, cut: Tensor) -> dict[str, Any]:
        fitted = [each.fitted(index, photo, self.protocol, cut) for each in self.predictions]
        return {
            "predicted": torch.stack([each.pixels for each in fitted]),
            "resized": torch.tensor([each.resized for each in fitted]),
        }
