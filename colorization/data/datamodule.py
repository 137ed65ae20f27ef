"""The LightningDataModule: photos from any source, as Lab pairs on the device of the batch."""

import os
import signal
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, Literal

import torch
from pytorch_lightning import LightningDataModule
from pytorch_lightning.utilities.rank_zero import rank_zero_only
from torch.utils.data import DataLoader, Sampler

from colorization.color import rgb_to_lab, rgb_to_lightness
from colorization.data.degrade import STRENGTHS
from colorization.data.exclusion import Exclusion
from colorization.data.order import Position, TrainingSampler
from colorization.data.photos import EachOnceSampler, PhotoDataset, Photos, Skipped, collate, open_colored
from colorization.data.protocols import Protocol
from colorization.data.tars.remote import is_address, is_command
from colorization.errors import ConfigError, DataError, PictureError
from colorization.runtime.files import append_csv
from colorization.runtime.processes import STOP_SIGNALS

Split = Literal["train", "val", "test", "all"]


class PhotoDataModule(LightningDataModule, ABC):
    """Base class of all sources of photos.

    Loader processes hand over uint8 RGB; the trainer gets `lightness` `(B, 1, H, W)` in 0..100, `ab` `(B, 2, H, W)`,
    `rgb` uint8 `(B, 3, H, W)`, `name` and `index`, converted once a batch on the batch's device. `seen` is the
    lightness that networks are shown: the same, or a degraded copy of it.

    A new source is a subclass in a file of this folder, whose `__init__` takes its own options and `**loading`, with a
    method `list_photos`; and one file in `conf/data/`.

    Args:
        size: the side of the square that is cut from a photo, in pixels.
        batch_size: photos in a batch, on each device.
        num_workers: loader processes, for each device.
        crop_scale: the least and the largest share of a photo's area that a random training cut takes.
        max_unreadable: the share of a split's photos that may be unreadable before the run stops, 0..1.
        skipped_file: where the photos that were passed over are listed; None keeps no list.
        exclude: a CSV file whose column `name` lists photos to leave out of every split, see
            `colorization.data.exclusion`; None leaves out none.
        degrade: `light` or `old` degrades the lightness that networks are shown, of half of the photos in training and
            of all in scoring, but not in validation during training, see `colorization.data.degrade`. `none` does not.
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
        for key, value, least in (("size", size, 16), ("batch_size", batch_size, 1), ("num_workers", num_workers, 0)):
            if value < least:
                raise ConfigError(f"data.{key}={value} is too small: give {least} or more")
        if not 0 < crop_scale[0] <= crop_scale[1] <= 1:
            raise ConfigError(f"data.crop_scale={list(crop_scale)} is no range of shares: give for instance [0.35,1]")
        if not 0 <= max_unreadable <= 1:
            raise ConfigError(f"data.max_unreadable={max_unreadable:g} is no share: give a number from 0 to 1")
        if degrade not in ("none", *STRENGTHS):
            raise ConfigError(f"data.degrade={degrade} is not known: choose none, {', '.join(STRENGTHS)}")
        self.size = size
        self.batch_size = batch_size
        self.num_workers = num_workers
        self.crop_scale = crop_scale
        self.degrade = None if degrade == "none" else degrade
        self.test_split: Split = "val"  # what is scored
        self.test_protocol: Protocol | None = None  # how it is cut; None: as in validation
        self.skipped = SkippedPhotos(max_unreadable, None if skipped_file is None else Path(skipped_file))
        self._exclusion = None if exclude is None else Exclusion(Path(exclude).expanduser())
        self._datasets: dict[str, PhotoDataset] = {}
        self._begin = Position(0, 0)

    @abstractmethod
    def list_photos(self, split: Split) -> Photos | None:
        """The photos of a split, in an order that is always the same; `all` is every photo there is.

        Returns:
            None where the source has no `test` photos of its own.

        Raises:
            DataError: there is nothing where the source was told to look.
        """

    def photos(self, split: Split) -> Photos | None:
        """What `list_photos` lists, but for the photos that `exclude` names.

        Raises:
            DataError: as `list_photos`; or the list of names can't be read, or is one of other photos.
        """
        listed = self.list_photos(split)
        if self._exclusion is None or listed is None:
            return listed
        self._exclusion.check(self.list_photos("all"), str(self))
        return self._exclusion.without(listed)

    def excluded_names(self) -> dict[str, str]:
        """The names that `exclude` lists, and what lists them."""
        if self._exclusion is None:
            return {}
        return dict.fromkeys(sorted(self._exclusion.names), f"data.exclude={self._exclusion.path}")

    def setup(self, stage: str) -> None:
        of_stage: dict[str, list[Split]] = {"fit": ["train", "val"], "test": [self.test_split]}
        for split in of_stage.get(stage, ["val"]):
            if split not in self._datasets:
                self._datasets[split] = self._open(split, stage)

    def own_test_split(self) -> Split | None:
        """The photos that the source itself sets apart for scoring: `test`, or else `val`; None if it does not."""
        return "test" if self.list_photos("test") is not None else "val"

    def scored(self, index: int) -> dict[str, Any]:
        """The photo of this number among those that are scored, an item as `PhotoDataset` has it."""
        return self._datasets[self.test_split][index]

    def _open(self, split: Split, stage: str) -> PhotoDataset:
        photos = self.photos(split)
        if photos is None or len(photos) == 0:
            excluded = "" if self._exclusion is None else f" that data.exclude={self._exclusion.path} leaves in"
            raise DataError(f"{self} has no {split} photos{excluded}: choose another split, or add some")
        self._check_usable(photos, split)
        augment = split == "train" and stage == "fit"
        degrade = self.degrade if augment or stage == "test" else None
        return PhotoDataset(photos, self.size, augment, self.crop_scale, self.test_protocol, degrade)

    def _check_usable(self, photos: Photos, split: str) -> None:
        """Looks for one photo that can be used; usually it is the first."""
        reasons: dict[str, int] = {}
        for index in range(len(photos)):
            try:
                open_colored(photos, index)
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
        dataset, processes, process = self._datasets["train"], *self._place()
        sampler = TrainingSampler(dataset, self.batch_size, self._seed, self.position, processes, process)
        return self._loader("train", sampler)

    def val_dataloader(self) -> DataLoader[dict[str, Any]]:
        return self._loader("val", self._each_once("val"))

    def test_dataloader(self) -> DataLoader[dict[str, Any]]:
        return self._loader(self.test_split, self._each_once(self.test_split))

    def _place(self) -> tuple[int, int]:
        """How many processes there are, and which one this is."""
        return (1, 0) if self.trainer is None else (self.trainer.world_size, self.trainer.global_rank)

    def _each_once(self, split: str) -> EachOnceSampler | None:
        processes, process = self._place()
        return EachOnceSampler(self._datasets[split], processes, process) if processes > 1 else None

    def begin_at(self, position: Position) -> None:
        """Makes training go on from there."""
        self._begin = position

    def epoch_order(self) -> str:
        """In words, what decides which photos are still to come when an epoch is broken off."""
        blocks, photos = self._datasets["train"].photos.blocks(), len(self._datasets["train"].photos)
        buffer = "" if blocks is None else f", data.buffer={blocks.buffer}"
        return f"{photos} photos with seed={self._seed}{buffer}"

    @property
    def _seed(self) -> int:
        return int(os.environ.get("PL_GLOBAL_SEED", 0))  # where Lightning's own samplers take theirs from

    def position(self) -> Position:
        """Where the training run stands: behind its last batch."""
        if self.trainer is None:
            return self._begin
        loop = self.trainer.fit_loop
        epoch, batches = max(loop.epoch_progress.current.ready - 1, 0), loop.epoch_loop.batch_progress.current.ready
        if batches >= self.trainer.num_training_batches:
            epoch, batches = epoch + 1, 0
        # A resumed run makes its first iterator before its loops know where they are.
        return max(Position(epoch, batches), self._begin)

    def _loader(self, split: str, sampler: Sampler[Any] | None) -> DataLoader[dict[str, Any]]:
        return DataLoader(
            self._datasets[split],
            batch_size=self.batch_size,
            sampler=sampler,
            collate_fn=collate,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
            worker_init_fn=_leave_stopping_to_the_main_process,
            pin_memory=torch.cuda.is_available(),
        )

    def on_before_batch_transfer(self, batch: dict[str, Any], dataloader_idx: int) -> dict[str, Any]:
        skipped = batch.pop("skipped")
        if skipped:
            photos = max(len(dataset) for dataset in self._datasets.values())
            self.skipped.add(skipped, photos)
        return batch

    def on_after_batch_transfer(self, batch: dict[str, Any], dataloader_idx: int) -> dict[str, Any]:
        lab = rgb_to_lab(batch["rgb"])
        lightness = lab[:, :1]
        seen = rgb_to_lightness(batch["seen"]) if "seen" in batch else lightness
        return {**batch, "lightness": lightness, "ab": lab[:, 1:], "seen": seen}

    def photos_of(self, split: Split) -> Photos:
        """The photos of a split; after `setup`."""
        return self._datasets[split].photos

    def count(self, split: Split) -> int:
        """How many photos a split has, usable or not; after `setup`."""
        return len(self._datasets[split])

    def __str__(self) -> str:
        """The option that the photos come from, as messages and tables name it."""
        return type(self).__name__


def _leave_stopping_to_the_main_process(_: int) -> None:
    """Systems send the request to stop to all processes of a job, but the last batches are still wanted."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def absolute_root(root: str) -> str:
    """A path or pattern that means the same from every folder, as an address does."""
    return root if is_address(root) or is_command(root) else str(Path(root).expanduser().resolve())


