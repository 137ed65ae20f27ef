"""How often each bin of the ab plane occurs in a list of photos: the prior that rare colours are weighed by."""

import hashlib
import pickle
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from colorization.color import nearest_bins, rgb_to_lab
from colorization.data.photos import Photos, open_colored, to_tensor
from colorization.errors import DataError, PictureError
from colorization.runtime.console import tracked
from colorization.runtime.files import atomic_file

# Part of the name of every file of a prior: to be changed with the way of measuring.
_METHOD = b"1"
# A photo is looked at in a grid of this many pixels, so that large photos count as much as small ones.
_GRID = (32, 32)


def sample_ab(rgb: Image.Image) -> Tensor:
    """The colours of a photo's pixels at the places of a regular grid, float32 `(2, 32, 32)` in Lab units.

    Pixels are picked, not averaged: the mean of two colours lies between them, nearer to gray, so that a histogram of
    averaged pixels (of a thumbnail, or of a JPEG decoded at a smaller scale) lacks the saturated colours that the
    prior is there to count.
    """
    picked = rgb.resize(_GRID, Image.Resampling.NEAREST)
    return rgb_to_lab(to_tensor(picked))[1:]


def count_bins(ab: Tensor, bins: Tensor) -> Tensor:
    """How many pixels of `(2, H, W)` ab have each of the `(Q, 2)` bins for their nearest: int64 `(Q,)`."""
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
    """The share of pixels whose nearest bin is each. Every photo weighs alike; those that can't be read or hold no
    colour are passed over, as they are in training. The result does not depend on `num_workers`.

    Args:
        photos: what to look at; of more than `most`, that many, evenly spaced over the list.
        bins: `(Q, 2)` in Lab units, see `colorization.color.ab_bins`.
        num_workers: loader processes.
        most: the most photos that are looked at.

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
    for batch in tracked(loader, f"Measuring the colours of {looked_at} photos"):
        counts += batch
    if counts.sum() == 0:
        raise DataError(f"none of {looked_at} photos can be read and holds colour: add colour photos to measure")
    return (counts / counts.sum()).float()


def cached_prior(photos: Photos, bins: Tensor, folder: Path, num_workers: int) -> Tensor:
    """`measure_prior`, measured once for these photos and bins and kept in a file of `folder`, which is made.

    Several processes may ask at the same time: each then measures for itself, and the file is never half written. A
    file that is damaged is measured anew.

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
