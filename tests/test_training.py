"""Training from end to end: runs, learns, resumes, and its checkpoints colour pictures as the network did."""

import csv
import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

import train
from colorization import Colorizer
from colorization.checkpoint import ENTRY, read_checkpoint, rebuild
from colorization.config import instantiate
from colorization.errors import CheckpointError, ConfigError
from colorization.loggers import MetricsFile, WandbRun
from tests.conftest import SMALL, Compose, RunScript, make_folder, make_photo
from tests.test_networks import options

Fails = Callable[..., str]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small run of two epochs on six photos, with warm-up enough to resume in its middle."""
    folder = tmp_path_factory.mktemp("trained")
    make_folder(folder / "photos", 8)
    run(folder / "run", folder / "photos", "trainer.max_epochs=2")
    return folder / "run"


def run(folder: Path, photos: Path, *overrides: str) -> None:
    arguments = [*SMALL, "data=folder", f"data.root={photos}", "data.val_share=0.4", f"hydra.run.dir={folder}"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["train.py", *arguments, *overrides])
        train.main()


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_run_s_folder_holds_everything(trained: Path) -> None:
    config = yaml.safe_load((trained / "config.yaml").read_text())
    assert config["backbone"]["name"] == "resnet18"
    assert "${" not in (trained / "config.yaml").read_text()
    assert sorted(path.name for path in (trained / "checkpoints").iterdir()) == ["best.ckpt", "last.ckpt"]
    assert len(list((trained / "panels").glob("*.png"))) == 2
    assert read_checkpoint(trained / "checkpoints" / "last.ckpt")["epoch"] == 1
    logged = {key for row in rows(trained) for key, value in row.items() if value}
    assert {"train/loss", "val/loss", "val/psnr", "val/gray_psnr", "val/ssim", "val/colorfulness"} <= logged


def test_the_closing_table_shows_gray_and_the_next_command(
    tmp_path: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path / "run", photos)
    printed = capsys.readouterr().out
    for part in (
        "PSNR",
        "SSIM",
        "Colourfulness",
        "all gray",
        "best.ckpt",
        "panels",
        "config.yaml",
        "python predict.py",
    ):
        assert part in printed


def test_checkpoint_is_plain_and_says_what_it_is(trained: Path) -> None:
    checkpoint = torch.load(trained / "checkpoints" / "best.ckpt", weights_only=True)
    entry = checkpoint[ENTRY]
    assert entry["format"] == 1
    assert entry["config"] == yaml.safe_load((trained / "config.yaml").read_text())
    assert type(entry["config"]["backbone"]) is dict
    assert not any("_orig_mod." in key for key in checkpoint["state_dict"])


def test_checkpoint_colors_bit_for_bit_as_the_network_that_wrote_it(
    compose_config: Compose, tmp_path: Path, photos: Path
) -> None:
    """The trainer's own module, kept in memory, against what comes back from its file."""
    from pytorch_lightning import Trainer

    from colorization.checkpoint import build_network
    from colorization.module import ColorizationModule

    overrides = [*SMALL, "data=folder", f"data.root={photos}"]
    config = compose_config(*overrides)
    network, objective = build_network(config)
    module = ColorizationModule(
        network,
        objective,
        config,
        instantiate(config["optimizer"], "optimizer"),
        instantiate(config["scheduler"], "scheduler"),
    )
    trainer = Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False
    )
    trainer.fit(module, instantiate(config["data"], "data"))
    trainer.save_checkpoint(tmp_path / "written.ckpt")
    photo = np.asarray(make_photo(50, 37, seed=9))
    in_memory = Colorizer(network, objective, resolution=32)
    from_file = Colorizer.from_checkpoint(tmp_path / "written.ckpt", device="cpu")
    lightness = torch.rand(1, 1, 37, 50) * 100
    assert torch.equal(in_memory.predict_ab(lightness), from_file.predict_ab(lightness))
    assert np.array_equal(in_memory(photo), from_file(photo))


