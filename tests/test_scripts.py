"""The Python class behind predict.py."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import train
from colorization import Colorizer
from colorization.errors import ConfigError
from tests.conftest import make_photo

Fails = Callable[..., str]


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "1", "CMYK", "I;16"])
def test_colorizer_takes_any_mode_and_keeps_the_size(trained: Path, mode: str) -> None:
    colorizer = Colorizer.from_checkpoint(trained / "checkpoints" / "best.ckpt", device="cpu")
    photo = make_photo(57, 33)
    photo = Image.new("I;16", photo.size, 30000) if mode == "I;16" else photo.convert(mode)
    colored = colorizer(photo)
    assert colored.size == (57, 33)
    assert colored.mode == "RGB"


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (300, 1), (33, 57)])
def test_colorizer_takes_any_size(trained: Path, size: tuple[int, int]) -> None:
    colorizer = Colorizer.from_checkpoint(trained / "checkpoints" / "best.ckpt", device="cpu")
    assert colorizer(np.zeros(size, np.uint8)).shape == (*size, 3)


def test_colorizer_looks_at_lightness_alone_and_keeps_it(trained: Path) -> None:
    from colorization.color import rgb_to_lab, to_float

    colorizer = Colorizer.from_checkpoint(trained / "checkpoints" / "best.ckpt", device="cpu")
    levels = np.linspace(60, 190, 64 * 48).reshape(48, 64).astype(np.uint8)
    colored = colorizer(levels)
    before, after = (
        rgb_to_lab(to_float(torch.from_numpy(picture.copy()).permute(2, 0, 1)))[0]
        for picture in (np.stack([levels] * 3, axis=-1), colored)
    )
    assert float((before - after).abs().max()) < 0.6  # rounding to 8 bits


def test_inference_imports_neither_lightning_nor_wandb() -> None:
    code = (
        "import sys, colorization; print([m for m in ('pytorch_lightning', 'lightning', 'wandb') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(train.__file__).parent
    )
    assert done.stdout.strip() == "[]"


def test_unknown_device_is_an_error() -> None:
    from colorization.inference import find_device

    with pytest.raises(ConfigError, match="device=gpu7"):
        find_device("gpu7")
