"""Datasets that torchvision downloads by name."""

from pathlib import Path
from typing import Any, Literal, get_args

import torchvision
from PIL import Image
from torch.utils.data import Dataset

from colorization.data.datamodule import PhotoDataModule
from colorization.data.photos import JoinedPhotos, Photos
from colorization.data.splits import Split
from colorization.errors import DataError, PictureError

# Arguments of each torchvision class for the splits train, val and, if there is a third one, test.
SPLITS: dict[str, dict[str, dict[str, Any]]] = {
    "Imagenette": {"train": {"split": "train", "size": "320px"}, "val": {"split": "val", "size": "320px"}},
    "CIFAR10": {"train": {"train": True}, "val": {"train": False}},
    "STL10": {"train": {"split": "train+unlabeled"}, "val": {"split": "test"}},
    "Flowers102": {"train": {"split": "train"}, "val": {"split": "val"}, "test": {"split": "test"}},
    "OxfordIIITPet": {"train": {"split": "trainval"}, "val": {"split": "test"}},
    "Places365": {"train": {"split": "train-standard", "small": True}, "val": {"split": "val", "small": True}},
    "Food101": {"train": {"split": "train"}, "val": {"split": "test"}},
}

Name = Literal["Imagenette", "CIFAR10", "STL10", "Flowers102", "OxfordIIITPet", "Places365", "Food101"]


class TorchvisionPhotos(Photos):
    """A torchvision dataset without its labels.

    Args:
        dataset: a PIL picture and a label for each index.
        title: its name in reports.
    """

    def __init__(self, dataset: Dataset[Any], title: str) -> None:
        self.dataset = dataset
        self.title = title

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]

    def name(self, index: int) -> str:
        return f"{self.title}/{index}"

    def open(self, index: int) -> Image.Image:
        try:
            return self.dataset[index][0]
        except Exception as error:  # Pillow's decoders raise any exception on corrupt files
            raise PictureError(f"can't be read: {error}") from error

    def stamp(self, index: int) -> str:
        return torchvision.__version__  # which names the archive and its checksum


class TorchvisionDataModule(PhotoDataModule):
    """A torchvision dataset, downloaded once.

    Args:
        name: torchvision's name of the dataset.
        root: the folder that it is in, or is downloaded to.
        loading: see `PhotoDataModule`.
    """

    def __init__(self, name: Name, root: str = "data_cache", **loading: Any) -> None:
        super().__init__(**loading)
        self.dataset_name = name
        self.root = Path(root).expanduser()

    def list_photos(self, split: Split) -> Photos | None:
        splits = SPLITS[self.dataset_name]
        if split == "all":
            return JoinedPhotos([photos for photos in map(self.list_photos, get_args(Split)[:3]) if photos is not None])
        if split not in splits:
            return None
        return TorchvisionPhotos(self._load(splits[split]), f"{self.dataset_name}-{split}")

    def __str__(self) -> str:
        return f"data.name={self.dataset_name}"

    def prepare_data(self) -> None:
        for options in SPLITS[self.dataset_name].values():
            self._load(options)

    def _load(self, options: dict[str, Any]) -> Dataset[Any]:
        kind = getattr(torchvision.datasets, self.dataset_name)
        self.root.mkdir(parents=True, exist_ok=True)
        try:
            return kind(self.root, download=False, **options)
        except (RuntimeError, FileNotFoundError, ValueError):
            pass  # not there yet
        try:
            return kind(self.root, download=True, **options)
        except Exception as error:
            raise DataError(
                f"data.name={self.dataset_name} can't be downloaded ({type(error).__name__}): fetch it as described "
                f"in torchvision.datasets.{self.dataset_name} and unpack it in {self.root}, or give its folder with "
                "data.root=DIR"
            ) from error
