"""Speed of colours, loader and predicting beside that of others: `make bench`, or

    python -m benchmarks.speed [NAME ...] [--threads 1] [--seconds 4] [--json outputs/bench.json] [--earlier FILE]

Each benchmark runs ours and the others' ways in turn, for some seconds, and takes the fastest time of each. With one
thread that is processor time, which other work on the machine changes least; with more, it is time on the clock. The
ratio is their time over ours: above 1, ours is faster. `--earlier` (or
`make bench-compare EARLIER=FILE`) sets the ratios beside those of an earlier run. OpenCV takes part where it is
installed.
"""

import argparse
import importlib.metadata
import json
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import skimage
import torch
from PIL import Image
from rich.console import Console
from rich.table import Table

from benchmarks.loading import Runs, cv2, large_photos, loader, sample_photos, shards
from colorization.backbones import TorchvisionBackbone
from colorization.color import lab_to_rgb, rgb_to_lab
from colorization.commands.coloring import color_pictures
from colorization.decoders.unet import UNetDecoder
from colorization.imagefiles import from_pil
from colorization.inference.colorizer import Colorizer
from colorization.inference.jobs import Job
from colorization.inference.provenance import Maker
from colorization.inference.tally import Tally
from colorization.network import ColorizationNetwork, TrainedNetwork, seen_size
from colorization.objectives.regression import Regression

_SIDE = 256


