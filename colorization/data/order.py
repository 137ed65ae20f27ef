"""The order of training photos: a function of seed and epoch.

The photos of a step depend neither on the number of loader processes nor on how often the run was stopped: the order
and every photo's random crop are drawn from the seed, the epoch and the photo's index only. The global batch (batch
size times world size) decides which photos are in a step.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from torch.utils.data import DistributedSampler

from colorization.data.dataset import Draw, PhotoDataset

_SENTENCE = re.compile(r"(\d+) photos with seed=(\d+)(?:, data\.buffer=(\d+))?")


class Position(NamedTuple):
    """The position of a training run: the epoch, and the number of its batches that are done."""

    epoch: int
    batches: int


class EpochOrder(NamedTuple):
    """What decides which photos an epoch's batches hold. Checkpoints store it as a dict.

    Attributes:
        seed: of the run.
        buffer: size of the shuffle buffer; None: photos are shuffled perfectly.
        batch: the global batch (batch size times world size); None: unknown, in checkpoints of 0.1.0.
        photos: the census of each split, see `Photos.census`; of the train split only the count in those checkpoints.
    """

    seed: int
    buffer: int | None
    batch: int | None
    photos: dict[str, dict[str, Any]]

    @classmethod
    def read(cls, stored: Any) -> "EpochOrder | None":
        """What a checkpoint stores; None if it is nothing of this kind. 0.1.0 stored a sentence."""
        if isinstance(stored, str) and (found := _SENTENCE.fullmatch(stored)):
            return cls(int(found[2]), int(found[3]) if found[3] else None, None, {"train": {"count": int(found[1])}})
        if not isinstance(stored, dict) or stored.keys() != set(cls._fields):
            return None
        photos = stored["photos"]
        is_census = isinstance(photos, dict) and "train" in photos and all(isinstance(c, dict) for c in photos.values())
        return cls(**stored) if is_census else None

    def __str__(self) -> str:
        parts = [f"{self.photos['train'].get('count')} photos", f"seed={self.seed}"]
        parts += [] if self.buffer is None else [f"data.buffer={self.buffer}"]
        parts += [] if self.batch is None else [f"a global batch of {self.batch}"]
        return " with ".join((parts[0], ", ".join(parts[1:])))

    def has_same_course(self, other: "EpochOrder") -> bool:
        """Whether all but the photos is the same, as far as it is known."""
        batches = {self.batch, other.batch} - {None}
        return (self.seed, self.buffer) == (other.seed, other.buffer) and len(batches) < 2

    def changes(self, now: "EpochOrder") -> "Changes":
        """How the photos differ from those of now."""
        listed, replaced = [], []
        for split, census in now.photos.items():
            before = {**census, **self.photos.get(split, {})}
            if before["count"] != census["count"]:
                listed.append(f"{split} had {before['count']} photos and has {census['count']}")
            elif before["names"] != census["names"]:
                listed.append(f"{split} photos have other names")
            elif before["stamps"] != census["stamps"]:
                replaced.append(f"{split} photos have other sizes or dates")
        return Changes(listed, replaced)


class Changes(NamedTuple):
    """Sentences about photos that were added, removed or renamed, and about such that were replaced or copied."""

    listed: list[str]
    replaced: list[str]

    def __str__(self) -> str:
        return "; ".join(self.listed + self.replaced)


class TrainingSampler(DistributedSampler[Draw]):
    """The training photos of one rank in an epoch.

    Every rank gets the same number of photos, each photo at most once. The incomplete last batch is dropped, with other
    photos in each epoch: it would give its photos more weight. If the photos do not fill a single batch, they make a
    smaller one; if there are fewer photos than ranks, some are repeated.

    Args:
        dataset: the photos.
        batch_size: per rank.
        seed: of the run.
        position: returns the position of the run when an iterator is made; an interrupted epoch resumes there.
        world_size: number of processes.
        rank: this process, from 0.
    """

    def __init__(
        self,
        dataset: PhotoDataset,
        batch_size: int,
        seed: int,
        position: Callable[[], Position],
        world_size: int = 1,
        rank: int = 0,
    ) -> None:
        # With this base class, Lightning does not replace the sampler.
        super().__init__(dataset, num_replicas=world_size, rank=rank, shuffle=True, seed=seed)
        self.photos = dataset.photos
        self.batch_size = batch_size
        self.position = position
        per_rank = len(self.photos) // world_size
        self.num_samples = per_rank // batch_size * batch_size or max(per_rank, 1)

    def __iter__(self) -> Iterator[Draw]:
        epoch, batches = self.position()
        order = self.photos.order(_mixed(self.seed, epoch), self.num_replicas, self.rank)
        seeds = np.random.default_rng([self.seed, epoch, 1]).integers(2**63, size=len(self.photos))
        for photo in self.photos.visit(order[batches * self.batch_size : self.num_samples]):
            yield Draw(photo, int(seeds[photo]))


def _mixed(seed: int, epoch: int) -> int:
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1, np.uint64)[0])
