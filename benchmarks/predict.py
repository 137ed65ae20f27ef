"""How long a large picture takes, and how much memory: `python -m benchmarks.predict best.ckpt 1 12 100`.

Each size, in megapixels, is a process of its own. It loads the network, colours a small picture once, then reads,
colours and writes a JPEG; what is printed is the peak of resident memory above what it had before that JPEG.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

# Runs in a process of its own, whose peak is that of one picture.
MEASURE = """
import sys, time
from pathlib import Path
from colorization.inference.colorizer import Colorizer
from colorization.imagefiles import read_picture, save_picture

def memory(name):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))

checkpoint, source, target, device = sys.argv[1:]
colorizer = Colorizer.from_checkpoint(checkpoint, device)
small = read_picture(Path(source).with_name("small.jpg"))
colorizer.color(small)
before = memory("VmRSS")
Path("/proc/self/clear_refs").write_text("5")  # forgets the peak so far
start = time.perf_counter()
picture = read_picture(Path(source))
read = time.perf_counter()
peak_read = memory("VmHWM")
colored = colorizer.color(picture)
painted = time.perf_counter()
peak_painted = memory("VmHWM")
save_picture(colored, Path(target))
end = time.perf_counter()
print(f"before {before:.0f} MB, read {read - start:.1f} s, +{peak_read - before:.0f} MB, coloured "
      f"{painted - read:.1f} s, +{peak_painted - before:.0f} MB, written {end - painted:.1f} s, "
      f"+{memory('VmHWM') - before:.0f} MB")
print(memory("VmHWM") - before, end - start)
"""


def make_photo(megapixels: float) -> Image.Image:
    """A picture of blobs with grain, 3:2."""
    height = round((megapixels * 1e6 / 1.5) ** 0.5)
    width = round(1.5 * height)
    generator = np.random.default_rng(0)
    blobs = Image.fromarray(generator.integers(0, 256, (40, 60, 3), dtype=np.uint8))
    photo = np.array(blobs.resize((width, height), Image.Resampling.BICUBIC))
    for row in photo:
        row[...] = np.clip(row + generator.normal(0, 4, row.shape), 0, 255)
    return Image.fromarray(photo)


def main() -> None:
    """Measures every size and both kinds of pictures, colour and gray."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoint")
    parser.add_argument("megapixels", type=float, nargs="+")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        make_photo(0.05).save(Path(folder, "small.jpg"))
        for megapixels in options.megapixels:
            for mode in ("RGB", "L"):
                source = Path(folder, "large.jpg")
                photo = make_photo(megapixels).convert(mode)
                decoded = photo.width * photo.height * 3 / 2**20
                photo.save(source, quality=90)
                del photo
                command = [sys.executable, "-c", MEASURE, options.checkpoint, str(source), f"{folder}/out.jpg"]
                output = subprocess.run([*command, options.device], check=True, capture_output=True, text=True).stdout
                *details, totals = output.splitlines()
                peak, seconds = (float(number) for number in totals.split())
                print(
                    f"{megapixels:g} megapixels {mode}: {seconds:.1f} s, {peak:.0f} MB above the loaded model, ", end=""
                )
                print(f"{peak / decoded:.2f} times its {decoded:.0f} MB of RGB")
                print("   ", *details)


if __name__ == "__main__":
    main()
