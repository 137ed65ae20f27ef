"""How long refused commands, help and a first picture take beside `import torch`:

    python -m benchmarks.start [REPEATS]

Processor seconds, the fastest of each in turn: other work on the machine changes them least.
"""

import os
import platform
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

from skimage.data import astronaut
from skimage.io import imsave

ROOT = Path(__file__).parent.parent
TORCH = [sys.executable, "-c", "import torch"]
# Of PyTorch, and of the model: without this project's imports, but with its loading and its work.
MODEL = """
import time, torch
imported = time.process_time()
import colorization.inference.colorizer, colorization.backbones.efficientnet_lite
from PIL import Image
begun = time.process_time()
colorization.Colorizer.default("cpu")(Image.open("photo.jpg")).save("plain.jpg")
print(imported + time.process_time() - begun)
"""
HELP = ["predict --help", "train --help", "evaluate --help"]
# Each ends with one sentence and exit code 1. `photos` holds a picture, `empty` none, `trained.ckpt` is missing.
REFUSED = [
    "predict",
    "predict missing.jpg",
    "predict empty",
    "predict missing*.jpg",
    "predict photo.jpg checkpoint=trained.ckpt",
    "predict photo.jpg checkpoint=last",
    "predict photo.jpg adapter=ddcolor",
    "predict photo.jpg adapter=ddcolour",
    "predict photo.jpg device=gpu",
    "predict photo.jpg vividnes=1",
    "predict photo.jpg vividness=high",
    "predict photo.jpg resolution=8",
    "predict photo.jpg quality=101",
    "predict photo.jpg format=gif",
    "predict photo.jpg output=photo.jpg",
    "predict --output new photo.jpg",
    "predict bs=3 photo.jpg",
    "train backbone=vgg61",
    "train backbon=vgg16",
    "train sed=5",
    "train seed=five",
    "train seed=-1",
    "train --batch-size 4",
    "train trainer.epochz=3",
    "train trainer.epochs=3",
    "train +trainer.max_epoch=3",
    "train trainer.max_epochs=three",
    "train trainer.max_epochs=0",
    "train trainer.precision=64",
    "train optimizer.lr=fast",
    "train optimizer.momentum=0.9",
    "train +backbone.freeze=true",
    "train backbone.weights=missing.pth",
    "train data.size=big",
    "train data.batch_size=0",
    "train optimizer.lr=-1",
    "train photos",
    "train data=photos",
    "train data=folder",
    "train data=folder data.root=missing",
    "train data=folder data.root=empty",
    "train monitor=val/pnsr",
    "train callbacks=[default,emma]",
    "train ckpt_path=missing.ckpt",
    "train ckpt_path=last",
    "train init_from=missing.ckpt",
    "train experiment=quickstrat",
    "evaluate",
    "evaluate batch_size=5",
    "evaluate checkpoint=trained.ckpt data=folder data.root=photos",
    "evaluate predictions=[missing] data=folder data.root=photos",
    "evaluate predictions=[photos] data=folder data.root=missing",
    "evaluate predictions=[photos] data=folder data.root=photos metrics=[pnsr]",
    "evaluate predictions=[photos] data=folder data.root=photos protocol=center",
    "audit data=folder data.root=missing",
    "audit data=folder data.root=photos split=tests",
    "prepare missing shards",
    "prepare photos shards size=1",
    "export",
    "export trained.ckpt",
    "export trained.ckpt format=tflite",
    "app prot=80",
    "app port=-1",
]


def make_files(folder: Path) -> None:
    """The files that the commands name."""
    for name in ("photos", "empty"):
        (folder / name).mkdir()
    for name in ("photo.jpg", "photos/photo.jpg"):
        imsave(folder / name, astronaut())


def words(command: str) -> list[str]:
    """The command line of a command."""
    return [sys.executable, "-m", "colorization", *command.split()]


def seconds(command: list[str], folder: Path) -> tuple[float, int, str]:
    """The processor seconds of a process, its exit code and its output."""
    before = os.times()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    after = os.times()
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return used, done.returncode, done.stdout if done.returncode == 0 else done.stderr


def main() -> None:
    """Measures, and prints a table."""
    repeats = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    commands = {command: words(command) for command in [*HELP, *REFUSED]}
    commands["predict photo.jpg"] = [*words("predict photo.jpg"), "device=cpu", "overwrite=true"]
    fastest: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_files(folder)
        for _ in range(repeats):
            for command, line in {"import torch": TORCH, "the model": [*TORCH[:2], MODEL], **commands}.items():
                used, code, output = seconds(line, folder)
                if code != (command in REFUSED):
                    sys.exit(f"{command} ended with {code}: {output}")
                used = float(output) if command == "the model" else used
                fastest[command] = min(fastest.get(command, used), used)
    print(f"{platform.machine()}, Python {platform.python_version()}, torch {version('torch')}, fastest of {repeats}")
    print("\n| processor time of one core | s | of `import torch` |\n|---|---|---|")
    for command, used in sorted(fastest.items(), key=lambda item: item[1]):
        print(f"| `{command}` | {used:.2f} | {used / fastest['import torch']:.2f} |")
    print(
        f"\na first picture beside `import torch`, the model's loading and work: "
        f"{fastest['predict photo.jpg'] / fastest['the model']:.2f}"
    )
    worst = max(REFUSED, key=lambda command: fastest[command])
    print(f"{len(REFUSED)} refused commands: at most {fastest[worst] / fastest['import torch']:.2f}, `{worst}`")


if __name__ == "__main__":
    main()
