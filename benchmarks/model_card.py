"""Scores the shipped model and writes its card: `python -m benchmarks.model_card PHOTOS`.

PHOTOS are shards that the model did not learn from. Writes docs/model_card.md, and docs/default_model.jpg: every sample
photo of scikit-image, gray, coloured and true.
"""

import argparse
import json
import platform
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from colorization.checkpoints.network import ENTRY, read_checkpoint
from colorization.checkpoints.shipped import DEFAULT_MODEL
from colorization.data.sample import TRAIN, VAL, SamplePhotos
from colorization.figures.panels import make_titled_grid
from colorization.inference.colorizer import Colorizer

ROOT = Path(__file__).parent.parent
_SIDE = 256

# What no program knows.
ABOUT = """
Colours black-and-white photos without any hint. It comes with the package (`colorization/models/default.safetensors`,
float16), and is what `colorize photo.jpg` and `Colorizer.default()` use.

## What it is

EfficientNet-Lite2 from its ImageNet weights (Apache-2.0, see NOTICE), later stages fine-tuned; a light decoder to a
quarter of the resolution; for each pixel a safe and a vivid colour, between which `vividness` chooses (0 to 1). It sees
a photo at about 192 x 192 pixels, more than the cuts it was trained on, which is [better](recipes.md#resolution);
colours are then upsampled along the edges of the lightness, which stays that of the photo at full resolution.

## How it was trained

In two runs on one busy core of an AMD EPYC (bfloat16), nothing by hand: `python train.py experiment=default
data.root=SHARDS`, 335,264 cuts of 128 px in an hour and a half; then, with the present loss of the vivid colours,
the same with `init_from=` the model of the first, 146,848 cuts in 70 minutes. An early model. The recipe stands in
`conf/experiment/default.yaml`, its choice in [recipes.md](recipes.md). Lightness was degraded in training (grain, blur,
fading, uneven light, scratches, JPEG, halftone, film that is blind to red), because old photos are what people have.

**Data**: 59,860 colour photos of public research and sample sets, the short side 128 px (a quarter of them 64 px): ten
ImageNet classes (Imagenette), natural and street scenes (Intel), Caltech-101, cats and dogs, groceries, clothes and
people wearing them, PACS, weather, a little driving video, and small pictures of 200 ImageNet classes. Their licences
differ (research terms, CC0, CC BY, MIT, some unstated); none of the photos is part of this package.

## Limits

- It guesses. Colours are plausible at best, and no evidence of what a thing really looked like.
- Weak on what the data lacks: indoor rooms, groups of people, prepared food, anything seen through a microscope or a
  telescope. What it does not know stays pale or turns brownish.
- Small things get the colour of what surrounds them, because it sees photos small.
- Skin tones follow the training photos, which do not represent all people equally.

## Licence

MIT, with the notice of the ImageNet weights that it began from (Apache-2.0) in NOTICE.
"""

_LPIPS = "lpips"


@dataclass(frozen=True)
class Scores:
    """What an evaluation found, see docs/evaluation.md."""

    pictures: int
    metrics: dict[str, float]
    intervals: dict[str, tuple[float, float]]

    def row(self, key: str) -> str:
        """Value, and the 95 % interval of the difference to gray."""
        if key not in self.metrics:
            return "not measured"
        digits, shown = _digits(key), _shown(key, self.metrics[key])
        if key not in self.intervals:
            return shown
        low, high = self.intervals[key]
        return f"{shown} ({low:+.{digits}f} .. {high:+.{digits}f})"


def _digits(key: str) -> int:
    return 4 if key in (_LPIPS, "ssim") else 2


def _shown(key: str, value: float) -> str:
    return f"{value:.{_digits(key)}f}"


def evaluate(photos: str, *options: str) -> Scores:
    """Runs evaluate.py on the shipped model."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(ROOT / "evaluate.py"), "checkpoint=default", "data=shards", "split=all"]
        command += [f'data.root="{photos}"', *options, f"hydra.run.dir={folder}"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return read_scores(Path(folder))


def read_scores(folder: Path) -> Scores:
    """The scores in an evaluation's folder."""
    found = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    return Scores(found["pictures"], found["metrics"], found["difference_to_gray_95"])


