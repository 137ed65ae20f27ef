"""The prior over ab bins, and the fingerprints that it is cached by."""

import os
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from colorization.color import ab_bins, nearest_bins, rgb_to_lab, to_float
from colorization.data import prior
from colorization.data.colored import to_tensor
from colorization.data.datamodule import PhotoDataModule
from colorization.data.folder import FolderDataModule, FolderPhotos
from colorization.data.photos import JoinedPhotos, Photos, SelectedPhotos
from colorization.data.prior import cached_prior, measure_prior, sample_ab
from colorization.data.sample import SampleDataModule
from colorization.data.tars.photos import ShardsDataModule
from colorization.errors import DataError
from tests.helpers.photos import make_folder, make_photo

RED, BLUE = (230, 20, 30), (20, 40, 220)


def everything(data: PhotoDataModule) -> Photos:
    photos = data.photos("all")
    assert photos is not None
    return photos


def two_colors(width: int, height: int, red: int) -> Image.Image:
    """The topmost `red` rows are red, the others blue."""
    image = Image.new("RGB", (width, height), BLUE)
    image.paste(RED, (0, 0, width, red))
    return image


def bin_of(color: tuple[int, int, int]) -> int:
    ab = rgb_to_lab(to_float(to_tensor(Image.new("RGB", (1, 1), color))))[1:]
    return int(nearest_bins(ab.unsqueeze(0), ab_bins())[1])


def test_prior_of_two_colors_is_the_hand_count(tmp_path: Path) -> None:
    # A quarter and a half of the rows are red; both photos weigh alike although one has four times the pixels.
    two_colors(64, 64, 16).save(tmp_path / "small.png")
    two_colors(128, 128, 64).save(tmp_path / "large.png")
    Image.new("L", (64, 64), 90).save(tmp_path / "gray.png")
    (tmp_path / "broken.jpg").write_text("not a picture")
    photos = FolderPhotos(tmp_path, ["broken.jpg", "gray.png", "large.png", "small.png"])
    measured = measure_prior(photos, ab_bins(), num_workers=0)
    expected = torch.zeros(len(ab_bins()))
    expected[bin_of(RED)] = (1 / 4 + 1 / 2) / 2
    expected[bin_of(BLUE)] = 1 - expected[bin_of(RED)]
    assert torch.equal(measured, expected)


def test_prior_is_a_distribution_and_loader_processes_change_nothing() -> None:
    photos = everything(SampleDataModule(size=32, batch_size=2))
    alone, shared = (measure_prior(photos, ab_bins(), num_workers=number) for number in (0, 2))
    assert torch.equal(alone, shared)
    assert float(alone.double().sum()) == pytest.approx(1, abs=1e-6)
    assert alone.min() >= 0


def test_fine_patterns_keep_their_colors() -> None:
    """Averaged, stripes of red and green one pixel wide would turn into one dull colour."""
    stripes = Image.new("RGB", (160, 160), (0, 160, 0))
    for column in range(0, 160, 2):
        stripes.paste(RED, (column, 0, column + 1, 160))
    ab = sample_ab(stripes)
    chroma = {round(float(value), 2) for value in ab.norm(dim=0).flatten()}
    colors = rgb_to_lab(to_float(to_tensor(stripes)))[1:].norm(dim=0)
    assert chroma <= {round(float(value), 2) for value in colors.flatten()}


def test_of_many_photos_some_are_taken_evenly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []

    class Watched(FolderPhotos):
        def read_colors(self, index, shrink=None):  # type: ignore[no-untyped-def]
            opened.append(self.name(index))
            return np.asarray(make_photo())

    measure_prior(Watched(tmp_path, [f"{number}.png" for number in range(10)]), ab_bins(), num_workers=0, most=4)
    assert opened == ["0.png", "2.png", "5.png", "7.png"]


def test_photos_without_color_have_no_prior(tmp_path: Path) -> None:
    Image.new("L", (64, 64), 90).save(tmp_path / "gray.png")
    with pytest.raises(DataError, match="none of 1 photos"):
        measure_prior(FolderPhotos(tmp_path, ["gray.png"]), ab_bins(), num_workers=0)


def test_prior_is_measured_once(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    listed = everything(FolderDataModule(str(photos), size=32, batch_size=2))
    first = cached_prior(listed, ab_bins(), tmp_path / "cache", num_workers=0)
    (file,) = (tmp_path / "cache").iterdir()  # and no temporary file
    with monkeypatch.context() as patch:
        patch.setattr(prior, "measure_prior", lambda *arguments: pytest.fail("measured twice"))
        assert torch.equal(cached_prior(listed, ab_bins(), tmp_path / "cache", num_workers=0), first)
    # Other bins, or a file that holds something else, are no hit.
    assert cached_prior(listed, ab_bins()[:50], tmp_path / "cache", num_workers=0).shape == (50,)
    for damaged in (b"", b"damaged", file.read_bytes()[:100]):
        file.write_bytes(damaged)
        assert torch.equal(cached_prior(listed, ab_bins(), tmp_path / "cache", num_workers=0), first)
    torch.save(torch.ones(3), file)
    assert torch.equal(cached_prior(listed, ab_bins(), tmp_path / "cache", num_workers=0), first)


def test_fingerprint_of_a_folder_changes_with_a_file_and_not_otherwise(photos: Path) -> None:
    def fingerprint() -> str:
        return everything(FolderDataModule(str(photos), size=32, batch_size=2)).fingerprint()

    before = fingerprint()
    assert before == fingerprint()
    file = photos / "photo 0.png"
    kept = file.stat()
    make_photo(seed=77).save(file)
    changed = fingerprint()
    assert changed != before
    os.utime(file, ns=(kept.st_atime_ns, kept.st_mtime_ns + 1))
    assert fingerprint() != changed
    renamed = fingerprint()
    file.rename(photos / "renamed.png")
    assert fingerprint() != renamed
    (photos / "to nowhere.png").symlink_to("nowhere.png")
    assert len(fingerprint()) == 64


def test_fingerprint_of_shards_changes_with_a_tar_and_not_otherwise(photos: Path, tmp_path: Path) -> None:
    path = tmp_path / "photos.tar"

    def fingerprint() -> str:
        return everything(ShardsDataModule(str(path), size=32, batch_size=2)).fingerprint()

    with tarfile.open(path, "w") as tar:
        tar.add(photos, "photos")
    before = fingerprint()
    assert before == fingerprint()
    os.utime(path, ns=(0, path.stat().st_mtime_ns + 1))
    changed = fingerprint()
    assert changed != before
    with tarfile.open(path, "a") as tar:
        tar.add(photos / "photo 0.png", "another.png")
    assert fingerprint() not in (before, changed)


def test_fingerprints_of_parts(tmp_path: Path) -> None:
    make_folder(tmp_path / "folder")
    photos = everything(FolderDataModule(str(tmp_path / "folder"), size=32, batch_size=2))
    numbers = range(len(photos))
    assert SelectedPhotos(photos, numbers).fingerprint() == photos.fingerprint()
    assert SelectedPhotos(photos, numbers[1:]).fingerprint() != photos.fingerprint()
    halves = [SelectedPhotos(photos, numbers[:2]), SelectedPhotos(photos, numbers[2:])]
    assert JoinedPhotos(halves).fingerprint() == photos.fingerprint()
    sample = SampleDataModule(size=32, batch_size=2)
    assert everything(sample).fingerprint() == everything(sample).fingerprint()
