"""Scores a checkpoint: `python evaluate.py checkpoint=PATH data=folder data.root=photos`. `--help` tells more."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from pytorch_lightning import seed_everything

from colorization.callbacks import ScoreWriter
from colorization.checkpoint import ENTRY, read_checkpoint, rebuild
from colorization.cli import script
from colorization.config import instantiate, resolve
from colorization.data.datamodule import PhotoDataModule, Split
from colorization.module import ColorizationModule
from colorization.report import console, print_scores


@script("evaluate")
def main(composed: DictConfig) -> None:
    """Scores a checkpoint on photos that it did not learn from, beside the all-gray baseline."""
    checkpoint = read_checkpoint(composed.checkpoint)
    trained = checkpoint[ENTRY]["config"]
    if composed.data.size is None:
        composed.data.size = trained["data"]["size"]
    config = resolve(composed)
    run = Path(config["paths"]["run"])
    seed_everything(config["seed"], verbose=False)

    network, objective = rebuild(checkpoint, config["checkpoint"])
    module = ColorizationModule(network, objective, trained)
    data: PhotoDataModule = instantiate(config["data"], "data")
    data.test_split = config["split"] or unseen_split(data, config["data"], trained["data"])
    writer = ScoreWriter(run, config["panel_pictures"])
    trainer = instantiate(config["trainer"], "trainer", callbacks=[writer], logger=False, enable_checkpointing=False)
    means = {name.removeprefix("test/"): value for name, value in trainer.test(module, data, verbose=False)[0].items()}
    if not trainer.is_global_zero:
        return
    summary = {
        "checkpoint": config["checkpoint"],
        "data": str(data),
        "split": data.test_split,
        "size": config["data"]["size"],
        "pictures": len(writer.rows),
        "skipped": {"unreadable": len(data.skipped.unreadable), "colorless": len(data.skipped.colorless)},
        "metrics": means,
    }
    writer.write_summary(summary)
    print_scores(means, f"{len(writer.rows)} photos ({data.test_split}) of {data}, {config['data']['size']} px")
    for name in ("metrics.json", "pictures.csv", "panel.png"):
        console.print(run / name)
    if skipped := data.skipped.summary():
        console.print(skipped)


def unseen_split(data: PhotoDataModule, config: dict[str, Any], trained: dict[str, Any]) -> Split:
    """The photos that the network did not learn from: the source's own test photos; else, if it learned on this source,
    the held-out ones; else all of them.
    """
    if data.default_test_split() == "test":
        return "test"
    same_source = all(config.get(key) == trained.get(key) for key in ("_target_", "name"))
    if same_source and _absolute(config.get("root")) == _absolute(trained.get("root")):
        return "val"
    return "all"


def _absolute(root: Any) -> Any:
    return str(Path(root).expanduser().resolve()) if isinstance(root, str) else root


if __name__ == "__main__":
    main()
