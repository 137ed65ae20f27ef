"""The data module and its sources."""

import shutil
import tarfile
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision.datasets
from PIL import Image

from colorization.color import rgb_to_lab, to_float
from colorization.config.instantiate import instantiate
from colorization.data.datamodule import PhotoDataModule
from colorization.data.folder import FolderDataModule, FolderPhotos
from colorization.data.order import Position
from colorization.data.photos import SelectedPhotos
from colorization.data.sample import SampleDataModule
from colorization.data.splits import Splits
from colorization.data.tars.photos import ShardsDataModule
from colorization.data.torchvision import SPLITS, TorchvisionDataModule
from colorization.errors import ConfigError, DataError
from tests.helpers.photos import make_folder, make_photo, names
from tests.helpers.runs import Compose


def val_names(listed: list[str], share: float) -> list[str]:
    """Those of a list of names that are held out."""
    held_out = Splits(listed, share).indices("val")
    assert held_out is not None
    return [listed[index] for index in held_out]


def batches(data: PhotoDataModule, split: str) -> list[dict[str, Any]]:
    """The batches of a split as the trainer gets them."""
    data.setup("fit")
    loader = data.train_dataloader() if split == "train" else data.val_dataloader()
    return [data.on_after_batch_transfer(data.on_before_batch_transfer(batch, 0), 0) for batch in loader]


def make_gray(folder: Path, count: int) -> None:
    folder.mkdir()
    for index in range(count):
        make_photo(seed=index).convert("L").save(folder / f"{index}.png")


def make_tar(path: Path, photos: Path) -> Path:
    with tarfile.open(path, "w") as tar:
        for index, file in enumerate(sorted(photos.rglob("*.png"))):
            tar.add(file, f"{index:04d}.png")
    return path


def test_batches_are_lab_pairs(photos: Path) -> None:
    batch = batches(FolderDataModule(str(photos), size=32, batch_size=2), "train")[0]
    assert batch["rgb"].dtype == torch.uint8
    assert batch["rgb"].shape == (2, 3, 32, 32)
    lab = rgb_to_lab(to_float(batch["rgb"]))
    torch.testing.assert_close(torch.cat([batch["lightness"], batch["ab"]], dim=1), lab, atol=1e-3, rtol=0)
    assert len(batch["name"]) == 2


def test_validation_is_deterministic_and_training_is_not(photos: Path) -> None:
    data = FolderDataModule(str(photos), val_share=0.5, size=32, batch_size=8, crop_scale=(0.2, 0.6))
    first, second = (batches(data, "val")[0]["rgb"] for _ in range(2))
    assert torch.equal(first, second)
    data = FolderDataModule(str(photos), size=32, batch_size=1, crop_scale=(0.2, 0.6))
    one = {b["name"][0]: b["rgb"] for b in batches(data, "train")}
    data.begin_at(Position(epoch=1, batches=0))
    other = {b["name"][0]: b["rgb"] for b in batches(data, "train")}
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_loader_processes_change_nothing(photos: Path) -> None:
    data = {n: FolderDataModule(str(photos), val_share=0.5, size=32, batch_size=2, num_workers=n) for n in (0, 2)}
    for alone, shared in zip(batches(data[0], "val"), batches(data[2], "val"), strict=True):
        assert alone["name"] == shared["name"]
        assert torch.equal(alone["rgb"], shared["rgb"])


def test_split_is_a_partition_and_stays_when_photos_are_added(photos: Path) -> None:
    held_out = set(val_names([f"{i}.jpg" for i in range(1000)], 0.1))
    assert 70 < len(held_out) < 130
    more = val_names([f"{i}.jpg" for i in range(2000)], 0.1)
    assert held_out == {name for name in more if int(name.split(".")[0]) < 1000}
    data = FolderDataModule(str(photos), size=32, batch_size=2)
    assert sorted(names(data, "train") + names(data, "val")) == names(data, "all")
    assert names(data, "val")


def test_split_is_the_same_on_every_machine() -> None:
    """These values may never change: a photo would move from training to validation."""
    listed = [f"{letter}/{number}.jpg" for letter in "ab" for number in range(10)]
    assert val_names(listed, 0.2) == ["a/6.jpg", "b/0.jpg", "b/2.jpg", "b/9.jpg"]
    # The same name in composed and decomposed Unicode, as Linux and macOS spell it.
    accented = [[f"{spelling}{number}.jpg" for number in range(50)] for spelling in ("é", "e\u0301")]
    positions = [[name in val_names(group, 0.2) for name in group] for group in accented]
    assert positions[0] == positions[1]


def test_train_val_and_test_folders_are_the_splits(tmp_path: Path) -> None:
    for split, count in (("train", 4), ("val", 3), ("test", 2)):
        make_folder(tmp_path / split, count)
    data = FolderDataModule(str(tmp_path), size=32, batch_size=2)
    assert [len(names(data, split)) for split in ("train", "val", "test", "all")] == [4, 3, 2, 9]
    assert all(name.startswith("val/") for name in names(data, "val"))
    assert data.own_test_split() == "test"


