"""evaluate.py, predict.py and the Python class behind it."""

import csv
import json
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
from tests.conftest import RunScript, make_photo

Fails = Callable[..., str]


def test_evaluate_s_mistakes(trained: Path, tmp_path: Path, photos: Path, fails: Fails) -> None:
    good = [f"checkpoint={trained}/checkpoints/best.ckpt", "trainer=cpu", f"hydra.run.dir={tmp_path}/e"]
    learned = trained.parent / "photos"
    for arguments, part in (
        ([*good, "data=folder", f"data.root={photos}", "split=vall"], "did you mean val"),
        ([*good, "data=folder", f"data.root={learned}/nested", "data.val_share=0.4"], "overlaps with training's"),
        ([*good, "data=folder", f"data.root={learned}", "data.val_share=0.5"], "is not training's 0.4"),
        ([*good, "data=folder", f"data.root={tmp_path}/nowhere"], "does not exist"),
        ([*good, "data=sample", "panel_pictures=0"], "panel_pictures=0"),
        (["data=sample"], "checkpoint is missing"),
        ([f"checkpoint={tmp_path}"], "is a folder"),
    ):
        assert part in fails("evaluate", *arguments)
    assert not (tmp_path / "e" / "metrics.json").exists()


def test_evaluate(trained: Path, tmp_path: Path, photos: Path, run_script: RunScript) -> None:
    checkpoint = trained / "checkpoints" / "best.ckpt"
    arguments = [f"checkpoint={checkpoint}", "data=folder", f"data.root={photos}", "data.num_workers=0", "trainer=cpu"]
    run_script("evaluate", *arguments, f"hydra.run.dir={tmp_path}/e")
    summary = json.loads((tmp_path / "e" / "metrics.json").read_text())
    with (tmp_path / "e" / "pictures.csv").open() as file:
        pictures = list(csv.DictReader(file))
    # Not the folder that it learned from: all of them count.
    assert summary["split"] == "all"
    assert summary["pictures"] == len(pictures) == 6
    assert summary["size"] == 32
    for key in ("psnr", "gray_psnr", "ssim", "gray_ssim", "colorfulness", "colorfulness_difference"):
        mean = np.mean([float(row[key]) for row in pictures])
        assert summary["metrics"][key] == pytest.approx(mean, rel=1e-4)
    assert (tmp_path / "e" / "panel.png").exists()


def test_evaluate_keeps_to_held_out_photos_of_the_training_folder(
    trained: Path, tmp_path: Path, run_script: RunScript
) -> None:
    checkpoint = trained / "checkpoints" / "best.ckpt"
    arguments = [f"checkpoint={checkpoint}", "data=folder", f"data.root={trained.parent}/photos", "trainer=cpu"]
    run_script("evaluate", *arguments, "data.val_share=0.4", "data.num_workers=0", f"hydra.run.dir={tmp_path}/e")
    summary = json.loads((tmp_path / "e" / "metrics.json").read_text())
    assert summary["split"] == "val"
    assert summary["pictures"] < 8


def test_predict_a_folder(trained: Path, tmp_path: Path, photos: Path, run_script: RunScript) -> None:
    make_photo(31, 77).convert("L").save(photos / "IMG (1), final=2.jpg")
    run_script("predict", f"checkpoint={trained}/checkpoints/best.ckpt", f"input={photos}", f"output={tmp_path}/out")
    originals = {path.relative_to(photos) for path in photos.rglob("*.*")}
    colored = {path.relative_to(tmp_path / "out") for path in (tmp_path / "out").rglob("*.*")}
    assert originals == colored
    for name in originals:
        with Image.open(photos / name) as before, Image.open(tmp_path / "out" / name) as after:
            assert before.size == after.size


def test_predict_goes_on_after_a_broken_picture_and_exits_with_1(
    trained: Path, tmp_path: Path, photos: Path, run_script: RunScript, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "a broken one.jpg").write_text("not a picture")
    arguments = [f"checkpoint={trained}/checkpoints/best.ckpt", f"input={photos}", f"output={tmp_path}/out"]
    with pytest.raises(SystemExit) as stop:
        run_script("predict", *arguments)
    assert stop.value.code == 1
    assert len(list((tmp_path / "out").rglob("*.png"))) == 6
    assert "failed: " in capsys.readouterr().out


def test_predict_leaves_what_is_there(trained: Path, tmp_path: Path, photos: Path, run_script: RunScript) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "photo 0.png").write_text("mine")
    arguments = [f"checkpoint={trained}/checkpoints/best.ckpt", f"input={photos}", f"output={tmp_path}/out"]
    run_script("predict", *arguments)
    assert (tmp_path / "out" / "photo 0.png").read_text() == "mine"
    run_script("predict", *arguments, "overwrite=true")
    assert Image.open(tmp_path / "out" / "photo 0.png").size == (48, 40)


def test_predict_into_a_folder_within_the_input(
    trained: Path, photos: Path, run_script: RunScript, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        arguments = [f"checkpoint={trained}/checkpoints/best.ckpt", f"input={photos}", f"output={photos}/colorized"]
        run_script("predict", *arguments)
    assert not (photos / "colorized" / "colorized").exists()
    assert len(list((photos / "colorized").rglob("*.png"))) == 6


def test_predict_s_mistakes(trained: Path, tmp_path: Path, photos: Path, fails: Fails) -> None:
    good = f"checkpoint={trained}/checkpoints/best.ckpt"
    (tmp_path / "nothing").mkdir()
    for arguments, part in (
        ([good, "input=nowhere"], "input=nowhere does not exist"),
        ([good, f"input={tmp_path}/nothing"], "holds no pictures"),
        ([good, f"input={photos}", f"output={photos}"], "would overwrite the input"),
        ([good, f"input={photos}", "device=cuda:77"], "device=cuda:77"),
        ([good, f"input={photos}", "resolution=1"], "resolution=1"),
        ([good, f"input={photos}", "outptu=here"], "did you mean output?"),
        ([f"input={photos}"], "checkpoint is missing"),
        (["checkpoint=nowhere.ckpt", f"input={photos}"], "there is no such file"),
    ):
        assert part in fails("predict", *arguments)
    assert not (tmp_path / "colorized").exists()


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA", "P", "1", "CMYK", "I;16"])
def test_colorizer_takes_any_mode_and_keeps_the_size(trained: Path, mode: str) -> None:
    colorizer = Colorizer.from_checkpoint(trained / "checkpoints" / "best.ckpt", device="cpu")
    photo = make_photo(57, 33)
    photo = Image.new("I;16", photo.size, 30000) if mode == "I;16" else photo.convert(mode)
    colored = colorizer(photo)
    assert colored.size == (57, 33)
    assert colored.mode == ("RGBA" if mode == "RGBA" else "RGB")


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
