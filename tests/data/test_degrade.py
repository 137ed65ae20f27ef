"""Degraded lightness: the same for the same seed, and nothing else of a photo changes."""

import numpy as np
import pytest
import torch

from colorization.color import rgb_to_lightness, to_float
from colorization.data.dataset import Draw, PhotoDataset
from colorization.data.degrade import STRENGTHS, degrade
from colorization.data.sample import SampleDataModule
from colorization.errors import ConfigError
from tests.helpers.photos import MadePhotos, make_photo

PHOTO = np.asarray(make_photo(96, 80))


@pytest.mark.parametrize("strength", STRENGTHS)
def test_the_same_seed_degrades_alike(strength: str) -> None:
    first, again, other = (np.asarray(degrade(PHOTO, seed, strength)) for seed in (3, 3, 4))
    assert first.dtype == np.uint8
    assert first.shape == PHOTO.shape[:2]
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_old_photos_are_worse_than_light_ones() -> None:
    clean = np.asarray(degrade(PHOTO, 0, "old", clean_share=1)).astype(float)
    errors = {
        strength: np.mean(
            [np.abs(np.asarray(degrade(PHOTO, seed, strength)).astype(float) - clean) for seed in range(60)]
        )
        for strength in STRENGTHS
    }
    assert 2 < 1.5 * errors["light"] < errors["old"] < 60


def test_clean_photos_lose_nothing_but_the_colour() -> None:
    gray = torch.from_numpy(np.array(degrade(PHOTO, 0, "old", clean_share=1)))[None]
    wanted = rgb_to_lightness(to_float(torch.from_numpy(PHOTO.copy()).permute(2, 0, 1)))
    torch.testing.assert_close(rgb_to_lightness(to_float(gray)), wanted, atol=0.5, rtol=0)


def test_orthochromatic_film_sees_no_red() -> None:
    red = np.full((32, 32, 3), (200, 0, 0), np.uint8)
    levels = [np.asarray(degrade(red, seed, "light")).mean() for seed in range(300)]
    assert min(levels) < 60 < np.median(levels)


def test_training_degrades_what_the_network_sees_and_no_colours() -> None:
    """A photo's degradation depends on its draw alone; about half of the photos stay clean; cuts are as without."""
    plain = PhotoDataset(MadePhotos(40), 32, augment=True, crop_scale=(0.3, 1.0))
    worn = PhotoDataset(MadePhotos(40), 32, augment=True, crop_scale=(0.3, 1.0), degrade="old")
    clean = 0
    for photo in range(40):
        draw = Draw(photo, 1000 + photo)
        before, item = plain[draw], worn[draw]
        assert torch.equal(item["rgb"], before["rgb"])
        assert torch.equal(item["seen"], worn[draw]["seen"])
        truth = rgb_to_lightness(to_float(item["rgb"]))
        clean += bool((rgb_to_lightness(to_float(item["seen"])) - truth).abs().max() < 0.5)
    assert 8 <= clean <= 32


def test_scoring_degrades_every_photo_alike() -> None:
    worn = PhotoDataset(MadePhotos(12), 32, augment=False, degrade="old")
    for index in range(12):
        item = worn[index]
        assert torch.equal(item["seen"], worn[index]["seen"])
        truth = rgb_to_lightness(to_float(item["rgb"]))
        assert (rgb_to_lightness(to_float(item["seen"])) - truth).abs().max() > 0.5


@pytest.mark.parametrize(
    ("stage", "split", "is_degraded"), [("fit", "train", True), ("fit", "val", False), ("test", "val", True)]
)
def test_validation_during_training_stays_clean(stage: str, split: str, is_degraded: bool) -> None:
    data = SampleDataModule(size=32, batch_size=2, degrade="old", repeats=4)
    data.setup(stage)
    loader = {"train": data.train_dataloader, "val": data.val_dataloader, "test": data.test_dataloader}
    batch = next(iter(loader["test" if stage == "test" else split]()))
    batch = data.on_after_batch_transfer(data.on_before_batch_transfer(batch, 0), 0)
    assert batch["seen"].shape == batch["lightness"].shape
    assert ("seen" in data._datasets[split][0]) == is_degraded
    if not is_degraded:
        assert torch.equal(batch["seen"], batch["lightness"])


def test_an_unknown_strength_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"data\.degrade=ancient is not known: choose none, light, old"):
        SampleDataModule(size=32, batch_size=2, degrade="ancient")
