"""The model that comes with the package."""

from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

from colorization import Colorizer
from colorization.checkpoints.network import ENTRY, read_checkpoint
from colorization.checkpoints.shipped import DEFAULT_MODEL
from colorization.errors import ConfigError
from tests.helpers.runs import RunScript

CAT = Image.fromarray(skimage.data.chelsea()).resize((225, 150))


def chroma(picture: Image.Image) -> float:
    """The mean distance between a pixel's channels."""
    return float(np.ptp(np.asarray(picture).astype(float), axis=2).mean())


def test_it_colours_offline_and_vividness_makes_it_more_colourful(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("no network here")

    monkeypatch.setattr("socket.socket.connect", refuse)
    gray = CAT.convert("L")
    safe, between, vivid = (chroma(Colorizer.default("cpu", vividness=value)(gray)) for value in (0.0, 0.5, 1.0))
    assert 1 < safe < between < vivid
    assert chroma(Colorizer.default("cpu")(gray)) == pytest.approx(between, abs=(vivid - safe) / 2)


def test_vividness_out_of_range() -> None:
    with pytest.raises(ConfigError, match=r"vividness=2 is out of range: give a number from 0"):
        Colorizer.default("cpu", vividness=2)


def test_predict_needs_no_checkpoint(tmp_path: Path, run_script: RunScript) -> None:
    CAT.convert("L").save(tmp_path / "cat.png")
    run_script("predict", str(tmp_path / "cat.png"), f"output={tmp_path / 'out'}", "device=cpu", "vividness=1")
    colored = Image.open(tmp_path / "out" / "cat.png")
    assert colored.size == CAT.size
    assert chroma(colored.convert("RGB")) > 1


def test_the_file_is_small_and_names_no_place() -> None:
    assert DEFAULT_MODEL.stat().st_size <= 25_000_000
    config = read_checkpoint(DEFAULT_MODEL)[ENTRY]["config"] | {"monitor": None}  # val/loss
    assert "/" not in str(config)
