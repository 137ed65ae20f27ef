"""How time and memory grow with the number of photos: `python -m benchmarks.growth [100 1000 10000]`.

Trains a small network for an epoch on so many JPEGs of 39 x 26 px, evaluates it on all of them, and colours all of
them, each in a process of its own without loader processes. Prints its processor time, the time of each further photo
beside the number before, and the peak of its memory (RSS). Both stay flat if nothing grows with the number of photos.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.listing import make_folder

_NETWORK = ["backbone=resnet18", "backbone.pretrained=false", "decoder.width=32", "data.size=32", "data.batch_size=32"]


def commands(photos: Path, folder: Path) -> dict[str, list[str]]:
    """The three commands on a folder of photos; the last two take the first one's checkpoint."""
    data, checkpoint = f"data=folder data.root={photos} data.num_workers=0".split(), f"checkpoint={folder}/best.ckpt"
    network = [*_NETWORK, "trainer.max_epochs=1", "logger=csv", f"callbacks.checkpoint.dirpath={folder}"]
    return {
        "training": ["train.py", *data, *network, f"hydra.run.dir={folder}/train"],
        "evaluating": ["evaluate.py", checkpoint, *data, "split=all", f"hydra.run.dir={folder}/evaluate"],
        "predicting": ["predict.py", str(photos), checkpoint, f"output={folder}/colored"],
    }


def measured(command: list[str], log: Path) -> tuple[float, float]:
    """Processor time in seconds and peak of memory in MB of a command, whose output goes to a file."""
    with log.open("wb") as file:
        process = subprocess.Popen([sys.executable, *command], stdout=file, stderr=file)
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"Error: {' '.join(command)} failed:\n{log.read_text()}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main() -> None:
    """Measures, and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="*", type=int, default=[100, 1000, 10000], help="ascending numbers")
    options = parser.parse_args()
    before: dict[str, tuple[int, float]] = {}
    for photos in options.photos:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            make_folder(folder, photos)
            for what, command in commands(folder / "photos", folder).items():
                seconds, memory = measured(command, folder / "log")
                fewer, then = before.get(what, (0, 0.0))
                further = f", {(seconds - then) / (photos - fewer) * 1e3:.2f} ms a further photo" if fewer else ""
                print(f"{what} {photos} photos: {seconds:.1f} s{further}, peak {memory:.0f} MB", flush=True)
                before[what] = photos, seconds


if __name__ == "__main__":
    main()
