"""Whether the trainer keeps up with its network: `python -m benchmarks.keeping_up [KEY=VALUE ...]`.

Takes the options of `train.py`. Prepares shards of JPEGs of 474 x 392 px, trains on them with checkpoints, panels, log
and progress bar as usual, and interrupts itself every few steps to run as many steps of the same network, objective and
optimizer on one batch in memory. Prints the pictures per second of both, medians of the rounds, and their ratio. The
clock is processor time on a CPU without loader processes, which other work on the machine changes least; otherwise it
is time on the clock, and loader processes fetch ahead during an interruption: raise `STEPS` above the batches they
hold.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from pytorch_lightning import Callback, seed_everything

from benchmarks.loading import save_photos
from benchmarks.training import Step
from colorization.config.instantiate import resolve
from colorization.config.resolvers import register
from colorization.data.tars.preparing import prepare
from colorization.data.tars.writing import Plan, Recipe
from colorization.training.building import build
from colorization.training.resume import Start

ROUNDS, STEPS = 5, 3
DEFAULTS = [
    "experiment=unet_resnet18",
    "backbone.pretrained=false",
    "data=shards",
    "data.batch_size=8",
    "data.num_workers=0",
    "trainer.max_epochs=1",
    "logger=csv",
]


class Interruptions(Callback):
    """Times rounds of `STEPS` steps of the trainer, and as many on one batch in between.

    Args:
        step: a step on one batch.
        clock: seconds.
    """

    def __init__(self, step: Callable[[], None], clock: Callable[[], float]) -> None:
        self.step = step
        self.clock = clock
        self.rounds: list[tuple[float, float]] = []
        self._begun: float | None = None

    def on_train_batch_start(self, trainer: Any, module: Any, batch: Any, batch_idx: int) -> None:
        if batch_idx == 0 or batch_idx % STEPS:  # the first step is slower
            return
        trained = None if self._begun is None else self.clock() - self._begun
        begin = self.clock()
        for _ in range(STEPS):
            self.step()
        if trained is not None:
            self.rounds.append((trained / STEPS, (self.clock() - begin) / STEPS))
        self._begun = self.clock()


def main() -> None:
    """Measures, and prints."""
    register()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        options = [*DEFAULTS, *sys.argv[1:], f"data.root={folder}/shards", f"paths.run={folder}/run"]
        with initialize_config_dir(str(Path("conf").resolve()), version_base="1.3"):
            config = resolve(compose("train", options))
        photos = (ROUNDS + 2) * STEPS * config["data"]["batch_size"]
        (folder / "photos").mkdir()
        listed = save_photos(folder / "photos", (474, 392), round(photos / 0.8))
        prepare(Plan(listed, Recipe(size=256, quality=95, photos_per_shard=1000, val_share=0.1)), folder / "shards", 0)
        seed_everything(config["seed"], workers=True, verbose=False)
        trainer, module, data = build(config, Start())
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        in_series = device.type == "cpu" and config["data"]["num_workers"] == 0
        interruptions = Interruptions(Step(config, data, device), time.process_time if in_series else time.perf_counter)
        trainer.callbacks.append(interruptions)  # type: ignore[attr-defined]
        trainer.fit(module, data)
    batch, size = config["data"]["batch_size"], config["data"]["size"]
    trained, alone = (statistics.median(seconds) for seconds in zip(*interruptions.rounds, strict=True))
    print(f"pictures of {size} px a second: trainer {batch / trained:.1f}, one batch in memory {batch / alone:.1f}")
    print("ratio of each round: " + " ".join(f"{second / first:.2f}" for first, second in interruptions.rounds))
    print(f"ratio {alone / trained:.2f}, {config['trainer']['precision']}, torch {torch.__version__}")


if __name__ == "__main__":
    main()
