"""How long a folder of very many photos takes to list, and how much memory: `python -m benchmarks.listing 1000000`.

The folder is made of hard links to a few photos, in a temporary folder (or below --folder), and removed afterwards. A
process of its own lists and splits the photos, as training does, and goes through batches of an epoch with loader
processes. Memory is given as RSS, PSS (what is shared by n processes counts as an n-th) and USS (what no other has).
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.predict import make_photo

# More links than a file may have on ext4 (65,000) are shared out to several photos.
_LINKS = 50_000
_IN_A_FOLDER = 1000

# Runs in a process of its own, whose memory nothing else has touched.
MEASURE = """
import multiprocessing, sys, time
from pathlib import Path

import numpy as np

from colorization.data.folder import FolderDataModule

def memory(pid):
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in lines}
    unique = kilobytes["Private_Clean"] + kilobytes["Private_Dirty"]
    return f"RSS {kilobytes['Rss'] >> 10}, PSS {kilobytes['Pss'] >> 10}, USS {unique >> 10} MB"

def show(when, pids=()):
    print(f"{when}: main process {memory('self')}", flush=True)
    for number, pid in enumerate(pids):
        print(f"  loader process {number}: {memory(pid)}", flush=True)

folder, workers, batches = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
data = FolderDataModule(folder, size=16, batch_size=32, num_workers=workers)
show("at the start")
start, start_cpu = time.perf_counter(), time.process_time()
total = len(data.photos("all"))
data.setup("fit")
took, took_cpu = time.perf_counter() - start, time.process_time() - start_cpu
print(f"{total} photos: listed and split in {took:.1f} s, {took_cpu:.1f} s of them computing")
show("listed and split")
loader = data.train_dataloader()
for number, batch in enumerate(loader):
    pids = [process.pid for process in multiprocessing.active_children()]
    if number == 20:
        begun = time.perf_counter()
        show("after 20 batches", pids)
    if number == batches or number == len(loader) - 1:
        break
print(f"{(number - 20) * 32 / (time.perf_counter() - begun):.0f} photos a second")
show(f"after {number} of {len(loader)} batches", pids)
"""


def make_folder(folder: Path, photos: int) -> None:
    """Hard links to photos of 39 x 26 px, a thousand in a folder."""
    originals = [folder / f"original-{number}.jpg" for number in range(-(-photos // _LINKS))]
    for original in originals:
        make_photo(0.001).save(original, quality=90)
    for number in range(photos):
        name = folder / "photos" / f"{number // _IN_A_FOLDER // 100:03d}" / f"{number // _IN_A_FOLDER:05d}"
        if number % _IN_A_FOLDER == 0:
            name.mkdir(parents=True)
        os.link(originals[number // _LINKS], name / f"a photo with a name {number:08d}.jpg")


def main() -> None:
    """Measures one folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=int)
    parser.add_argument("--folder", default=None, help="where the photos are made, on a disk that has hard links")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batches", type=int, default=2000, help="of 32 photos; fewer than an epoch has, for speed")
    options = parser.parse_args()
    if options.photos < 1000 or options.workers < 1:
        parser.error("it takes 1000 photos and a loader process at least")
    folder = Path(tempfile.mkdtemp(dir=options.folder))
    try:
        make_folder(folder, options.photos)
        arguments = [str(folder / "photos"), str(options.workers), str(options.batches)]
        subprocess.run([sys.executable, "-c", MEASURE, *arguments], check=True)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
