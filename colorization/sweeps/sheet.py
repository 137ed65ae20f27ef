"""The contact sheet of a sweep: the same held-out photos, coloured by the network of each run."""

from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor

from colorization.color import gray_ab, rgb_to_lightness
from colorization.config.instantiate import instantiate, locate
from colorization.data.datamodule import PhotoDataModule
from colorization.errors import ConfigError
from colorization.figures.panels import make_titled_grid
from colorization.inference.colorizer import Colorizer
from colorization.metrics.scores import render
from colorization.sweeps.results import Job

_PHOTOS = 8
_SIDE = 256  # of the photos in pixels; each network sees them at the size that it was trained at
_MOST_JOBS = 24  # a wider sheet is unreadable


def make_sheet(jobs: Sequence[Job], titles: Sequence[str], trusted: Sequence[str] = ()) -> Image.Image:
    """One row per photo: gray, coloured by each of the first 24 runs, and the truth. The photos are held-out photos of
    the first run.

    Args:
        jobs: runs with checkpoints. Their networks are loaded one after the other.
        titles: the runs' titles.
        trusted: packages whose networks and data the runs may name besides ours.

    Raises:
        DataError: the photos no longer exist.
        CheckpointError: a checkpoint can't be read.
    """
    jobs, titles = jobs[:_MOST_JOBS], titles[:_MOST_JOBS]
    truth, names = held_out(jobs[0], trusted)
    lightness = rgb_to_lightness(truth)
    columns = [render(lightness, gray_ab(lightness))]
    for job in jobs:
        assert job.checkpoint is not None
        columns.append(Colorizer.from_checkpoint(job.checkpoint, trusted=trusted)(truth))
    rows = torch.stack([*columns, truth], dim=1)
    return make_titled_grid([list(row) for row in rows], ["gray", *titles, "truth"], names)


def held_out(job: Job, trusted: Sequence[str] = ()) -> tuple[Tensor, list[str]]:
    """The first held-out photos of a run, uint8 RGB `(B, 3, H, W)`, and their names.

    Raises:
        DataError: they no longer exist.
    """
    config = job.config()["data"] | {"size": _SIDE, "batch_size": _PHOTOS, "num_workers": 0, "skipped_file": None}
    # The folder of the run may be a stranger's.
    packages = ("colorization.data", *trusted)
    kind = locate(config.get("_target_"), "data._target_", packages)
    if not (isinstance(kind, type) and issubclass(kind, PhotoDataModule)):
        raise ConfigError(f"{job.folder}: data._target_={config['_target_']} is not a data source")
    data: PhotoDataModule = instantiate(config, "data", packages)
    data.prepare_data()
    data.setup("validate")
    photos: list[Tensor] = []
    names: list[str] = []
    for batch in data.val_dataloader():  # a batch is smaller if photos can't be read
        photos += batch["rgb"]
        names += batch["name"]
        if len(photos) >= _PHOTOS:
            break
    return torch.stack(photos[:_PHOTOS]), names[:_PHOTOS]
