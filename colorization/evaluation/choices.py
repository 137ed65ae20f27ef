"""What an evaluation scores, and by which metrics: what was asked for, or what is available."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from colorization.data.datamodule import PhotoDataModule, Split, absolute_root
from colorization.data.protocols import SMALLEST, Protocol
from colorization.data.tars.listing import expand
from colorization.errors import ConfigError, did_you_mean
from colorization.metrics.deep import Fid, Lpips, UnavailableError
from colorization.metrics.scores import METRICS


def check_metrics(config: Mapping[str, Any]) -> None:
    """Looks at the names of metrics.

    Raises:
        ConfigError: there is no such metric, or a file is named for one that is not asked for.
    """
    wanted = config["metrics"]
    if wanted is None:
        return
    if not wanted:
        raise ConfigError("metrics=[] scores nothing: name some, or give metrics=null for all")
    for name in wanted:
        if name not in METRICS:
            raise ConfigError(f"metrics: {name} does not exist{did_you_mean(name, METRICS)}")
    for name in ("lpips", "fid"):
        if config[f"{name}_weights"] and name not in wanted:
            raise ConfigError(f"{name}_weights has no effect: add {name} to metrics, or drop it")


def choose_metrics(
    config: Mapping[str, Any], protocol: Protocol, sets: Sequence[str]
) -> tuple[list[str], Lpips | None, Fid | None, dict[str, str]]:
    """What is computed: the metrics that were asked for, or else all that can be had.

    Args:
        config: the configuration.
        protocol: what pictures are scored.
        sets: of pictures, for the FID.

    Returns:
        The names, the networks that they need, and by name why a metric is left out.

    Raises:
        ConfigError: one that was asked for can't be had.
    """
    asked = config["metrics"] is not None
    metrics = list(config["metrics"] or METRICS)
    left_out: dict[str, str] = {}
    lpips = fid = None
    if "lpips" in metrics:
        try:
            if protocol.size is not None and protocol.size < SMALLEST:
                raise UnavailableError(f"lpips needs pictures of {SMALLEST} px or more, and these have {protocol.size}")
            lpips = Lpips(config["lpips_weights"], may_download=asked)
        except UnavailableError as error:
            left_out["lpips"] = str(error)
    if "fid" in metrics:
        try:
            fid = Fid(sets, config["fid_weights"], may_download=asked)
        except UnavailableError as error:
            left_out["fid"] = str(error)
    if asked and left_out:
        raise ConfigError(next(iter(left_out.values())))
    return [name for name in metrics if name not in left_out], lpips, fid, left_out


def choose_split(wanted: str | None, data: PhotoDataModule, config: dict[str, Any], trained: dict[str, Any]) -> Split:
    """What is scored: what was asked for, or photos that the network did not learn from. Those are the ones that the
    source itself sets apart; else, of the source that the network learned from, the held-out ones; else all of them.

    Raises:
        ConfigError: there is no such split, or the photos overlap with those that the network learned from.
    """
    splits: tuple[Split, ...] = get_args(Split)
    for split in splits:
        if split == wanted:
            return split
    if wanted is not None:
        raise ConfigError(f"split={wanted} does not exist{did_you_mean(wanted, splits)}")
    if own := data.own_test_split():
        return own
    here, there = (_roots(node) for node in (config, trained))
    if there and config["_target_"] == trained.get("_target_") and here == there:
        if config.get("val_share") != trained.get("val_share"):
            raise ConfigError(
                f"data.val_share={config.get('val_share')} is not training's {trained.get('val_share')}, so that "
                "held-out photos can't be told from the others: give training's, or say split=all"
            )
        return "val"
    if any(a == b or a in b.parents or b in a.parents for a in here for b in there):
        raise ConfigError(
            f"{data} overlaps with training's data.root={trained.get('root')}: give just that root to score its "
            "held-out photos, or say split=all to score what was learned from as well"
        )
    return "all"


def _roots(data: dict[str, Any]) -> set[Path]:
    """Where a source's photos are, with patterns of shards expanded."""
    root = data.get("root") or []
    return {Path(absolute_root(path)) for path in expand([root] if isinstance(root, str) else root)}
