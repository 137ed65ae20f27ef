"""What a step of training costs, and what its photos cost: `python -m benchmarks.training KEY=VALUE ...`.

Takes the options of `train.py` and measures, on one device, what a plan for many is made of (see docs/scaling.md):

- photos a loader process hands over in a second, without training, and the time of a step without loading: medians of
  several rounds, which alternate, so that whatever else the machine does falls on both;
- the operations of a step, as PyTorch counts them;
- the bytes of gradients that the processes of a step exchange: 4 for each weight that is trained.
"""

import os
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from pytorch_lightning import seed_everything
from torch.utils.flop_counter import FlopCounterMode

from colorization.checkpoints.network import build_network, without_download
from colorization.config.instantiate import instantiate, resolve
from colorization.config.resolvers import register
from colorization.data.datamodule import PhotoDataModule

ROUNDS, STEPS = 5, 4
DTYPES = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}


def photos_a_second(data: PhotoDataModule) -> Iterator[float]:
    """Photos that one loader process hands over in a second; a number for each round of `STEPS` batches."""
    while True:
        batches = iter(data.train_dataloader())
        next(batches)  # the process has started, and the first batches are waiting
        for _ in range(2):
            next(batches)
        begin = time.perf_counter()
        try:
            photos = sum(len(next(batches)["name"]) for _ in range(STEPS))
        except StopIteration:
            sys.exit("Error: data has too few photos for a measurement: give more, or a smaller data.batch_size")
        yield photos / (time.perf_counter() - begin)


class Step:
    """A training step on one batch that stays on the device."""

    def __init__(self, config: dict[str, Any], data: PhotoDataModule, device: torch.device) -> None:
        network, objective = build_network(without_download(config))
        self.network, self.objective = network.to(device).train(), objective.to(device).train()
        weights = [p for module in (network, objective) for p in module.parameters() if p.requires_grad]
        self.weights = sum(weight.numel() for weight in weights)
        self.optimizer = instantiate(config["optimizer"], "optimizer")(weights)
        batch = data.on_before_batch_transfer(next(iter(data.train_dataloader())), 0)
        batch["rgb"] = batch["rgb"].to(device)
        self.batch = data.on_after_batch_transfer(batch, 0)
        self.autocast = torch.autocast(
            device.type, DTYPES.get(config["trainer"]["precision"]), config["trainer"]["precision"] in DTYPES
        )
        self.device = device

    def __call__(self) -> None:
        with self.autocast:
            prediction = self.network(self.batch["lightness"] / 50 - 1)
            loss = self.objective.loss(prediction, self.batch["ab"], self.batch["lightness"])["loss"]
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

    def seconds(self) -> float:
        """Of a step, the mean of `STEPS`."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        begin = time.perf_counter()
        for _ in range(STEPS):
            self()
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return (time.perf_counter() - begin) / STEPS

    def operations(self) -> int:
        """Floating-point operations of a step; a multiplication with its addition counts as two."""
        with FlopCounterMode(display=False) as counter:
            self()
        return int(counter.get_total_flops())


def main() -> None:
    register()
    with initialize_config_dir(str(Path("conf").resolve()), version_base="1.3"):
        composed = compose("train", [*sys.argv[1:], "paths.run=outputs/benchmark", "data.num_workers=1"])
    config = resolve(composed)
    seed_everything(config["seed"], verbose=False)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    data: PhotoDataModule = instantiate(config["data"], "data")
    data.prepare_data()
    data.setup("fit")
    step = Step(config, data, device)
    operations = step.operations()
    loading = photos_a_second(data)
    rounds = [(next(loading), step.seconds()) for _ in range(ROUNDS)]
    photos, seconds = (statistics.median(values) for values in zip(*rounds, strict=True))
    batch, size = config["data"]["batch_size"], config["data"]["size"]
    name = torch.cuda.get_device_name() if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    print(f"device                   {name}, {config['trainer']['precision']}, torch {torch.__version__}")
    print(f"photos                   {batch} of {size} x {size} px a step")
    print(f"loading                  {photos:.0f} photos/s a loader process ({os.cpu_count()} cores here)")
    print(f"step without loading     {1000 * seconds:.0f} ms, {batch / seconds:.1f} photos/s")
    print(f"rounds                   {'; '.join(f'{p:.0f} photos/s, {1000 * s:.0f} ms' for p, s in rounds)}")
    print(f"operations               {operations / 1e9:.1f} GFLOP a step, {operations / seconds / 1e12:.3f} TFLOP/s")
    print(f"gradients                {4 * step.weights / 2**20:.1f} MiB a step ({step.weights:,} weights are trained)")
    if device.type == "cuda":
        print(f"memory                   {torch.cuda.max_memory_allocated() / 2**30:.2f} GiB at the peak")


if __name__ == "__main__":
    main()
