"""Random training crops, also of photos that are decoded at a reduced size."""

from pathlib import Path

import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from colorization.data.colored import ColorlessError, open_colored, read_colored, to_tensor
from colorization.data.dataset import Draw, PhotoDataset
from colorization.data.folder import FolderPhotos
from colorization.data.photos import Photos, SelectedPhotos
from tests.helpers.photos import make_photo

SCALE = (0.3, 1.0)
ORIENTATION = 0x0112


class WholePhotos(FolderPhotos):
    """Photos that are always decoded at their own size."""

    read_colors = Photos.read_colors


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for index in range(6):
        exif = Image.Exif()
        exif[ORIENTATION] = 6 if index == 3 else 1
        make_photo(400, 300, seed=index).save(tmp_path / f"{index}.jpg", quality=95, exif=exif)
    return tmp_path


def listed(folder: Path, kind: type[FolderPhotos] = FolderPhotos) -> FolderPhotos:
    return kind(folder, sorted(path.name for path in folder.iterdir()))


def crops(photos: Photos, size: int, seed: int = 0) -> list[torch.Tensor]:
    dataset = PhotoDataset(photos, size, augment=True, crop_scale=SCALE)
    return [dataset[Draw(index, seed + index)]["rgb"] for index in range(len(photos))]


def test_crops_are_those_of_torchvision(folder: Path) -> None:
    photos = listed(folder, WholePhotos)
    crop = v2.Compose([v2.RandomResizedCrop(64, scale=SCALE, antialias=True), v2.RandomHorizontalFlip()])
    for index, cut in enumerate(crops(photos, 64)):
        torch.manual_seed(index)
        assert torch.equal(cut, crop(to_tensor(open_colored(photos, index))))


@pytest.mark.parametrize("size", [24, 48])
def test_crops_of_reduced_photos_show_the_same(folder: Path, size: int) -> None:
    sizes = set()

    class Watched(FolderPhotos):
        def open(self, index: int) -> Image.Image:
            raise AssertionError("a photo with colour was decoded at its own size")

        def read_colors(self, index, shrink=None):  # type: ignore[no-untyped-def]
            pixels = super().read_colors(index, shrink)
            assert pixels is not None
            sizes.add(pixels.shape[1::-1])
            return pixels

    reduced, whole = crops(SelectedPhotos(listed(folder, Watched), range(6)), size), crops(listed(folder), size)
    assert max(sizes) <= (200, 150)
    for one, other in zip(reduced, crops(listed(folder, WholePhotos), size), strict=True):
        assert (one.float() - other.float()).abs().mean() < 2  # levels of 255
    assert all(map(torch.equal, reduced, whole))


def test_crops_larger_than_half_a_photo_are_not_enlarged(folder: Path) -> None:
    assert all(map(torch.equal, crops(listed(folder), 200), crops(listed(folder, WholePhotos), 200)))


def test_a_photo_that_replaces_another_is_cropped_as_if_it_were_alone(tmp_path: Path) -> None:
    make_photo(400, 300).convert("L").convert("RGB").save(tmp_path / "a.jpg")
    make_photo(400, 300, seed=1).save(tmp_path / "b.jpg", quality=95)
    reduced, whole = (
        PhotoDataset(listed(tmp_path, kind), 32, augment=True, crop_scale=SCALE)[Draw(0, 7)]
        for kind in (FolderPhotos, WholePhotos)
    )
    assert reduced["name"] == whole["name"] == "b.jpg"
    assert (reduced["rgb"].float() - whole["rgb"].float()).abs().mean() < 2


def test_the_same_photos_count_as_colourless_at_a_reduced_size(tmp_path: Path) -> None:
    gray = make_photo(400, 300).convert("L").convert("RGB")
    gray.save(tmp_path / "gray.jpg", quality=95)
    gray.paste((200, 90, 90), (0, 0, 40, 40))
    gray.save(tmp_path / "with a red corner.jpg", quality=95)
    photos = listed(tmp_path)
    with pytest.raises(ColorlessError, match="has no colour"):
        read_colored(photos, 0, lambda size: 8)
    assert read_colored(photos, 1, lambda size: 8).shape == (38, 50, 3)