def test_checkpoint_needs_neither_config_folder_nor_download(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint = torch.load(trained / "checkpoints" / "best.ckpt", weights_only=True)
    checkpoint[ENTRY]["config"]["backbone"] |= {"pretrained": True, "weights": "/nowhere/weights.pth"}
    torch.save(checkpoint, tmp_path / "moved.ckpt")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "empty"))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    assert Colorizer.from_checkpoint(tmp_path / "moved.ckpt", device="cpu")(make_photo()).size == (48, 40)


def test_resuming_continues_epochs_schedule_and_loss(tmp_path: Path, photos: Path) -> None:
    """Four epochs in one go, and the same four with a stop after two: the same steps, learning rates and losses (but
    for the photos' random cuts).
    """
    common = ["scheduler=cosine", "trainer.max_epochs=4", "callbacks.checkpoint.save_top_k=-1"]
    common += ["callbacks.checkpoint.filename='epoch-{epoch}'"]
    run(tmp_path / "whole", photos, *common)
    run(tmp_path / "resumed", photos, *common, f"ckpt_path={tmp_path}/whole/checkpoints/epoch-1.ckpt")
    whole, resumed = (
        torch.load(tmp_path / name / "checkpoints" / "epoch-3.ckpt", weights_only=True) for name in ("whole", "resumed")
    )
    assert resumed["epoch"] == whole["epoch"] == 3
    assert resumed["global_step"] == whole["global_step"]
    assert resumed["lr_schedulers"][0]["last_epoch"] == whole["lr_schedulers"][0]["last_epoch"]
    rates = [[row["lr-AdamW"] for row in rows(tmp_path / name) if row["lr-AdamW"]] for name in ("whole", "resumed")]
    assert rates[1] == rates[0][len(rates[0]) // 2 :]
    losses = [
        [float(row["val/loss"]) for row in rows(tmp_path / name) if row["val/loss"]] for name in ("whole", "resumed")
    ]
    assert losses[1][0] == pytest.approx(losses[0][2], rel=0.5)


def test_last_is_the_newest_checkpoint_also_when_it_is_not_the_best(tmp_path: Path, photos: Path) -> None:
    """A metric that more training makes worse: the first epoch stays the best one."""
    run(tmp_path / "run", photos, "trainer.max_epochs=3", "monitor=val/colorfulness_truth", "monitor_mode=min")
    epochs = {
        name: read_checkpoint(tmp_path / "run" / "checkpoints" / f"{name}.ckpt")["epoch"] for name in ("best", "last")
    }
    assert epochs == {"best": 0, "last": 2}


def test_resume_last_goes_on_in_the_same_folder(tmp_path: Path, photos: Path) -> None:
    run(tmp_path / "out" / "one", photos, "trainer.max_epochs=1")
    before = rows(tmp_path / "out" / "one")
    run(tmp_path / "out" / "one", photos, "trainer.max_epochs=2", "ckpt_path=last")
    after = rows(tmp_path / "out" / "one")
    assert [row["step"] for row in after[: len(before)]] == [row["step"] for row in before]
    assert max(int(row["epoch"]) for row in after if row["epoch"]) == 1
    checkpoint = read_checkpoint(tmp_path / "out" / "one" / "checkpoints" / "last.ckpt")
    assert checkpoint["epoch"] == 1
    # Without a folder of its own, the newest run's.
    run(tmp_path / "out" / "two", photos, "trainer.max_epochs=3", "ckpt_path=last", f"paths.output_dir={tmp_path}/out")
    assert read_checkpoint(tmp_path / "out" / "two" / "checkpoints" / "last.ckpt")["epoch"] == 2


def test_a_longer_run_resumes_on_a_one_cycle_schedule(tmp_path: Path, photos: Path) -> None:
    run(tmp_path / "run", photos, "scheduler=one_cycle", "trainer.max_epochs=1")
    run(tmp_path / "run", photos, "scheduler=one_cycle", "trainer.max_epochs=3", "ckpt_path=last")
    assert read_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt")["epoch"] == 2


def test_resuming_with_another_network_is_refused(trained: Path, fails: Fails, photos: Path, tmp_path: Path) -> None:
    message = fails(
        "train", *SMALL, "decoder.width=64", f"ckpt_path={trained}/checkpoints/last.ckpt", f"hydra.run.dir={tmp_path}/r"
    )
    assert "decoder.width=256, this run has 64" in message


@pytest.mark.parametrize(
    ("override", "part"),
    [
        ("optimizer=sgd", "optimizer._target_=torch.optim.AdamW, this run has torch.optim.SGD"),
        ("scheduler=constant", "scheduler._target_=colorization.schedulers.one_cycle"),
        ("trainer.max_epochs=1", "raise trainer.max_epochs"),
    ],
)
def test_what_a_resumed_run_can_t_change_is_named(
    trained: Path, fails: Fails, tmp_path: Path, override: str, part: str
) -> None:
    photos = ["data=folder", f"data.root={trained.parent}/photos", "data.val_share=0.4"]
    options = [f"ckpt_path={trained}/checkpoints/last.ckpt", f"hydra.run.dir={tmp_path}/r", override]
    assert part in fails("train", *SMALL, *photos, *options)


def test_a_second_run_does_not_overwrite_the_first(trained: Path, fails: Fails) -> None:
    before = (trained / "metrics.csv").read_bytes()
    assert "holds a run already" in fails("train", *SMALL, f"hydra.run.dir={trained}")
    assert (trained / "metrics.csv").read_bytes() == before


def test_a_missing_folder_comes_out_before_weights_are_asked_for(
    fails: Fails, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    options = ["data=folder", f"data.root={tmp_path}/nowhere", f"hydra.run.dir={tmp_path}/r"]
    assert "nowhere does not exist" in fails("train", *options)
    assert not (tmp_path / "r" / "wandb").exists()


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


def test_it_learns_photos_by_heart(tmp_path: Path) -> None:
    """Eight photos, seen often enough, come out at 30 dB or more: gray is far behind."""
    for split in ("train", "val"):
        (tmp_path / "eight" / split).mkdir(parents=True)
        for index in range(8):
            make_photo(40, 40, seed=index).save(tmp_path / "eight" / split / f"{index}.png")
    run(
        tmp_path / "run",
        tmp_path / "eight",
        "data.batch_size=8",
        "data.crop_scale=[1.0,1.0]",
        "trainer.max_epochs=250",
        "trainer.check_val_every_n_epoch=250",
        "optimizer.lr=3e-3",
        "decoder.width=64",
    )
    last = next(row for row in rows(tmp_path / "run") if row["val/psnr"])
    assert float(last["val/psnr"]) > 30
    assert float(last["val/gray_psnr"]) < 20


@pytest.mark.parametrize("scheduler", options("scheduler"))
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_optimizers_and_schedules_train(tmp_path: Path, photos: Path, optimizer: str, scheduler: str) -> None:
    run(tmp_path / "run", photos, f"optimizer={optimizer}", f"scheduler={scheduler}")


def test_ema_early_stopping_accumulation_and_tensorboard(tmp_path: Path, photos: Path) -> None:
    run(
        tmp_path / "run",
        photos,
        "callbacks=[default,ema,early_stopping]",
        "trainer.accumulate_grad_batches=2",
        "logger=tensorboard",
        "trainer.max_epochs=2",
    )
    assert list((tmp_path / "run" / "tensorboard").glob("events*"))
    checkpoint = read_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt")
    rebuild(checkpoint, "last.ckpt")
    assert "averaging_state" in checkpoint


def test_bfloat16_scores_are_those_of_float32(tmp_path: Path, photos: Path) -> None:
    """The gray baseline does not depend on the network, so reduced precision must not change it."""
    scores = {}
    for precision in ("bf16-mixed", "32-true"):
        run(tmp_path / precision, photos, f"trainer.precision={precision}")
        row = next(row for row in rows(tmp_path / precision) if row["val/gray_ssim"])
        scores[precision] = [float(row[f"val/gray_{key}"]) for key in ("psnr", "ssim", "colorfulness")]
    assert scores["bf16-mixed"] == pytest.approx(scores["32-true"])


def test_wandb_runs_offline_and_says_how_to_upload(tmp_path: Path, photos: Path) -> None:
    logger = WandbRun(str(tmp_path / "run"))
    assert logger.mode == "offline"
    logger.log_metrics({"val/loss": 1.0})
    line = str(logger.where())
    assert line.startswith("W&B: offline; upload with: wandb sync ")
    assert Path(line.split("wandb sync ")[1]).is_dir()
    logger.experiment.finish()


def test_wandb_is_online_where_a_key_is_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    assert WandbRun(str(tmp_path)).mode == "online"
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert WandbRun(str(tmp_path)).mode == "offline"


def test_a_second_metrics_file_in_a_folder_goes_on(tmp_path: Path) -> None:
    entries: list[dict[str, Any]] = [{"a": 1.0}, {"a": 2.0, "b": 3.0}]
    for step, values in enumerate(entries, start=1):
        logger = MetricsFile(str(tmp_path))
        logger.log_metrics(values, step)
        logger.save()
    assert [(row["step"], row["a"], row["b"]) for row in rows(tmp_path)] == [("1", "1.0", ""), ("2", "2.0", "3.0")]


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


def damaged(trained: Path, path: Path, damage: Callable[[dict[str, Any]], object]) -> Path:
    checkpoint = torch.load(trained / "checkpoints" / "best.ckpt", weights_only=True)
    damage(checkpoint)
    torch.save(checkpoint, path)
    return path


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda c: c.pop(ENTRY), "was not written by this project"),
        (lambda c: c[ENTRY].update(format=99), "has format 99, newer than the 1"),
        (lambda c: c[ENTRY]["config"]["decoder"].update(_target_="os.system"), r"_target_=os\.system is refused"),
        (lambda c: c[ENTRY]["config"]["decoder"].update(_target_="torch.nn.Linear"), "is refused"),
        (
            lambda c: c[ENTRY]["config"]["decoder"].update(_target_="colorization.checkpoint.torch.hub.load"),
            "is refused",
        ),
        (
            lambda c: c[ENTRY]["config"]["decoder"].update(_target_="colorization.imagefiles.write_picture"),
            "may only name parts of networks",
        ),
        (
            lambda c: c[ENTRY]["config"]["decoder"].update(_target_="colorization.objectives.regression.Regression"),
            "is not a Decoder",
        ),
        (
            lambda c: c[ENTRY]["config"]["objective"].update(loss={"_target_": "colorization.config.save"}),
            "may only name parts of networks",
        ),
        (
            lambda c: c[ENTRY]["config"]["backbone"].update(name="${oc.env:HOME}"),
            r"backbone\.name=\$\{oc\.env:HOME\}",
        ),
        (lambda c: c[ENTRY]["config"].pop("data"), "is incomplete"),
        (lambda c: c.update(state_dict=[1]), "is incomplete"),
        (lambda c: c[ENTRY]["config"].pop("backbone"), "backbone is missing"),
        (lambda c: c[ENTRY]["config"]["decoder"].update(width=64), "can't be rebuilt: .*size mismatch"),
        (lambda c: c["state_dict"].popitem(), "can't be rebuilt: .*Missing key"),
        (lambda c: c.pop("state_dict"), "is incomplete"),
    ],
)
def test_checkpoints_that_are_refused(
    trained: Path, tmp_path: Path, damage: Callable[[dict[str, Any]], object], message: str
) -> None:
    path = damaged(trained, tmp_path / "odd.ckpt", damage)
    with pytest.raises(CheckpointError, match=message) as error:
        Colorizer.from_checkpoint(path, device="cpu")
    assert "odd.ckpt" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("keep", [0, 100, 100_000])
