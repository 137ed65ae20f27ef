"""Training and scoring on two processes: what one process would do, and each photo exactly once."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torchvision

from colorization.checkpoints.network import read_checkpoint
from tests.helpers.photos import make_folder
from tests.helpers.runs import CONF, SMALL, TINY, rows, train_in

Fails = Callable[..., str]
SCRIPTS = CONF.parent
ADVERSARIAL = ("objective=adversarial", "objective.terms.adversarial.begin=0.2")
# Statistics of batches are not shared by the processes; a frozen backbone takes none.
TRAINED = (*SMALL, *TINY, "backbone.frozen=true", "trainer.max_epochs=2", "data=folder")


def run(script: str, *options: str) -> None:
    subprocess.run([sys.executable, SCRIPTS / script, *options], check=True, timeout=300)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("objective", "tolerance"),
    [
        (("objective=regression",), 1e-6),
        # A smooth loss: at the kinks of the hinge, rounding decides which gradient there is.
        pytest.param((*ADVERSARIAL, "objective.terms.adversarial.loss=vanilla"), 1e-4, marks=pytest.mark.long),
    ],
    ids=["regression", "adversarial"],
)
def test_two_processes_train_as_one(tmp_path: Path, objective: tuple[str, ...], tolerance: float) -> None:
    """With the same global batch, random cuts included: weights, scores and learning rates come out alike."""
    photos = make_folder(tmp_path / "photos", 17)
    common = [*TRAINED, f"data.root={photos}", "data.val_share=0.3", *objective]
    train_in(tmp_path / "1", photos, *common, "data.batch_size=4")
    several = ["trainer.devices=2", "data.batch_size=2", "trainer.strategy=ddp_spawn"]
    run("train.py", *common, *several, f"hydra.run.dir={tmp_path}/2")
    one, two = (read_checkpoint(tmp_path / str(n) / "checkpoints" / "last.ckpt") for n in (1, 2))
    assert one["global_step"] == two["global_step"] == 6
    for key, value in one["state_dict"].items():
        assert torch.allclose(two["state_dict"][key].float(), value.float(), rtol=0, atol=tolerance), key
    assert any(".discriminator." in key for key in one["state_dict"]) == ("adversary" in one)
    for key in ("val/loss", "val/psnr", "val/colorfulness", "lr-AdamW"):
        values = [[float(row[key]) for row in rows(tmp_path / str(n)) if row[key]] for n in (1, 2)]
        assert values[0] == pytest.approx(values[1], rel=1e-4)
        assert len(values[0]) >= 2


@pytest.mark.slow
def test_unreadable_photos_of_all_processes_count(tmp_path: Path) -> None:
    """Neither process alone reads more than a quarter of the photos as broken."""
    make_folder(tmp_path / "photos" / "train", 4)
    make_folder(tmp_path / "photos" / "val", 8)
    for index in range(4):
        (tmp_path / "photos" / "val" / f"broken {index}.jpg").write_text("not a picture")
    options = [*TRAINED, f"data.root={tmp_path}/photos", f"hydra.run.dir={tmp_path}/run"]
    options += ["trainer.devices=2", "trainer.strategy=ddp_spawn"]
    ended = subprocess.run(
        [sys.executable, SCRIPTS / "train.py", *options], capture_output=True, text=True, timeout=300, check=False
    )
    assert ended.returncode == 1
    assert "Error: 4 of 12 val pictures can't be read, listed in" in ended.stderr
    assert len((tmp_path / "run" / "skipped.csv").read_text().splitlines()) == 1 + 4


@pytest.mark.long
def test_two_processes_stop_together_and_resume(tmp_path: Path) -> None:
    """Asked to stop, all processes stop behind the same step; the resumed run ends bit for bit as the whole one."""
    photos = make_folder(tmp_path / "photos", 50)
    common = [*TRAINED, f"data.root={photos}", "data.batch_size=1", "data.num_workers=1", "trainer.max_epochs=2"]
    common += ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "data.val_share=0.1"]
    common.remove("trainer=cpu")
    run("train.py", *common, f"hydra.run.dir={tmp_path}/whole")
    command = [sys.executable, str(SCRIPTS / "train.py"), *common, f"hydra.run.dir={tmp_path}/run"]
    process = subprocess.Popen(
        [*command, "callbacks.last_checkpoint.minutes=0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    last, deadline = tmp_path / "run" / "checkpoints" / "last.ckpt", time.monotonic() + 120
    while not last.exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGTERM)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 143, output
    assert "Traceback" not in output
    assert read_checkpoint(last)["position"]["epoch"] < 2
    run("train.py", *common, f"hydra.run.dir={tmp_path}/run", "ckpt_path=last")
    whole, resumed = (read_checkpoint(tmp_path / name / "checkpoints" / "last.ckpt") for name in ("whole", "run"))
    assert whole["global_step"] == resumed["global_step"]
    for key, value in whole["state_dict"].items():
        assert torch.equal(value, resumed["state_dict"][key]), key


@pytest.mark.parametrize(
    ("options", "part"),
    [
        (["trainer.devices=2"], "hydra.run.dir is missing: 2 processes were started"),
        (
            ["hydra.run.dir=run"],
            "2 processes were started, but trainer.devices=1 on trainer.num_nodes=1 machines are 1",
        ),
    ],
)
def test_what_processes_started_from_outside_need(
    monkeypatch: pytest.MonkeyPatch, fails: Fails, options: list[str], part: str
) -> None:
    for name, value in (("RANK", "0"), ("WORLD_SIZE", "2"), ("LOCAL_RANK", "0"), ("TORCHELASTIC_RUN_ID", "none")):
        monkeypatch.setenv(name, value)
    assert part in fails("train", *SMALL, *options)


@pytest.mark.long
def test_two_processes_train_and_score_every_photo_exactly_once(tmp_path: Path) -> None:
    """Five photos on two processes: PyTorch's own sampler would count one of them twice."""
    photos = make_folder(tmp_path / "photos", 5)
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
    weights = tmp_path / "alexnet.pth"
    torch.save(torchvision.models.alexnet(weights=None).features.state_dict(), weights)
    run("train.py", *common, *trained, *network, *two)
    summaries = []
    for name, devices in (("one", ["trainer=cpu"]), ("two", two)):
        scored = [f"checkpoint={tmp_path}/run/checkpoints/best.ckpt", "split=all", f"hydra.run.dir={tmp_path}/{name}"]
        scored += [f"lpips_weights={weights}"]
        run("evaluate.py", *common, *scored, *devices)
        summaries.append(json.loads((tmp_path / name / "metrics.json").read_text()))
    assert [summary["pictures"] for summary in summaries] == [5, 5]
    assert {"auc_rebalanced", "lpips", "colorfulness_mean_difference"} <= summaries[0]["metrics"].keys()
    for part in ("metrics", "difference_to_gray_95"):
        for key, value in summaries[0][part].items():
            assert summaries[1][part][key] == pytest.approx(value, rel=1e-4, abs=1e-6)
    assert summaries[0]["extremes"].keys() == summaries[1]["extremes"].keys()
    for kind, pictures in summaries[0]["extremes"].items():
        assert [picture["name"] for picture in pictures] == [p["name"] for p in summaries[1]["extremes"][kind]]
