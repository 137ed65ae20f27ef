"""Scores a checkpoint: `python evaluate.py checkpoint=PATH data=folder data.root=photos`. `--help` tells more."""

from pathlib import Path
from typing import Any, get_args

from omegaconf import DictConfig
from pytorch_lightning import seed_everything
from pytorch_lightning.utilities.exceptions import MisconfigurationException

from colorization.callbacks import ScoreWriter
from colorization.checkpoint import ENTRY, read_checkpoint, rebuild, trained_size
from colorization.cli import script
from colorization.config import did_you_mean, instantiate, resolve
from colorization.data.datamodule import PhotoDataModule, Split, absolute_root
from colorization.errors import ConfigError, first_line
from colorization.metrics import METRICS, bootstrap_interval
from colorization.module import ColorizationModule
from colorization.report import console, print_scores


@script("evaluate")
def main(composed: DictConfig) -> None:
    """Scores a checkpoint on photos that it did not learn from, beside the all-gray baseline."""
    checkpoint = read_checkpoint(composed.checkpoint)
    trained = checkpoint[ENTRY]["config"]
    if composed.data.size is None:
        composed.data.size = trained_size(checkpoint)
    config = resolve(composed)
    if config["panel_pictures"] < 1:
        raise ConfigError(f"panel_pictures={config['panel_pictures']} is too few: give 1 or more")
    run = Path(config["paths"]["run"])
    seed_everything(config["seed"], verbose=False)

    network, objective = rebuild(checkpoint, config["checkpoint"])
    module = ColorizationModule(network, objective, trained)
    data: PhotoDataModule = instantiate(config["data"], "data")
    data.test_split = choose_split(config["split"], data, config["data"], trained["data"])
    writer = ScoreWriter(run, config["panel_pictures"])
    trainer = instantiate(config["trainer"], "trainer", callbacks=[writer], logger=False, enable_checkpointing=False)
    try:
        scored = trainer.test(module, data, verbose=False)
    except MisconfigurationException as error:
        raise ConfigError(first_line(error)) from error
    if not trainer.is_global_zero:
        return
    means = {name.removeprefix("test/"): value for name, value in scored[0].items()}
    intervals = {}
    if len(writer.rows) > 1:
        intervals = {key: bootstrap_interval([row[key] - row[f"gray_{key}"] for row in writer.rows]) for key in METRICS}
    summary = {
        "checkpoint": config["checkpoint"],
        "data": str(data),
        "split": data.test_split,
        "size": config["data"]["size"],
        "pictures": len(writer.rows),
        "skipped": {"unreadable": len(data.skipped.unreadable), "colorless": len(data.skipped.colorless)},
        "metrics": means,
        "difference_to_gray_95": intervals,
    }
    writer.write_summary(summary)
    photos = "1 photo" if len(writer.rows) == 1 else f"{len(writer.rows)} photos"
    title = f"{photos} ({data.test_split}) of {data}, {config['data']['size']} px"
    print_scores(means, title, intervals)
    for name in ("metrics.json", "pictures.csv", "panel.png"):
        console.print(run / name)
    if skipped := data.skipped.summary():
        console.print(skipped)


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
    if config["_target_"] == trained.get("_target_") and here == there:
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


def _roots(data: dict[str, Any]) -> list[Path]:
    """Where a source's photos are."""
    root = data.get("root") or []
    return [Path(absolute_root(path)) for path in ([root] if isinstance(root, str) else root)]


if __name__ == "__main__":
    main()
