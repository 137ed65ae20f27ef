"""Training from end to end: it runs, learns, logs and resumes, on one process and on two."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from colorization.checkpoints.network import read_checkpoint, rebuild
from colorization.errors import CheckpointError
from colorization.training.loggers import MetricsFile
from colorization.training.resume import check_resumable
from colorization.training.wandb_run import WandbRun
from tests.helpers.photos import make_photo
from tests.helpers.runs import SMALL, TINY, RunScript, options, rows, train_in

Fails = Callable[..., str]


def test_a_run_s_folder_holds_everything(trained: Path) -> None:
    config = yaml.safe_load((trained / "config.yaml").read_text())
    assert config["backbone"]["name"] == "test_efficientnet"
    assert "${" not in (trained / "config.yaml").read_text()
    assert sorted(path.name for path in (trained / "checkpoints").iterdir()) == ["best.ckpt", "last.ckpt"]
    assert len(list((trained / "panels").glob("*.png"))) == 2
    assert read_checkpoint(trained / "checkpoints" / "last.ckpt")["epoch"] == 1
    logged = {key for row in rows(trained) for key, value in row.items() if value}
    assert {"train/loss", "val/loss", "val/psnr", "val/gray_psnr", "val/ssim", "val/colorfulness"} <= logged


def test_the_closing_table_shows_gray_and_the_next_command(
    tmp_path: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train_in(tmp_path / "run", photos, *TINY)
    printed = capsys.readouterr().out
    for part in (
        "psnr (dB)",
        "ssim",
        "colorfulness_difference",
        "all gray",
        "best.ckpt",
        "panels",
        "config.yaml",
        "colorize checkpoint=",
    ):
        assert part in printed


def test_a_small_dataset_has_a_training_curve(tmp_path: Path, photos: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two steps an epoch, where every tenth would be logged; and people count epochs from 1."""
    options = [*TINY, "trainer.log_every_n_steps=10", "trainer.max_epochs=2"]
    train_in(tmp_path / "run", photos, *options)
    steps = [int(row["step"]) for row in rows(tmp_path / "run") if row["train/loss"]]
    assert steps == [1, 3]
    printed = capsys.readouterr().out
    assert "Epoch 2/2" in printed
    assert "Epoch 0" not in printed
    assert "v_num" not in printed


def test_resuming_continues_epochs_schedule_and_loss(tmp_path: Path, photos: Path) -> None:
    """Four epochs in one go, and the same four with a stop after two: the same steps, learning rates and losses (but
    for the photos' random cuts).
    """
    common = [*TINY, "scheduler=cosine", "trainer.max_epochs=4", "callbacks.checkpoint.save_top_k=-1"]
    common += ["callbacks.checkpoint.filename='epoch-{epoch}'"]
    train_in(tmp_path / "whole", photos, *common)
    train_in(tmp_path / "resumed", photos, *common, f"ckpt_path={tmp_path}/whole/checkpoints/epoch-1.ckpt")
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
    worse = ["monitor=val/colorfulness_truth", "monitor_mode=min"]
    train_in(tmp_path / "run", photos, *TINY, "trainer.max_epochs=3", *worse)
    epochs = {
        name: read_checkpoint(tmp_path / "run" / "checkpoints" / f"{name}.ckpt")["epoch"] for name in ("best", "last")
    }
    assert epochs == {"best": 0, "last": 2}


def test_last_resumes_in_the_same_folder(tmp_path: Path, photos: Path) -> None:
    train_in(tmp_path / "out" / "one", photos, *TINY, "trainer.max_epochs=1")
    before = rows(tmp_path / "out" / "one")
    train_in(tmp_path / "out" / "one", photos, *TINY, "trainer.max_epochs=2", "ckpt_path=last")
    after = rows(tmp_path / "out" / "one")
    assert [row["step"] for row in after[: len(before)]] == [row["step"] for row in before]
    assert max(int(row["epoch"]) for row in after if row["epoch"]) == 1
    checkpoint = read_checkpoint(tmp_path / "out" / "one" / "checkpoints" / "last.ckpt")
    assert checkpoint["epoch"] == 1
    # Without a folder of its own, the newest run's.
    train_in(
        tmp_path / "out" / "two", photos, *TINY, "trainer.max_epochs=3", "ckpt_path=last",
        f"paths.output_dir={tmp_path}/out",
    )  # fmt: skip
    assert read_checkpoint(tmp_path / "out" / "two" / "checkpoints" / "last.ckpt")["epoch"] == 2


def test_a_longer_run_resumes_on_a_one_cycle_schedule(tmp_path: Path, photos: Path) -> None:
    train_in(tmp_path / "run", photos, *TINY, "scheduler=one_cycle", "trainer.max_epochs=1")
    train_in(tmp_path / "run", photos, *TINY, "scheduler=one_cycle", "trainer.max_epochs=3", "ckpt_path=last")
    assert read_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt")["epoch"] == 2


def test_a_plateau_schedule_needs_no_validation_at_every_epoch(tmp_path: Path, photos: Path) -> None:
    options = ["scheduler=plateau", "trainer.max_epochs=4", "trainer.check_val_every_n_epoch=2"]
    train_in(tmp_path / "run", photos, *TINY, *options)
    assert read_checkpoint(tmp_path / "run" / "checkpoints" / "last.ckpt")["epoch"] == 3


