"""What a notebook shows of a run."""

import base64
import io
import sys
from pathlib import Path
from typing import Any

import IPython.display
import numpy as np
import pytest
from PIL import Image

from colorization.errors import ConfigError
from colorization.training.liveview import LiveView
from tests.helpers.runs import TINY, rows, train_in


class Shown:
    """Stands in for an output of a cell: what was shown in it, in order."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.data = [data]

    def update(self, data: dict[str, Any], raw: bool) -> None:
        assert raw
        self.data.append(data)


@pytest.fixture
def outputs(monkeypatch: pytest.MonkeyPatch) -> list[Shown]:
    """The outputs of the cell."""
    shown: list[Shown] = []

    def display(data: dict[str, Any], raw: bool, display_id: bool) -> Shown:
        assert raw
        assert display_id
        shown.append(Shown(data))
        return shown[-1]

    monkeypatch.setattr(IPython.display, "display", display)
    return shown


def test_one_line_and_one_picture_are_updated(tmp_path: Path, photos: Path, outputs: list[Shown]) -> None:
    train_in(tmp_path / "run", photos, *TINY, "callbacks=[default,notebook]", "trainer.max_epochs=3", "logger=csv")
    line, picture = outputs
    scored = [row for row in rows(tmp_path / "run") if row["val/psnr"]]
    assert len(picture.data) == len(scored) == 3
    last = scored[-1]
    assert line.data[0]["text/plain"].startswith("epoch 1 of 3, step 0, ")
    assert line.data[-1]["text/plain"].startswith(f"epoch 3 of 3, step {int(last['step']) + 1}, ")
    means = f"PSNR {float(last['val/psnr']):.2f} dB, all gray {float(last['val/gray_psnr']):.2f} dB"
    assert line.data[-1]["text/plain"].endswith(means)
    drawn = [Image.open(io.BytesIO(base64.b64decode(each["image/jpeg"]))).convert("RGB") for each in picture.data]
    assert drawn[0].tobytes() != drawn[-1].tobytes()
    panel = Image.open(sorted((tmp_path / "run" / "panels").glob("*.png"))[-1]).convert("RGB")
    panel.thumbnail((drawn[-1].width, 9999))
    below = drawn[-1].crop((0, drawn[-1].height - panel.height, drawn[-1].width, drawn[-1].height))
    left = (below.width - panel.width) // 2
    difference = np.asarray(below.crop((left, 0, left + panel.width, panel.height)), float) - np.asarray(panel, float)
    assert np.abs(difference).mean() < 8  # JPEG


def test_it_takes_the_place_of_the_progress_bar(compose_config: Any) -> None:
    callbacks = compose_config("callbacks=[default,notebook]")["callbacks"]
    assert callbacks["progress_bar"]["_target_"] == "colorization.training.liveview.LiveView"
    assert sum("ProgressBar" in node["_target_"] for node in callbacks.values()) == 0


@pytest.mark.parametrize("missing", ["IPython", "matplotlib"])
def test_a_missing_package_is_named(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == missing]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(ConfigError, match=rf"needs the package {missing}.*notebook"):
        LiveView("panels")