def draw_grid(colorizer: Colorizer) -> Image.Image:
    """All sample photos: gray, coloured and true."""
    names = [*TRAIN, *VAL]
    photos = SamplePhotos(names)
    rows: list[list[torch.Tensor]] = []
    for index in range(len(names)):
        photo = photos.open(index).convert("RGB")
        photo.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
        pictures = (photo.convert("L").convert("RGB"), colorizer(photo.convert("L")), photo)
        rows.append([torch.from_numpy(np.array(picture)).permute(2, 0, 1) for picture in pictures])
    # One row for each kind, so that the picture is wide rather than long.
    kinds = [list(kind) for kind in zip(*rows, strict=True)]
    return make_titled_grid(kinds, [Path(name).stem for name in names], ["gray", "coloured", "true"])


def card(
    config: dict[str, Any], at: dict[str, Scores], knob: dict[float, Scores], degraded: dict[float, Scores]
) -> str:
    """The card's text.

    Args:
        config: the model's.
        at: scores by protocol, at the default vividness.
        knob: scores at `center256` by vividness.
        degraded: as `knob`, on degraded photos.
    """
    default = config["objective"]["vividness"]
    keys = ["psnr", "ssim", "ciede2000", "lpips", "colorfulness"]
    lines = [
        "# Model card: the default model",
        "",
        "<!-- Written by python -m benchmarks.model_card -->",
        "",
        ABOUT.strip(),
        "",
        "## Scores",
        "",
        f"{knob[default].pictures} photos that it did not learn from, beside the all-gray baseline; in brackets the "
        f"95 % interval of the difference to gray. {platform.system()}, PyTorch {torch.__version__}, float32.",
        "",
        f"By vividness, `protocol=center256` (the default is {default:g}):",
        "",
        *_table(keys, {f"vividness {value:g}": scores for value, scores in knob.items()}),
        "",
        *_section(
            "The same photos with degraded lightness (`data.degrade=old`, fixed seed):",
            keys,
            {f"vividness {value:g}": scores for value, scores in degraded.items()},
        ),
        *_section(f"By protocol, at vividness {default:g} (the column of gray is that of center256):", keys, at),
        "Truth: colourfulness "
        f"{knob[default].metrics['colorfulness_truth']:.1f}. LPIPS is computed with AlexNet, v0.1.",
        "",
        "![Rows: gray, coloured, true](default_model.jpg)",
        "",
        "*All sample photos of scikit-image; none is left out because it failed.*",
    ]
    return "\n".join(lines) + "\n"


def _section(title: str, keys: list[str], columns: dict[str, Scores]) -> list[str]:
    return [title, "", *_table(keys, columns), ""] if columns else []


def _table(keys: list[str], columns: dict[str, Scores]) -> list[str]:
    first = next(iter(columns.values()))
    lines = [f"| | all gray | {' | '.join(columns)} |", "|---|---:|" + "---:|" * len(columns)]
    for key in keys:
        gray = first.metrics.get(f"gray_{key}")
        if gray is None:
            continue
        lines.append(f"| {key} | {_shown(key, gray)} | {' | '.join(scores.row(key) for scores in columns.values())} |")
    return lines


def main() -> None:
    """Scores, draws and writes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.model_card", description=__doc__)
    parser.add_argument("photos", help="shards of photos that the model did not learn from")
    parser.add_argument("--lpips-weights", help="AlexNet's weights, a file; without it LPIPS is left out")
    parser.add_argument("--only-grid", action="store_true", help="draw the sample photos, and score nothing")
    options = parser.parse_args()
    draw_grid(Colorizer.default("cpu")).save(ROOT / "docs" / "default_model.jpg", quality=85)
    if options.only_grid:
        return
    config = read_checkpoint(DEFAULT_MODEL)[ENTRY]["config"]
    default = config["objective"]["vividness"]
    few = ["metrics=[psnr,ssim,ciede2000,colorfulness]"]
    all_metrics = ["metrics=[psnr,ssim,ciede2000,colorfulness,lpips]", f"lpips_weights={options.lpips_weights}"]
    full = all_metrics if options.lpips_weights else few
    knob = {
        value: evaluate(options.photos, "protocol=center256", f"vividness={value}", *full)
        for value in sorted({0.0, 0.5, 1.0, default})
    }
    degraded = {
        value: evaluate(options.photos, "protocol=center256", f"vividness={value}", "data.degrade=old", *few)
        for value in sorted({0.0, default})
    }
    at = {
        protocol: evaluate(options.photos, f"protocol={protocol}", *few)
        for protocol in ("validation", "stretch256", "native")
    }
    text = card(config, {"center256": knob[default], **at}, knob, degraded)
    (ROOT / "docs" / "model_card.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
