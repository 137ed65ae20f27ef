"""Commands from Python: `with_options` and `composed`."""

import signal
import sys
from pathlib import Path

import pytest
import yaml

from colorization.commands.main import export, predict, train
from colorization.errors import ColorizationError
from tests.helpers.photos import make_folder
from tests.helpers.runs import SMALL, TINY

MISTAKES = [
    (["backbone=vgg99"], r"^backbone=vgg99 does not exist"),
    (["sed=3"], r"^sed is not an option; did you mean seed\?"),
    (["--batch-size", "4"], r"^--batch-size: options have no dashes, write data\.batch_size=4$"),
    (["data=folder"], r"^data\.root is missing"),
]


def test_a_run_from_python_is_that_of_the_command_line(tmp_path: Path) -> None:
    photos = make_folder(tmp_path / "photos, and a comma")
    run, argv, hook = tmp_path / "run", list(sys.argv), sys.excepthook
    options = [*SMALL, *TINY, "data=folder", f"data.root={photos}", "data.val_share=0.4"]
    train.with_options(*options, f"hydra.run.dir={run}")
    assert (run / "checkpoints" / "best.ckpt").is_file()
    assert yaml.safe_load((run / "config.yaml").read_text())["data"]["root"] == str(photos)
    assert (sys.argv, sys.excepthook) == (argv, hook)
    export.with_options(str(run / "checkpoints" / "best.ckpt"), str(tmp_path / "small.safetensors"))
    assert (tmp_path / "small.safetensors").is_file()


def test_a_multirun_from_python(tmp_path: Path, photos: Path) -> None:
    options = [*SMALL, *TINY, "data=folder", f"data.root={photos}", "data.val_share=0.4"]
    train.with_options("-m", *options, "seed=1,2", f"hydra.sweep.dir={tmp_path}/sweep")
    assert (tmp_path / "sweep" / "contact_sheet.png").is_file()


@pytest.mark.parametrize(("words", "message"), MISTAKES)
def test_a_mistake_is_an_exception(words: list[str], message: str, tmp_path: Path) -> None:
    argv = list(sys.argv)
    with pytest.raises(ColorizationError, match=message):
        train.with_options(*words, f"hydra.run.dir={tmp_path}/run")
    with pytest.raises(ColorizationError, match=message):
        train.composed(*words)
    assert sys.argv == argv
    assert list(tmp_path.iterdir()) == []


def test_pictures_that_fail_are_an_exception(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("not a picture")
    with pytest.raises(ColorizationError, match="some files failed"):
        predict.with_options(f"{tmp_path}/text.jpg", f"output={tmp_path}/out", "device=cpu")


def test_ctrl_c_stays_ctrl_c(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def interrupted(*_: object) -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("colorization.commands.train.run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train.with_options("data=sample", f"hydra.run.dir={tmp_path}/run")


def test_a_composed_configuration_is_resolved(tmp_path: Path) -> None:
    config = train.composed("backbone=resnet18", "backbone.pretrained=false", "data.size=48", "callbacks=[default]")
    assert config["backbone"] == {
        "_target_": "colorization.backbones.TorchvisionBackbone", "name": "resnet18", "pretrained": False,
        "weights": None, "frozen": False,
    }  # fmt: skip
    assert config["monitor_mode"] == "min"
    assert config["data"]["size"] == 48
    assert list(tmp_path.iterdir()) == []