@contextmanager
def color_of_a_picture() -> Iterator[Runs]:
    """RGB to Lab, a picture of 256 x 256 px, from 8-bit levels."""
    pixels = np.random.default_rng(0).integers(0, 256, (_SIDE, _SIDE, 3), dtype=np.uint8)
    tensor = torch.from_numpy(pixels).permute(2, 0, 1).contiguous()
    runs: Runs = {"ours": lambda: rgb_to_lab(tensor), "scikit-image": lambda: skimage.color.rgb2lab(pixels)}
    if cv2 is not None:
        runs["OpenCV"] = lambda: cv2.cvtColor(pixels.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
    yield runs


@contextmanager
def picture_of_colors() -> Iterator[Runs]:
    """Lab to RGB, a picture of 256 x 256 px."""
    lab = skimage.color.rgb2lab(np.random.default_rng(0).integers(0, 256, (_SIDE, _SIDE, 3), dtype=np.uint8))
    single = lab.astype(np.float32)
    tensor = torch.from_numpy(single).permute(2, 0, 1).contiguous()
    runs: Runs = {"ours": lambda: lab_to_rgb(tensor), "scikit-image": lambda: skimage.color.lab2rgb(lab)}
    if cv2 is not None:
        runs["OpenCV"] = lambda: cv2.cvtColor(single, cv2.COLOR_Lab2RGB)
    yield runs


@contextmanager
def one_megapixel() -> Iterator[Runs]:
    """Colouring 1 megapixel, ResNet18 and U-Net at 128 px with random weights."""
    yield colorings(1)


@contextmanager
def twelve_megapixels() -> Iterator[Runs]:
    """Colouring 12 megapixels."""
    yield colorings(12)


@contextmanager
def files() -> Iterator[Runs]:
    """Reading, colouring and writing 24 JPEGs of 1 megapixel."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for index, photo in enumerate(sample_photos(24, (1224, 816))):
            photo.save(folder / f"{index}.jpg", quality=90)
        jobs = [Job(path, folder / "out" / path.name) for path in sorted(folder.glob("*.jpg"))]
        options = {"batch_size": 8, "max_pixels": 10**9, "compare": False, "quality": None}
        model = colorizer()
        seen = torch.zeros(8, 1, *seen_size(816, 1224, model.resolution))

        def ours() -> None:
            tally = Tally(folder / "out")
            for _ in color_pictures(jobs, model, Maker(model, None), options, tally):
                pass
            assert tally.colored == len(jobs)

        def network() -> None:
            for _ in range(len(jobs) // 8):
                through(model, seen)

        def files_alone() -> None:
            for job in jobs:
                Image.open(job.source).save(folder / "copy.jpg", quality=95, subsampling=0)

        yield {"ours": ours, "network alone": network, "Pillow, read and write alone": files_alone}


def colorings(megapixels: int) -> Runs:
    """A picture, and the network alone at the size that it sees it at."""
    picture = from_pil(sample_photos(1, (round(1224 * megapixels**0.5), round(816 * megapixels**0.5)))[0])
    model = colorizer()
    seen = torch.zeros(1, 1, *seen_size(picture.size[1], picture.size[0], model.resolution))
    return {"ours": lambda: model.color(picture), "network alone": lambda: through(model, seen)}


def colorizer() -> Colorizer:
    """What colours are does not matter here: random weights."""
    backbone = TorchvisionBackbone("resnet18", pretrained=False)
    decoder = UNetDecoder(backbone.channels, backbone.reductions, 2)
    return Colorizer(TrainedNetwork(ColorizationNetwork(backbone, decoder), Regression()), 128)


def through(model: Colorizer, lightness: torch.Tensor) -> None:
    """The network and the objective's decoding, nothing else."""
    with torch.inference_mode():
        model.model(lightness)


BENCHMARKS = (
    color_of_a_picture,
    picture_of_colors,
    loader,
    large_photos,
    shards,
    one_megapixel,
    twelve_megapixels,
    files,
)


def measure(runs: Runs, seconds: float, clock: Callable[[], float]) -> dict[str, float]:
    """The fastest time of each way in seconds, all run in turn."""
    fastest = dict.fromkeys(runs, float("inf"))
    for run in runs.values():
        run()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for name, run in runs.items():
            start = clock()
            run()
            fastest[name] = min(fastest[name], clock() - start)
    return fastest


def machine(threads: int) -> dict[str, Any]:
    """What the figures depend on."""
    packages = ("torch", "torchvision", "pillow", "numpy", "scikit-image")
    versions = {name: importlib.metadata.version(name) for name in packages}
    opencv = {} if cv2 is None else {"opencv": cv2.__version__}
    model = next((line for line in cpu_lines() if line.startswith("model name")), platform.processor())
    return {"processor": model.split(":")[-1].strip(), "threads": threads, **versions, **opencv}


def cpu_lines() -> list[str]:
    """What Linux says about the processor."""
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def main() -> None:
    """Runs benchmarks, prints a table and writes JSON."""
    names = [benchmark.__name__ for benchmark in BENCHMARKS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(names)}")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=4, help="for each benchmark")
    parser.add_argument("--json", type=Path, default=Path("outputs/bench.json"))
    parser.add_argument("--earlier", type=Path, help="JSON of an earlier run")
    options = parser.parse_args()
    if unknown := set(options.names) - set(names):
        parser.error(f"there is no benchmark {', '.join(sorted(unknown))}: give some of {', '.join(names)}")
    earlier = json.loads(options.earlier.read_text())["seconds"] if options.earlier else {}
    torch.set_num_threads(options.threads)
    clock = time.process_time if options.threads == 1 else time.perf_counter
    if cv2 is not None:
        cv2.setNumThreads(options.threads)
    torch.manual_seed(0)
    results: dict[str, dict[str, float]] = {}
    table = Table("benchmark", "way", "ms", "its time over ours", *(["earlier"] if earlier else []))
    for benchmark in BENCHMARKS:
        name = benchmark.__name__
        if options.names and name not in options.names:
            continue
        with benchmark() as runs:
            results[name] = times = measure(runs, options.seconds, clock)
        before = earlier.get(name, {})
        for way, fastest in times.items():
            then = [f"{before[way] / before['ours']:.2f}" if way in before else ""] if earlier else []
            table.add_row(
                name if way == "ours" else "", way, f"{fastest * 1e3:.2f}", f"{fastest / times['ours']:.2f}", *then
            )
    about = machine(options.threads)
    console = Console()
    console.print(table)
    console.print(", ".join(f"{key} {value}" for key, value in about.items()), highlight=False)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps({"machine": about, "seconds": results}, indent=2) + "\n")


if __name__ == "__main__":
    main()
