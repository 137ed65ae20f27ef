"""Choices of training on a CPU, side by side:

    python -m benchmarks.cpu_training [--rounds 4] [--batch 32] [--steps 0] [--threads 1]

ResNet18 and U-Net at 128 px with random weights, AdamW, mean absolute error of ab. Each way trains in turn, and its
fastest step counts, in processor time for one thread. `--steps N` also trains each for N steps on crops of the sample
photos, from the same weights and from those of another seed, and prints the losses beside each other, as means of
tenths of the run.
"""

import argparse
import time
from collections.abc import Callable
from typing import NamedTuple

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from benchmarks.loading import sample_photos
from colorization.backbones import TorchvisionBackbone
from colorization.color import normalize_ab, normalize_lightness, rgb_to_lab
from colorization.data.colored import to_tensor
from colorization.decoders.pyramid import PyramidDecoder
from colorization.decoders.unet import UNetDecoder
from colorization.network import ColorizationNetwork

_SIDE = 128


class Way(NamedTuple):
    """How a network is trained; `stop` is the pyramid decoder's resolution, None for the U-Net."""

    bf16: bool = False
    channels_last: bool = False
    frozen: bool = False
    stop: int | None = None

    def __str__(self) -> str:
        decoder = "U-Net" if self.stop is None else f"pyramid, stop={self.stop}"
        parts = [decoder, "bf16" if self.bf16 else "float32"]
        return ", ".join([*parts, *["channels-last"] * self.channels_last, *["frozen backbone"] * self.frozen])


WAYS = (
    Way(),
    Way(channels_last=True),
    Way(bf16=True),
    Way(bf16=True, channels_last=True),
    Way(channels_last=True, frozen=True),
    Way(bf16=True, channels_last=True, frozen=True),
    *(Way(bf16=True, channels_last=True, stop=stop) for stop in (1, 2, 4)),
)


def trainer(way: Way, seed: int = 0) -> Callable[[Tensor, Tensor], Tensor]:
    """A step of training on lightness and ab as networks see them; it returns the loss."""
    torch.manual_seed(seed)
    backbone = TorchvisionBackbone("resnet18", pretrained=False, frozen=way.frozen)
    shapes = backbone.channels, backbone.reductions, 2
    decoder = UNetDecoder(*shapes) if way.stop is None else PyramidDecoder(*shapes, stop=way.stop)
    layout = torch.channels_last if way.channels_last else torch.contiguous_format
    network = ColorizationNetwork(backbone, decoder).train().to(memory_format=layout)
    optimizer = torch.optim.AdamW([weight for weight in network.parameters() if weight.requires_grad], lr=1e-3)

    def step(lightness: Tensor, ab: Tensor) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, enabled=way.bf16):
            predicted = network(lightness.contiguous(memory_format=layout))
        loss = (predicted.float() - ab).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def batches(count: int, size: int) -> list[tuple[Tensor, Tensor]]:
    """Lightness and ab of random crops of the sample photos."""
    photos = torch.stack([to_tensor(photo) for photo in sample_photos(7, (192, 192))])
    generator = torch.Generator().manual_seed(0)
    made = []
    for _ in range(count):
        chosen = torch.randint(len(photos), (size,), generator=generator).tolist()
        corners = torch.randint(192 - _SIDE, (size, 2), generator=generator).tolist()
        cuts = [
            photos[photo, :, top : top + _SIDE, left : left + _SIDE]
            for photo, (top, left) in zip(chosen, corners, strict=True)
        ]
        lab = rgb_to_lab(torch.stack(cuts))
        made.append((normalize_lightness(lab[:, :1]), normalize_ab(lab[:, 1:])))
    return made


def main() -> None:
    """Measures, and prints tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=4, help="steps that are timed for each way")
    parser.add_argument("--batch", type=int, default=32, help="photos in a step")
    parser.add_argument("--steps", type=int, default=0, help="of training for the curves of the loss")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    clock = time.process_time if options.threads == 1 else time.perf_counter
    (batch,) = batches(1, options.batch)
    steps = {way: trainer(way) for way in WAYS}
    fastest = dict.fromkeys(WAYS, float("inf"))
    for step in steps.values():
        step(*batch)
    for _ in range(options.rounds):
        for way, step in steps.items():
            begin = clock()
            step(*batch)
            fastest[way] = min(fastest[way], clock() - begin)
    table = Table("way", "ms a step", "speed")
    for way, seconds in fastest.items():
        table.add_row(str(way), f"{seconds * 1e3:.0f}", f"{fastest[WAYS[0]] / seconds:.2f}")
    console = Console()
    console.print(table)
    known = torch.cpu.get_capabilities()
    bf16 = [name for name in ("avx512_bf16", "amx_bf16") if known.get(name)]
    instructions = ", ".join(bf16) or "no instructions for bf16"
    console.print(f"{known.get('cpu_name', 'CPU')}, {instructions}, torch {torch.__version__}", highlight=False)
    if options.steps >= 10:
        # The ways whose losses should agree, and another seed for the noise.
        for way, seed in ((Way(), 0), (Way(), 1), (Way(bf16=True, channels_last=True), 0)):
            step = trainer(way, seed)
            losses = torch.stack([step(*one) for one in batches(options.steps, options.batch)])
            means = " ".join(f"{float(part.mean()):.4f}" for part in losses.tensor_split(10))
            console.print(f"{means}  {way}, seed {seed}", highlight=False, soft_wrap=True)


if __name__ == "__main__":
    main()
