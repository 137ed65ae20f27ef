"""The metrics and the split of an evaluation: as requested, or by default."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from colorization.data.datamodule import PhotoDataModule, absolute_root
from colorization.data.protocols import SMALLEST, Protocol
from colorization.data.splits import Split, checked_split
from colorization.data.tars.listing import expand
from colorization.errors import ConfigError
from colorization.metrics.fid import Fid
from colorization.metrics.names import METRICS
from colorization.metrics.perceptual import Iqa, Lpips
from colorization.metrics.pretrained import UnavailableError

_OF_PYIQA = ("dists", "msswd")
_OF_VGG_OR_ALEXNET = ("lpips", "lpips_vgg", "dists")


@dataclass(frozen=True)
class Measures:
    """What is measured.

    Attributes:
        metrics: keys of `METRICS`.
        perceptual: networks of some of them, which take predicted and true pictures.
        fid: that of `fid`, if it is among them.
        left_out: reasons for metrics that are left out.
    """

    metrics: list[str]
    perceptual: dict[str, nn.Module]
    fid: Fid | None
    left_out: dict[str, str]


def choose_metrics(
    config: Mapping[str, Any], protocol: Protocol, sets: Sequence[str], has_folders: bool = False
) -> Measures:
    """The metrics to compute: those requested, or all that are available.

    Args:
        config: the configuration.
        protocol: how pictures are cropped and resized.
        sets: names of the sets of pictures for FID.
        has_folders: whether pictures of a folder are scored, which have no colours outside the gamut.

    Raises:
        ConfigError: a requested metric is not available.
    """
    asked = config["metrics"] is not None
    # pyiqa takes seconds to import: it is used only if it is asked for.
    unasked = [name for name in METRICS if name not in _OF_PYIQA or config[f"{name}_weights"]]
    metrics = list(config["metrics"] or unasked)
    makers: dict[str, Callable[..., nn.Module]] = {
        "lpips": Lpips,
        "lpips_vgg": partial(Lpips, trunk="vgg"),
        "dists": partial(Iqa, "dists"),
        "msswd": partial(Iqa, "msswd"),
        "fid": partial(Fid, sets, backend=config["fid_backend"]),
    }
    left_out: dict[str, str] = {}
    networks: dict[str, nn.Module] = {}
    for name, make in makers.items():
        if name not in metrics:
            continue
        try:
            if name in _OF_VGG_OR_ALEXNET and protocol.size is not None and protocol.size < SMALLEST:
                raise UnavailableError(
                    f"{name} needs pictures of {SMALLEST} px or more, but these have {protocol.size}"
                )
            networks[name] = make(weights=config[f"{name}_weights"], may_download=asked)
        except UnavailableError as error:
            left_out[name] = str(error)
    if "clipped" in metrics and has_folders:
        left_out["clipped"] = "clipped is measured before rounding to 8 bits, and these pictures are rounded"
    if asked and left_out:
        raise ConfigError(next(iter(left_out.values())))
    fid = networks.pop("fid", None)
    assert fid is None or isinstance(fid, Fid)
    return Measures([name for name in metrics if name not in left_out], networks, fid, left_out)


def choose_split(
    wanted: str | None, data: PhotoDataModule, config: dict[str, Any], trained: Sequence[dict[str, Any]]
) -> Split:
    """The split to score: as requested, or photos that no network was trained on. These are the split that the
    source itself holds out; else, for the source of the training, its held-out photos; else all photos. Without
    networks it is all photos.

    Args:
        wanted: the split's name, or None.
        data: the photos.
        config: the node `data` that they come from.
        trained: the node `data` of each checkpoint.

    Raises:
        ConfigError: the split does not exist, or the photos overlap with the training photos.
    """
    if wanted is not None:
        return checked_split(wanted)
    chosen = [_held_out(data, config, each) for each in trained]
    return next((split for split in chosen if split != "all"), "all")


def _held_out(data: PhotoDataModule, config: dict[str, Any], trained: dict[str, Any]) -> Split:
    if own := data.own_test_split():
        return own
    here, there = (_roots(node) for node in (config, trained))
    if there and config["_target_"] == trained.get("_target_") and here == there:
        if config.get("val_share") != trained.get("val_share"):
            raise ConfigError(
                f"data.val_share={config.get('val_share')} differs from training's {trained.get('val_share')}, so that "
                "held-out photos are unknown: give the same, or split=all"
            )
        return "val"
    if any(a == b or a in b.parents or b in a.parents for a in here for b in there):
        raise ConfigError(
            f"{data} overlaps with training's data.root={trained.get('root')}: give exactly that root to score its "
            "held-out photos, or split=all to include training photos"
        )
    return "all"


def _roots(data: dict[str, Any]) -> set[Path]:
    """The roots of a source, with patterns of shards expanded."""
    root = data.get("root") or []
    return {Path(absolute_root(path)) for path in expand([root] if isinstance(root, str) else root)}