def test_two_photos_are_enough_and_one_is_not(tmp_path: Path) -> None:
    data = FolderDataModule(str(make_folder(tmp_path / "two", 2)), size=32, batch_size=2)
    assert [len(names(data, split)) for split in ("train", "val")] == [1, 1]
    with pytest.raises(DataError, match="a single picture"):
        FolderDataModule(str(make_folder(tmp_path / "one", 1)), size=32, batch_size=2).photos("train")


def test_unusable_pictures_are_left_out_counted_and_listed(tmp_path: Path, photos: Path) -> None:
    make_photo().convert("L").save(photos / "gray.png")
    make_photo().convert("L").convert("RGB").save(photos / "gray stored as rgb.jpg")
    (photos / "text.jpg").write_text("not a picture")
    whole = (photos / "photo 0.png").read_bytes()
    (photos / "cut off.png").write_bytes(whole[: len(whole) // 2])
    (photos / "empty.jpg").touch()
    listed = tmp_path / "skipped.csv"
    data = FolderDataModule(
        str(photos), val_share=0.4, size=32, batch_size=2, max_unreadable=0.9, skipped_file=str(listed)
    )
    for _ in range(8):  # photos that stand in for others are drawn at random
        seen = {name for split in ("train", "val") for batch in batches(data, split) for name in batch["name"]}
        assert all(Path(name).name.startswith("photo ") for name in seen)
    assert data.skipped.unreadable == {"text.jpg", "cut off.png", "empty.jpg"}
    assert data.skipped.colorless == {"gray.png", "gray stored as rgb.jpg"}
    lines = listed.read_text().splitlines()
    assert len(lines) == 1 + 5
    assert "gray.png,is gray" in lines
    assert str(data.skipped.summary()).startswith("3 unreadable and 2 colourless pictures left out")


def test_training_batches_stay_full_and_scored_photos_are_not_doubled(photos: Path) -> None:
    for index in range(6):
        make_photo().convert("L").save(photos / f"gray {index}.png")
    data = FolderDataModule(str(photos), val_share=0.5, size=32, batch_size=2)
    assert all(len(batch["name"]) == 2 for batch in batches(data, "train"))
    seen = [name for batch in batches(data, "val") for name in batch["name"]]
    assert len(seen) == len(set(seen)) == sum("photo" in name for name in names(data, "val"))


def test_too_many_unreadable_pictures_stop_the_run(photos: Path) -> None:
    for index in range(6):
        (photos / f"broken {index}.jpg").write_text("not a picture")
    data = FolderDataModule(str(photos), val_share=0.4, size=32, batch_size=2, max_unreadable=0.1)
    with pytest.raises(DataError, match=r"pictures can't be read.*data\.max_unreadable=0\.1"):
        batches(data, "train")


def test_unreadable_pictures_are_counted_for_each_split(tmp_path: Path) -> None:
    """Most of the validation photos may not be broken just because there are many good ones for training."""
    make_folder(tmp_path / "train", 60)
    make_folder(tmp_path / "val", 1)
    for index in range(11):
        (tmp_path / "val" / f"broken {index}.jpg").write_text("not a picture")
    data = FolderDataModule(str(tmp_path), size=32, batch_size=2)
    batches(data, "train")
    with pytest.raises(DataError, match=r"^4 of 12 val pictures can't be read.*data\.max_unreadable=0\.25"):
        batches(data, "val")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: None, "does not exist"),
        (lambda folder: folder.touch(), "is a file"),
        (lambda folder: folder.mkdir(), "holds no pictures"),
        (lambda folder: (folder.mkdir(), (folder / "notes.txt").touch()), "holds no pictures"),
        (
            lambda folder: make_gray(folder, 4),
            "no train photo with colours: 3 of 3 pictures, .*: is gray",
        ),
    ],
    ids=["missing", "file", "empty", "no pictures", "gray"],
)
def test_folders_that_can_t_be_used(tmp_path: Path, make: Any, message: str) -> None:
    folder = tmp_path / "folder"
    make(folder)
    with pytest.raises(DataError, match=message) as error:
        FolderDataModule(str(folder), size=32, batch_size=2).setup("fit")
    assert str(folder) in str(error.value)


@pytest.mark.parametrize(
    "options", [{"size": 8}, {"batch_size": 0}, {"num_workers": -1}, {"crop_scale": (0.5, 0.1)}, {"repeats": 0}]
)
def test_impossible_options_are_named(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=f"data.{next(iter(options))}="):
        SampleDataModule(**({"size": 32, "batch_size": 2} | options))


def test_sample_photos_need_nothing_but_scikit_image() -> None:
    data = SampleDataModule(repeats=3, size=32, batch_size=4)
    assert len(names(data, "train")) == 3 * 6
    assert set(names(data, "train")).isdisjoint(names(data, "val"))
    assert len(names(data, "all")) == 7
    assert batches(data, "val")[0]["rgb"].shape == (1, 3, 32, 32)