def test_truncated_checkpoints_are_refused(trained: Path, tmp_path: Path, keep: int) -> None:
    path = tmp_path / "short.ckpt"
    path.write_bytes((trained / "checkpoints" / "best.ckpt").read_bytes()[:keep])
    with pytest.raises(CheckpointError, match=r"short\.ckpt is damaged"):
        read_checkpoint(path)


def test_a_pickle_that_runs_code_is_not_run(tmp_path: Path) -> None:
    import pickle

    class Evil:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "hacked",)

    (tmp_path / "evil.ckpt").write_bytes(pickle.dumps({"state_dict": Evil()}))
    with pytest.raises(CheckpointError):
        read_checkpoint(tmp_path / "evil.ckpt")
    torch.save({"state_dict": Evil()}, tmp_path / "evil.ckpt")
    with pytest.raises(CheckpointError):
        read_checkpoint(tmp_path / "evil.ckpt")
    assert not (tmp_path / "hacked").exists()


def test_multirun_and_its_return_value(tmp_path: Path, photos: Path, run_script: RunScript) -> None:
    run_script(
        "train", "-m", *SMALL, "data=folder", f"data.root={photos}", "objective.loss=mse,l1",
        f"hydra.sweep.dir={tmp_path}/sweep",
    )  # fmt: skip
    for job, loss in enumerate(("mse", "l1")):
        config = yaml.safe_load((tmp_path / "sweep" / str(job) / "config.yaml").read_text())
        assert config["objective"]["loss"] == loss
        assert (tmp_path / "sweep" / str(job) / "checkpoints" / "best.ckpt").exists()