class SkippedPhotos:
    """Counts and lists the photos that were passed over, each one once.

    Args:
        max_unreadable: the share of a split's photos that may be unreadable.
        path: a CSV file that is created with the first one; None keeps no list. Of several processes, the first one
            writes it.
    """

    def __init__(self, max_unreadable: float, path: Path | None) -> None:
        self.max_unreadable = max_unreadable
        self.path = path
        self.found: dict[str, Skipped] = {}

    @property
    def unreadable(self) -> set[str]:
        return {name for name, skip in self.found.items() if skip.unreadable}

    @property
    def colorless(self) -> set[str]:
        return {name for name, skip in self.found.items() if not skip.unreadable}

    def add(self, skipped: Iterable[Skipped], photos: int) -> None:
        """Takes note of photos that were passed over, out of `photos` in all.

        Raises:
            DataError: more than the allowed share is unreadable.
        """
        fresh = {skip.name: skip for skip in skipped if skip.name not in self.found}
        self.found |= fresh
        self._list(list(fresh.values()))
        unreadable = self.unreadable
        if len(unreadable) > self.max_unreadable * photos:
            where = f", listed in {self.path}" if self.path else f", for instance {next(iter(unreadable))}"
            raise DataError(
                f"{len(unreadable)} of {photos} pictures can't be read{where}: mend or remove them, or raise "
                f"data.max_unreadable={self.max_unreadable:g}"
            )

    @rank_zero_only
    def _list(self, skipped: Collection[Skipped]) -> None:
        if not skipped or self.path is None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        append_csv(self.path, ("name", "why"), ((skip.name, skip.reason) for skip in skipped))

    def gather(self) -> None:
        """Brings together what several processes have passed over. To be called by all of them."""
        if not torch.distributed.is_available() or not torch.distributed.is_initialized():
            return
        shares: list[Any] = [None] * torch.distributed.get_world_size()
        torch.distributed.all_gather_object(shares, self.found)
        everything = {name: skip for share in shares for name, skip in share.items()}
        self._list([skip for name, skip in everything.items() if name not in self.found])
        self.found = everything

    def summary(self) -> str | None:
        """One line for the end of a run; None if nothing was passed over."""
        if not self.found:
            return None
        where = f"; listed in {self.path}" if self.path else ""
        return f"{len(self.unreadable)} unreadable and {len(self.colorless)} colourless pictures left out{where}"