def test_shards(tmp_path: Path, photos: Path) -> None:
    for index in range(3):
        make_tar(tmp_path / f"photos-{index:03d}.tar", photos)
    by_folder, by_braces, by_list = (
        ShardsDataModule(root, size=32, batch_size=2)
        for root in (
            str(tmp_path),
            f"{tmp_path}/photos-{{000..002}}.tar",
            [str(tmp_path / f"photos-{index:03d}.tar") for index in range(3)],
        )
    )
    assert names(by_folder, "all") == names(by_braces, "all") == names(by_list, "all")
    assert len(names(by_folder, "all")) == 18
    assert sorted(names(by_folder, "train") + names(by_folder, "val")) == names(by_folder, "all")
    photo = by_folder.photos("all")
    assert photo is not None
    file = sorted(photos.rglob("*.png"))[1]
    assert photo.open(1).tobytes() == Image.open(file).tobytes()
    assert batches(by_folder, "train")[0]["rgb"].shape == (2, 3, 32, 32)


def test_shards_called_val_are_held_out(tmp_path: Path, photos: Path) -> None:
    make_tar(tmp_path / "train-000.tar", photos)
    make_tar(tmp_path / "val.tar", photos)
    data = ShardsDataModule(str(tmp_path), size=32, batch_size=2)
    assert all(name.startswith("val.tar/") for name in names(data, "val"))
    assert all(name.startswith("train-000.tar/") for name in names(data, "train"))
    assert len(names(data, "train")) == len(names(data, "val")) == 6


@pytest.mark.parametrize("name", ["val.tar", "val-000.tar", "val_0.tar", "val000.tar"])
def test_shards_of_a_split_may_be_called(tmp_path: Path, photos: Path, name: str) -> None:
    make_tar(tmp_path / "train_000.tar", photos)
    make_tar(tmp_path / name, photos)
    data = ShardsDataModule(str(tmp_path), size=32, batch_size=2)
    assert {listed.split("/")[0] for listed in names(data, "val")} == {name}
    assert data.own_test_split() == "val"


def test_shards_that_can_t_be_read(tmp_path: Path) -> None:
    (tmp_path / "text.tar").write_text("no tar")
    (tmp_path / "empty").mkdir()
    for root, message in (
        (str(tmp_path / "nowhere.tar"), "does not exist"),
        (str(tmp_path / "text.tar"), "can't be read as a tar file"),
        (str(tmp_path / "empty"), "holds no .tar files"),
        (f"{tmp_path}/a-{{000..", "braces do not match"),
    ):
        with pytest.raises(DataError, match=message):
            ShardsDataModule(root, size=32, batch_size=2).setup("fit")


def test_torchvision_reads_what_is_there(tmp_path: Path) -> None:
    """CIFAR10 in torchvision's own form, made here."""
    folder = tmp_path / "imagenette2-320"
    for split in ("train", "val"):
        for synset in ("n01440764", "n02102040"):
            (folder / split / synset).mkdir(parents=True)
            make_photo().save(folder / split / synset / "photo.JPEG", format="JPEG")
    data = TorchvisionDataModule("Imagenette", root=str(tmp_path), size=32, batch_size=2)
    assert names(data, "val") == ["Imagenette-val/0", "Imagenette-val/1"]
    assert batches(data, "train")[0]["rgb"].shape == (2, 3, 32, 32)


def test_torchvision_without_network_says_what_to_put_where(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    data = TorchvisionDataModule("CIFAR10", root=str(tmp_path), size=32, batch_size=2)
    with pytest.raises(DataError) as error:
        data.prepare_data()
    for part in ("CIFAR10", str(tmp_path), "data.root=DIR"):
        assert part in str(error.value)


@pytest.mark.parametrize("name", sorted(SPLITS))
def test_torchvision_knows_every_data_set_and_option(name: str) -> None:
    import inspect

    accepted = inspect.signature(getattr(torchvision.datasets, name)).parameters
    for options in SPLITS[name].values():
        assert options.keys() <= accepted.keys()


@pytest.mark.parametrize("source", ["folder", "sample", "shards", "torchvision"])
def test_every_source_composes(compose_config: Compose, tmp_path: Path, source: str) -> None:
    overrides = [f"data.root={tmp_path}"] if source != "sample" else []
    config = compose_config(f"data={source}", *overrides)
    assert isinstance(instantiate(config["data"], "data"), PhotoDataModule)


def test_a_folder_of_many_photos_is_held_in_one_block(tmp_path: Path) -> None:
    make_photo().save(tmp_path / "a.png")
    for index in range(50):
        shutil.copy(tmp_path / "a.png", tmp_path / f"{index}.png")
    photos = FolderDataModule(str(tmp_path), size=32, batch_size=2).photos("all")
    assert photos is not None
    assert isinstance(photos, SelectedPhotos)
    assert isinstance(photos.photos, FolderPhotos)
    assert photos.photos.names.block.count(b".png") == 51