def test_resuming_with_another_network_is_refused(trained: Path, fails: Fails, photos: Path, tmp_path: Path) -> None:
    message = fails(
        "train", *SMALL, *TINY, "decoder.width=64", f"ckpt_path={trained}/checkpoints/last.ckpt",
        f"hydra.run.dir={tmp_path}/r",
    )  # fmt: skip
    assert "decoder.width=16, but this run has 64" in message


@pytest.mark.parametrize(
    ("override", "part"),
    [
        ("optimizer=sgd", "optimizer._target_=torch.optim.AdamW, but this run has torch.optim.SGD"),
        ("scheduler=constant", "scheduler._target_=colorization.schedulers.one_cycle"),
        ("trainer.max_epochs=1", "raise trainer.max_epochs, or"),
    ],
)
def test_what_a_resumed_run_can_t_change_is_named(
    trained: Path, fails: Fails, tmp_path: Path, override: str, part: str
) -> None:
    photos = ["data=folder", f"data.root={trained.parent}/photos", "data.val_share=0.4"]
    options = [f"ckpt_path={trained}/checkpoints/last.ckpt", f"hydra.run.dir={tmp_path}/r", override]
    assert part in fails("train", *SMALL, *TINY, *photos, *options)


def test_a_resumed_run_may_find_its_weights_elsewhere(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Those of a term are not in the checkpoint and may be others: a warning, and not the same run."""
    config = read_checkpoint(trained / "checkpoints" / "last.ckpt")["colorization"]["config"]
    before, now = (
        {**config, "objective": {**config["objective"], "terms": {"seen": {"_target_": "x", "weights": path}}}}
        for path in ("here.pth", "there.pth")
    )
    check_resumable(before, {**now, "ckpt_path": "last.ckpt"}, Path("last.ckpt"))
    said = " ".join(capsys.readouterr().out.split())
    assert "resumed with objective.terms.seen.weights=there.pth, the run was begun with here.pth" in said
    with pytest.raises(CheckpointError, match=r"objective\.terms\.seen\.weights=here\.pth, but this run has there"):
        check_resumable(before, {**now, "ckpt_path": "auto"}, Path("last.ckpt"))
    for group, key in (("backbone", "weights"), ("backbone", "pretrained"), ("objective", "temperature")):
        other = {**before, group: {**before[group], key: "other"}, "ckpt_path": "auto"}
        check_resumable(before, other, Path("last.ckpt"))
    now["objective"]["terms"]["seen"]["layers"] = ["relu1_1"]
    with pytest.raises(CheckpointError, match=r"objective\.terms\.seen\.layers=None, but this run has \['relu1_1'\]"):
        check_resumable(before, {**now, "ckpt_path": "last.ckpt"}, Path("last.ckpt"))


def test_a_second_run_does_not_overwrite_the_first(trained: Path, fails: Fails) -> None:
    before = (trained / "metrics.csv").read_bytes()
    assert "already holds a run" in fails("train", *SMALL, f"hydra.run.dir={trained}")
    assert (trained / "metrics.csv").read_bytes() == before


def test_a_missing_folder_comes_out_before_weights_are_asked_for(
    fails: Fails, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    options = ["data=folder", f"data.root={tmp_path}/nowhere", f"hydra.run.dir={tmp_path}/r"]
    assert "nowhere does not exist" in fails("train", *options)
    assert not (tmp_path / "r" / "wandb").exists()


@pytest.mark.long
def test_it_learns_photos_by_heart(tmp_path: Path) -> None:
    """Eight photos, seen often enough, come out at 30 dB or more: gray is far behind."""
    for split in ("train", "val"):
        (tmp_path / "eight" / split).mkdir(parents=True)
        for index in range(8):
            make_photo(40, 40, seed=index).save(tmp_path / "eight" / split / f"{index}.png")
    train_in(
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
    train_in(tmp_path / "run", photos, *TINY, f"optimizer={optimizer}", f"scheduler={scheduler}")


def test_ema_early_stopping_accumulation_and_tensorboard(tmp_path: Path, photos: Path) -> None:
    train_in(
        tmp_path / "run",
        photos,
        *TINY,
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
        train_in(tmp_path / precision, photos, *TINY, f"trainer.precision={precision}")
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


def test_metrics_csv_continues_in_the_same_folder(tmp_path: Path) -> None:
    entries: list[dict[str, Any]] = [{"a": 1.0}, {"a": 2.0, "b": 3.0}]
    for step, values in enumerate(entries, start=1):
        logger = MetricsFile(str(tmp_path))
        logger.log_metrics(values, step)
        logger.save()
    assert [(row["step"], row["a"], row["b"]) for row in rows(tmp_path)] == [("1", "1.0", ""), ("2", "2.0", "3.0")]


def test_multirun_and_its_return_value(tmp_path: Path, photos: Path, run_script: RunScript) -> None:
    run_script(
        "train", "-m", *SMALL, *TINY, "data=folder", f"data.root={photos}", "objective.loss=mse,l1",
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
    assert "-m does not work" in message


def test_monitored_value_is_finite(trained: Path) -> None:
    assert all(math.isfinite(float(row["val/loss"])) for row in rows(trained) if row["val/loss"])