def test_multirun_with_a_relaunching_strategy_is_refused(tmp_path: Path, photos: Path, fails: Fails) -> None:
    message = fails(
        "train", "-m", *SMALL, "data=folder", f"data.root={photos}", "trainer.strategy=ddp", "trainer.devices=2",
        "objective.loss=mse,l1", f"hydra.sweep.dir={tmp_path}/sweep",
    )  # fmt: skip
    assert "-m does not go together" in message


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


def test_monitored_value_is_finite(trained: Path) -> None:
    assert all(math.isfinite(float(row["val/loss"])) for row in rows(trained) if row["val/loss"])


def test_unknown_device_is_an_error() -> None:
    from colorization.inference import find_device

    with pytest.raises(ConfigError, match="device=gpu7"):
        find_device("gpu7")


def test_two_processes_train_and_score_every_photo_exactly_once(tmp_path: Path) -> None:
    """Five photos on two processes: PyTorch's own sampler would count one of them twice."""
    photos = make_folder(tmp_path / "photos", 5)
    scripts = Path(train.__file__).parent
    common = [
        "data=folder",
        f"data.root={photos}",
        "data.num_workers=0",
        "data.batch_size=2",
        "trainer.accelerator=cpu",
    ]
    trained = [f"hydra.run.dir={tmp_path}/run", "data.val_share=0.4", "data.size=32", "trainer.max_epochs=1"]
    network = ["backbone=resnet18", "backbone.pretrained=false", "logger=none", "trainer.precision=32-true"]
    two = ["trainer=ddp", "trainer.devices=2"]
    subprocess.run([sys.executable, scripts / "train.py", *common, *trained, *network, *two], check=True, timeout=300)
    summaries = []
    for name, devices in (("one", ["trainer=cpu"]), ("two", two)):
        scored = [f"checkpoint={tmp_path}/run/checkpoints/best.ckpt", "split=all", f"hydra.run.dir={tmp_path}/{name}"]
        subprocess.run([sys.executable, scripts / "evaluate.py", *common, *scored, *devices], check=True, timeout=300)
        summaries.append(json.loads((tmp_path / name / "metrics.json").read_text()))
    assert [summary["pictures"] for summary in summaries] == [5, 5]
    for key, value in summaries[0]["metrics"].items():
        assert summaries[1]["metrics"][key] == pytest.approx(value, rel=1e-4)
