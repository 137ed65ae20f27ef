"""The prior for class rebalancing: how often each ab bin occurs in a list of photos."""

import hashlib
import pickle
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from colorization.color import nearest_bins, rgb_to_lab
from colorization.data.colored import open_colored, to_tensor
from colorization.data.photos import Photos
from colorization.errors import DataError, PictureError
from colorization.runtime.console import tracked
from colorization.runtime.files import atomic_file

# Part of a prior's file name: change it with the method.
_METHOD = b"1"
# Pixels sampled from a photo, the same number for large and small ones.
_GRID = (32, 32)


def sample_ab(rgb: Image.Image) -> Tensor:
    """The colours of a photo on a regular grid of pixels, float32 `(2, 32, 32)` in Lab units.

    Pixels are sampled, not averaged: the mean of two colours is nearer to gray, so that a histogram of averaged pixels
    (of a thumbnail, or of a JPEG decoded at a smaller scale) lacks the saturated colours that the prior has to count.
    """
    picked = rgb.resize(_GRID, Image.Resampling.NEAREST)
    return rgb_to_lab(to_tensor(picked))[1:]


def count_bins(ab: Tensor, bins: Tensor) -> Tensor:
    """The number of pixels of `(2, H, W)` ab nearest to each of the `(Q, 2)` bins: int64 `(Q,)`."""
    _, nearest = nearest_bins(ab.unsqueeze(0), bins)
    return torch.bincount(nearest.flatten(), minlength=len(bins))


class _BinCounts(Dataset[Tensor]):
    """The counts of `count_bins` for each photo; zeros for one that can't be used."""

    def __init__(self, photos: Photos, bins: Tensor) -> None:
        self.photos = photos
        self.bins = bins

    def __len__(self) -> int:
        return len(self.photos)

    def __getitem__(self, index: int) -> Tensor:
        try:
            return count_bins(sample_ab(open_colored(self.photos, index)), self.bins)
        except PictureError:
            return torch.zeros(len(self.bins), dtype=torch.int64)


def _sum(counts: list[Tensor]) -> Tensor:
    return torch.stack(counts).sum(dim=0)


def measure_prior(photos: Photos, bins: Tensor, num_workers: int, most: int = 20000) -> Tensor:
    """The share of pixels nearest to each bin. Every photo has the same weight; photos that can't be read or have no
    colour are skipped, as in training. The result does not depend on `num_workers`.

    Args:
        photos: the photos; if there are more than `most`, a subset evenly spaced over the list.
        bins: `(Q, 2)` in Lab units, see `colorization.color.ab_bins`.
        num_workers: loader processes.
        most: maximum number of photos.

    Returns:
        float32 `(Q,)`, on the CPU, with sum 1.

    Raises:
        DataError: none of the photos can be used.
    """
    bins = bins.detach().float().cpu()
    looked_at = min(len(photos), most)
    loader = DataLoader(
        _BinCounts(photos, bins),
        batch_size=16,
        sampler=[number * len(photos) // looked_at for number in range(looked_at)],
        collate_fn=_sum,
        num_workers=num_workers,
    )
    counts = torch.zeros(len(bins), dtype=torch.float64)
    batch: torch.Tensor
    for batch in tracked(loader, f"Measuring the colours of {looked_at} photos"):
        counts += batch
    if counts.sum() == 0:
        raise DataError(f"none of {looked_at} photos can be read and has colour: add colour photos")
    return (counts / counts.sum()).float()


def cached_prior(photos: Photos, bins: Tensor, folder: Path, num_workers: int) -> Tensor:
    """`measure_prior`, measured once for these photos and bins and cached in a file of `folder`, which is created.

    Several processes may call it at the same time: each then measures for itself, and the write is atomic. A corrupt
    file is measured again.

    Returns:
        As `measure_prior`.

    Raises:
        DataError: none of the photos can be used.
    """
    bins = bins.detach().float().cpu()
    key = hashlib.sha256(_METHOD + photos.fingerprint().encode() + bins.numpy().tobytes()).hexdigest()
    path = folder / f"{key}.pt"
    kept = _read(path)
    if kept is not None and kept.shape == (len(bins),):
        return kept
    prior = measure_prior(photos, bins, num_workers)
    with atomic_file(path) as part:
        torch.save(prior, part)
    return prior


def _read(path: Path) -> Tensor | None:
    try:
        kept = torch.load(path, weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError):
        return None
    return kept if isinstance(kept, Tensor) else None
