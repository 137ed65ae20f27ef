"""The LightningDataModule: photos from any source, as Lab pairs on the device of the batch."""

import os
import signal
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pytorch_lightning import LightningDataModule
from torch.utils.data import DataLoader, Sampler

from colorization.color import rgb_to_lab, rgb_to_lightness
from colorization.data.colored import open_colored, open_upright
from colorization.data.dataset import EachOnceSampler, PhotoDataset, collate
from colorization.data.degrade import STRENGTHS
from colorization.data.exclusion import Exclusion
from colorization.data.order import EpochOrder, Position, TrainingSampler
from colorization.data.photos import Photos, SelectedPhotos
from colorization.data.predictions import PairedDataset, Predictions
from colorization.data.protocols import Protocol
from colorization.data.roots import check_loading
from colorization.data.skipped import SkippedPhotos
from colorization.data.splits import Split
from colorization.data.tars.remote import is_address, is_command
from colorization.errors import ConfigError, DataError, PictureError
from colorization.runtime.processes import STOP_SIGNALS


class PhotoDataModule(LightningDataModule, ABC):
    """Base class of data sources.

    Loader processes return uint8 RGB. The trainer gets `lightness` `(B, 1, H, W)` in 0..100, `ab` `(B, 2, H, W)`, `rgb`
    uint8 `(B, 3, H, W)`, `name` and `index`, converted once per batch on the batch's device. `seen` is the input of
    networks: the lightness, or a degraded copy of it.

    A new source is a subclass in a file of this folder, whose `__init__` takes its own options and `**loading`, with a
    method `list_photos`; and one file in `conf/data/`.

    Args:
        size: side of the square crop, in pixels.
        batch_size: photos per batch and device.
        num_workers: loader processes per device.
        crop_scale: range of a random training crop's area, as a share of the photo's.
        max_unreadable: share of a split's photos that may be unreadable before the run stops, 0..1. With several
            devices, each process counts what it reads; the sum is checked at the end of an epoch.
        skipped_file: a CSV file that lists skipped photos; None for none.
        exclude: a CSV file whose column `name` lists photos to leave out of every split, see
            `colorization.data.exclusion`; None leaves out none.
        degrade: `light` or `old` degrades the input of networks, for half of the photos in training and for all in
            scoring, but not in validation during training, see `colorization.data.degrade`. `none` does not.
    """

    def __init__(
        self,
        size: int,
        batch_size: int,
        num_workers: int = 0,
        crop_scale: tuple[float, float] = (0.35, 1.0),
        max_unreadable: float = 0.25,
        skipped_file: str | None = None,
        exclude: str | None = None,
        degrade: str = "none",
    ) -> None:
        super().__init__()
        check_loading({"size": size, "batch_size": batch_size, "num_workers": num_workers})
        if not 0 < crop_scale[0] <= crop_scale[1] <= 1:
            raise ConfigError(f"data.crop_scale={list(crop_scale)} is not a range of shares: give for example [0.35,1]")
        if not 0 <= max_unreadable <= 1:
            raise ConfigError(f"data.max_unreadable={max_unreadable:g} is not a share: give a number from 0 to 1")
        if degrade not in ("none", *STRENGTHS):
            raise ConfigError(f"data.degrade={degrade} is not known: choose none, {', '.join(STRENGTHS)}")
        self.size = size
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.crop_scale = crop_scale
        self.degrade = None if degrade == "none" else degrade
        self.test_split: Split = "val"  # the split that is scored
        self.test_protocol: Protocol | None = None  # None: as in validation
        self._test_indices: np.ndarray | None = None
        self._test_predictions: list[Predictions] = []
        self._scores_colorless = False
        self.skipped = SkippedPhotos(max_unreadable, None if skipped_file is None else Path(skipped_file))
        self._exclusion = None if exclude is None else Exclusion(Path(exclude).expanduser())
        self._datasets: dict[str, PhotoDataset] = {}
        self._begin = Position(0, 0)

    @abstractmethod
    def list_photos(self, split: Split) -> Photos | None:
        """The photos of a split, always in the same order; `all` is every photo.

        Returns:
            None for `test` if the source has no such split.

        Raises:
            DataError: the source does not exist, or is empty.
        """

    def photos(self, split: Split) -> Photos | None:
        """The photos of `list_photos` without those of `exclude`.

        Raises:
            DataError: as `list_photos`; or the file of `exclude` can't be read, or matches no photo.
        """
        listed = self.list_photos(split)
        if self._exclusion is None or listed is None:
            return listed
        self._exclusion.check(self.list_photos("all"), str(self))
        return self._exclusion.without(listed)

    def excluded_names(self) -> dict[str, str]:
        """The names in `exclude`, with the option that lists them."""
        if self._exclusion is None:
            return {}
        return dict.fromkeys(sorted(self._exclusion.names), f"data.exclude={self._exclusion.path}")

    def setup(self, stage: str) -> None:
        of_stage: dict[str, list[Split]] = {"fit": ["train", "val"], "test": [self.test_split]}
        for split in of_stage.get(stage, ["val"]):
            if split not in self._datasets:
                self._datasets[split] = self._open(split, stage)

    def own_test_split(self) -> Split | None:
        """The split that the source itself holds out for scoring: `test`, or else `val`; None if it has neither."""
        return "test" if self.list_photos("test") is not None else "val"

    def scored(self, index: int) -> dict[str, Any]:
        """The scored photo of an index, as an item of `PhotoDataset`."""
        return self._datasets[self.test_split][index]

    def scored_photos(self) -> Photos:
        """The photos that are scored, usable or not.

        Raises:
            DataError: there are none.
        """
        photos = self._some_photos(self.test_split)
        return photos if self._test_indices is None else SelectedPhotos(photos, self._test_indices)

    def score_only(
        self, indices: np.ndarray, predictions: Sequence[Predictions] = (), colorless: bool | None = None
    ) -> None:
        """Scores some photos only, and with them the pictures of other tools.

        Args:
            indices: of the photos among `scored_photos`.
            predictions: folders in which these photos are selected.
            colorless: whether photos without colour count; None changes nothing.
        """
        self._test_indices = indices if self._test_indices is None else self._test_indices[indices]
        self._test_predictions = list(predictions)
        self._scores_colorless = self._scores_colorless if colorless is None else colorless

    def _some_photos(self, split: Split) -> Photos:
        photos = self.photos(split)
        if photos is None or len(photos) == 0:
            excluded = "" if self._exclusion is None else f" that data.exclude={self._exclusion.path} leaves in"
            advice = "give split=val or split=all" if split == "test" else "add some"
            raise DataError(f"{self} has no {split} photos{excluded}: {advice}")
        return photos

    def _open(self, split: Split, stage: str) -> PhotoDataset:
        if stage == "test":
            return self._open_scored()
        photos = self._some_photos(split)
        self._check_usable(photos, split)
        augment = split == "train" and stage == "fit"
        degrade = self.degrade if augment else None
        return PhotoDataset(
            photos, self.size, augment, self.crop_scale, self.test_protocol, degrade=degrade, split=split
        )

    def _open_scored(self) -> PhotoDataset:
        photos = self.scored_photos()
        split, colorless = self.test_split, self._scores_colorless
        options: dict[str, Any] = {"degrade": self.degrade, "keep_colorless": colorless, "split": split}
        self._check_usable(photos, split, colorless)
        if self._test_predictions:
            assert self.test_protocol is not None
            return PairedDataset(photos, self.size, self.test_protocol, self._test_predictions, **options)
        return PhotoDataset(photos, self.size, augment=False, protocol=self.test_protocol, **options)

    def _check_usable(self, photos: Photos, split: str, colorless: bool = False) -> None:
        """Checks that there is a usable photo; usually it is the first."""
        reasons: dict[str, int] = {}
        for index in range(len(photos)):
            try:
                (open_upright if colorless else open_colored)(photos, index)
                return
            except PictureError as error:
                reasons[str(error)] = reasons.get(str(error), 0) + 1
        other = ", or hold out more with data.val_share" if split == "val" else ""
        which = "" if split == "all" else f"{split} "
        commonest = max(reasons, key=lambda reason: reasons[reason])
        raise DataError(
            f"{self} has no {which}photo with colours: {reasons[commonest]} of {len(photos)} pictures, the "
            f"first being {photos.name(0)}: {commonest}; add colour photos{other}"
        )

    def teardown(self, stage: str) -> None:
        self.skipped.gather()

    def train_dataloader(self) -> DataLoader[dict[str, Any]]:
        dataset, world_size, rank = self._datasets["train"], *self._world_size_and_rank()
        sampler = TrainingSampler(dataset, self.batch_size, self._seed, self.position, world_size, rank)
        return self._loader("train", sampler)

    def val_dataloader(self) -> DataLoader[dict[str, Any]]:
        return self._loader("val", self._each_once("val"))

    def test_dataloader(self) -> DataLoader[dict[str, Any]]:
        return self._loader(self.test_split, self._each_once(self.test_split))

    def _world_size_and_rank(self) -> tuple[int, int]:
        return (1, 0) if self.trainer is None else (self.trainer.world_size, self.trainer.global_rank)

    def _each_once(self, split: str) -> EachOnceSampler | None:
        world_size, rank = self._world_size_and_rank()
        return EachOnceSampler(self._datasets[split], world_size, rank) if world_size > 1 else None

    def begin_at(self, position: Position) -> None:
        """Resumes training at a position."""
        self._begin = position

    def epoch_order(self) -> EpochOrder:
        """What decides which photos are still to come when an epoch is broken off."""
        blocks = self._datasets["train"].photos.blocks()
        return EpochOrder(
            self._seed,
            None if blocks is None else blocks.buffer,
            self.batch_size * self._world_size_and_rank()[0],
            self._censuses,
        )

    @cached_property
    def _censuses(self) -> dict[str, dict[str, Any]]:
        """Of the photos as they were listed: once a run, because it takes time."""
        return {split: self._datasets[split].photos.census() for split in ("train", "val")}

    @property
    def _seed(self) -> int:
        return int(os.environ.get("PL_GLOBAL_SEED", 0))  # as in Lightning's samplers

    def position(self) -> Position:
        """The position of the training run, after its last batch."""
        if self.trainer is None:
            return self._begin
        loop = self.trainer.fit_loop
        epoch, batches = max(loop.epoch_progress.current.ready - 1, 0), loop.epoch_loop.batch_progress.current.ready
        if batches >= self.trainer.num_training_batches:
            epoch, batches = epoch + 1, 0
        # A resumed run creates its first iterator before its loops are restored.
        return max(Position(epoch, batches), self._begin)

    def _loader(self, split: str, sampler: Sampler[Any] | None) -> DataLoader[dict[str, Any]]:
        return DataLoader(
            self._datasets[split],
            batch_size=self.batch_size,
            sampler=sampler,
            collate_fn=collate,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            worker_init_fn=_ignore_stop_signals,
            pin_memory=torch.cuda.is_available(),
        )

    def on_before_batch_transfer(self, batch: dict[str, Any], dataloader_idx: int) -> dict[str, Any]:
        if skipped := batch.pop("skipped"):
            self.skipped.add(skipped)
            self._check_skipped()
        return batch

    def gather_skipped(self) -> None:
        """Gathers the skipped photos of all ranks, and checks their number. All ranks have to call it.

        Raises:
            DataError: too many of a split's photos are unreadable.
        """
        self.skipped.gather()
        self._check_skipped()

    def _check_skipped(self) -> None:
        self.skipped.check({split: len(dataset) for split, dataset in self._datasets.items()})

    def on_after_batch_transfer(self, batch: dict[str, Any], dataloader_idx: int) -> dict[str, Any]:
        lab = rgb_to_lab(batch["rgb"])
        lightness = lab[:, :1]
        seen = rgb_to_lightness(batch["seen"]) if "seen" in batch else lightness
        return {**batch, "lightness": lightness, "ab": lab[:, 1:], "seen": seen}

    def photos_of(self, split: Split) -> Photos:
        """The photos of a split; after `setup`."""
        return self._datasets[split].photos

    def count(self, split: Split) -> int:
        """The number of photos in a split, usable or not; after `setup`."""
        return len(self._datasets[split])

    def __str__(self) -> str:
        """The option that selects the photos, for messages and tables."""
        return type(self).__name__


def _ignore_stop_signals(_: int) -> None:
    """Systems send stop signals to all processes of a job, but the last batches are still needed."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def absolute_root(root: str) -> str:
    """An absolute path or pattern; URLs stay the same."""
    return root if is_address(root) or is_command(root) else str(Path(root).expanduser().resolve())
