"""Opens the folders of coloured pictures that are scored, and says which photos they lack."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from colorization.data.datamodule import PhotoDataModule
from colorization.data.predictions import Pairing, Predictions, paired_with_all
from colorization.errors import DataError, first_names
from colorization.evaluation.bootstrap import PictureScores
from colorization.evaluation.candidates import Folder


@dataclass(frozen=True)
class OpenedFolders:
    """Folders of pictures, paired with the photos.

    Attributes:
        folders: what is scored.
        pairings: which photo has which pictures, in each folder.
    """

    folders: list[Folder]
    pairings: list[Pairing]

    @property
    def facts(self) -> dict[str, Any]:
        """The entry `unpaired` of `metrics.json`: names of photos without pictures, and of pictures without photos."""
        if not self.folders:
            return {}
        unpaired = {
            folder.label: {"photos": pairing.alone, "pictures": pairing.unused}
            for folder, pairing in zip(self.folders, self.pairings, strict=True)
        }
        return {"unpaired": unpaired}

    def notes(self, scored: PictureScores) -> list[str]:
        """Lines about what has no partner, and about pictures that were resized."""
        lines = []
        for folder, pairing in zip(self.folders, self.pairings, strict=True):
            enough = "no picture" if folder.best_of == 1 else f"fewer than {folder.best_of} pictures"
            if pairing.alone:
                lines.append(
                    f"{_count(pairing.alone, 'photo')} with {enough} in {folder.path}: {first_names(pairing.alone)}"
                )
            if pairing.unused:
                lines.append(
                    f"{_count(pairing.unused, 'picture')} of no photo in {folder.path}: {first_names(pairing.unused)}"
                )
            if resized := int(scored.scores[folder.label]["resized"].sum()):
                lines.append(f"{resized} of the pictures in {folder.path} resized to their photos' size (bicubic)")
        return lines


def open_folders(paths: Sequence[str], labels: Sequence[str], best_of: int, data: PhotoDataModule) -> OpenedFolders:
    """Opens folders, pairs their pictures with the photos of `data.test_split` by name, and has `data` score the photos
    that all folders have pictures of.

    Raises:
        ConfigError: a folder does not exist, is empty, or has too many pictures of a photo.
        DataError: no photo has a picture in every folder.
    """
    if not paths:
        return OpenedFolders([], [])
    opened = [Predictions(Path(path).expanduser(), best_of) for path in paths]
    photos = data.scored_photos()
    names = [photos.name(index) for index in range(len(photos))]
    pairings = [each.pair(names) for each in opened]
    indices = paired_with_all(pairings, len(names))
    if not len(indices):
        raise DataError(
            f"no photo of {data} has a picture in each of {', '.join(paths)}: pictures are paired by name, and the "
            f"first photo is {names[0]}, the first picture {opened[0].names[0]}"
        )
    for each, pairing in zip(opened, pairings, strict=True):
        each.select(pairing, indices)
    data.score_only(indices, opened)
    pairs = enumerate(zip(labels, paths, strict=True))
    return OpenedFolders([Folder(label, path, number, best_of) for number, (label, path) in pairs], pairings)


def _count(names: Sequence[str], what: str) -> str:
    return f"1 {what}" if len(names) == 1 else f"{len(names)} {what}s"
