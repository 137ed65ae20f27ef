"""W&B: what a run leaves in its file, which is read back; resumed runs, multiruns, and checkpoints as artifacts."""

import json
import os
import pickle
import shutil
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import wandb
import yaml
from PIL import Image

import colorization.training.dashboard
from colorization.checkpoints.network import read_checkpoint
from colorization.color import rgb_to_lab
from colorization.errors import ConfigError
from colorization.figures import abchart
from colorization.figures.abchart import CELL, CELLS, REACH
from colorization.runtime.console import console
from colorization.training.dashboard import Dashboard, draw_pair
from colorization.training.saving import BestCheckpoint
from colorization.training.wandb_run import WANDB_ENTRY, WandbRun
from tests.helpers.photos import make_folder
from tests.helpers.runs import SMALL, RunScript, rows, train_in
from tests.helpers.wandbfile import OfflineRun

SECRET = "5ec2e7" * 7
WANDB = [*(option for option in SMALL if not option.startswith("logger")), "logger=wandb", "logger.wandb.mode=offline"]


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WANDB_NAME", "WANDB_RUN_GROUP", "WANDB_RUN_ID", "WANDB_PROJECT", "WANDB_ENTITY", "WANDB_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a run of two epochs, resumed for a third one in the folder `resumed` beside it."""
    folder = tmp_path_factory.mktemp("dashboard")
    photos = folder / "photos"
    for split, count in (("train", 4), ("val", 3)):
        make_folder(photos / split, count)
    with pytest.MonkeyPatch.context() as patch:
        wandb.teardown()
        patch.setenv("WANDB_API_KEY", SECRET)
        patch.chdir(folder)
        common = [
            "logger=wandb",
            "logger.wandb.mode=offline",
            "logger.wandb.tags=[tried]",
            "callbacks.dashboard.pictures=2",
        ]
        train_in(folder / "run", photos, *common, "trainer.max_epochs=2")
        last = folder / "run" / "checkpoints" / "last.ckpt"
        train_in(folder / "resumed", photos, *common, "trainer.max_epochs=3", f"ckpt_path={last}")
        yield folder
        wandb.teardown()  # W&B would remember the key, and the runs of other tests would go online


@pytest.fixture(scope="module")
def run(folder: Path) -> OfflineRun:
    return OfflineRun(folder / "run")


def test_the_configuration_is_there_as_plain_values(folder: Path, run: OfflineRun) -> None:
    saved = yaml.safe_load((folder / "run" / "config.yaml").read_text())
    assert {key: value for key, value in run.config.items() if key in saved} == saved
    assert run.config["code"]["command"].startswith("colorize-train backbone=resnet18 backbone.pretrained=false")
    commit = run.config["code"].get("commit", "0" * 40)  # there is none outside of a repository
    assert len(commit.removesuffix("-dirty")) == 40
    assert run.summary["parameters/total"] == run.summary["parameters/trainable"] > 11_000_000


def test_a_run_is_named_by_its_folder_and_found_by_its_tags(run: OfflineRun) -> None:
    assert run.exit_code == 0
    assert (run.run.display_name, run.run.job_type, run.run.project) == ("run", "train", "colorization")
    assert list(run.run.tags) == ["tried"]
    assert run.run.run_group == ""


def test_curves_are_those_of_metrics_csv(folder: Path, run: OfflineRun) -> None:
    for key in (
        "train/loss",
        "train/gradient_norm",
        "val/loss",
        "val/psnr",
        "val/gray_psnr",
        "val/colorfulness",
        "val/colorfulness_truth",
        "lr-AdamW",
        "pictures",
        "throughput/pictures_per_second",
        "throughput/waiting_for_data",
    ):
        in_file = [(int(row["step"]), float(row[key])) for row in rows(folder / "run") if row[key]]
        logged = [(row["trainer/global_step"], row[key]) for row in run.rows_with(key)]
        assert [step for step, _ in logged] == [step for step, _ in in_file]
        assert [value for _, value in logged] == pytest.approx([value for _, value in in_file])
        assert logged
    assert run.steps["*"] == "trainer/global_step"
    assert run.steps["pictures"] == ""


def test_curves_can_be_drawn_over_pictures_seen(run: OfflineRun) -> None:
    for key in ("train/loss", "val/loss"):
        seen = [row["pictures"] for row in run.rows_with(key)]
        assert seen == sorted(seen)
        assert seen[-1] == 8  # two epochs of two batches of two photos


def test_the_same_pictures_come_at_every_validation(folder: Path, run: OfflineRun) -> None:
    at = [row["trainer/global_step"] for row in run.rows_with("val/loss")]
    assert len(at) == 2
    for key in ("val/panel", "val/ab_density", "val/pictures"):
        assert [row["trainer/global_step"] for row in run.rows_with(key)] == at
    for row, panel in zip(run.rows_with("val/panel"), sorted((folder / "run" / "panels").iterdir()), strict=True):
        [name] = row["val/panel.filenames"]
        assert name in run.saved
        assert (run.path / "files" / name).read_bytes() == panel.read_bytes()
    for row in run.rows_with("val/ab_density"):
        [name] = row["val/ab_density.filenames"]
        with Image.open(run.path / "files" / name) as chart:
            assert chart.width > 2 * chart.height


def test_the_table_has_the_scores_of_each_picture(folder: Path, run: OfflineRun) -> None:
    tables = [
        json.loads((run.path / "files" / row["val/pictures.path"]).read_text()) for row in run.rows_with("val/pictures")
    ]
    names = [[line[0] for line in table["data"]] for table in tables]
    assert names[0] == names[1]
    assert len(names[0]) == 2
    columns = tables[0]["columns"]
    assert columns[:4] == ["picture", "gray", "prediction", "truth"]
    assert {"psnr", "ssim", "ciede2000", "colorfulness", "colorfulness_truth", "gray_psnr"} <= set(columns)
    first, last = (table["data"][0] for table in tables)
    assert first[columns.index("psnr")] != last[columns.index("psnr")]
    assert first[columns.index("gray_psnr")] == last[columns.index("gray_psnr")]
    # Its pictures stay in the run's folder until they are uploaded.
    for artifact in run.artifacts:
        contents = [Path(content.local_path) for content in artifact.manifest.contents]
        assert len(contents) == 2 * 3 + 1
        assert all(folder / "run" in path.parents and path.is_file() for path in contents)


def test_scores_of_the_best_checkpoint_are_columns_of_the_runs(run: OfflineRun) -> None:
    assert run.summary["best/loss"] == pytest.approx(min(row["val/loss"] for row in run.rows_with("val/loss")))
    assert run.summary["best/gray_psnr"] == pytest.approx(run.summary["val/gray_psnr"])


def test_no_key_is_written(folder: Path) -> None:
    files = [path for path in folder.glob("run/**/*") if path.is_file()]
    assert len(files) > 10
    assert not [path for path in files if SECRET.encode() in path.read_bytes()]


def test_a_resumed_run_continues_its_wandb_run(folder: Path, run: OfflineRun) -> None:
    resumed = OfflineRun(folder / "resumed")
    assert resumed.run.run_id == run.run.run_id
    assert resumed.run.display_name == ""  # it keeps the one that it has
    assert resumed.rows_with("train/loss")[0]["pictures"] == run.rows_with("train/loss")[-1]["pictures"] + 2
    assert (
        resumed.rows_with("val/loss")[0]["trainer/global_step"] > run.rows_with("val/loss")[-1]["trainer/global_step"]
    )
    entry = read_checkpoint(folder / "resumed" / "checkpoints" / "last.ckpt")[WANDB_ENTRY]
    assert entry == {"id": run.run.run_id, "folders": [run.path.name, resumed.path.name]}


def test_the_line_that_uploads_names_every_part_that_is_still_there(tmp_path: Path) -> None:
    then = tmp_path / "then with space"
    earlier = [f"{then}/wandb/offline-run-{day}-abcd1234" for day in (1, 2)]
    Path(earlier[1]).mkdir(parents=True)
    logger = WandbRun(str(tmp_path / "now"), mode="offline")
    logger.resume({WANDB_ENTRY: {"id": "abcd1234", "folders": earlier}}, then / "checkpoints" / "last.ckpt")
    assert logger.experiment.id == "abcd1234"
    line = str(logger.where())
    wandb.finish()
    assert line.startswith(f"W&B: offline; upload with: wandb sync '{earlier[1]}' {tmp_path}/now/wandb/offline-run-")
    assert line.endswith("-abcd1234")


def test_a_server_that_can_t_be_reached_is_one_sentence(
    tmp_path: Path, photos: Path, fails: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(**options: Any) -> None:
        raise wandb.errors.CommError("no such host\nwhile retrying")

    monkeypatch.setattr(wandb, "init", fail)
    message = fails("train", *WANDB, "data=folder", f"data.root={photos}", f"hydra.run.dir={tmp_path}/run")
    assert message == "Error: W&B: no such host; logger.wandb.mode=offline does not need the server"


def test_a_run_that_fails_is_a_failed_one(tmp_path: Path, photos: Path, fails: Callable[..., str]) -> None:
    options = ["data=folder", f"data.root={photos}", "optimizer.lr=1e30", "scheduler=constant", "trainer.max_epochs=5"]
    fails("train", *WANDB, *options, f"hydra.run.dir={tmp_path}/run")
    assert OfflineRun(tmp_path / "run").exit_code == 1


@pytest.mark.long
def test_a_multirun_makes_a_run_of_every_job(
    tmp_path: Path, photos: Path, run_script: RunScript, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_RUN_ID", "sameforall")
    before = {key: value for key, value in os.environ.items() if key.startswith("WANDB")}
    sweep = tmp_path / "sweep"
    run_script(
        "train", "-m", *WANDB, "data=folder", f"data.root={photos}", "optimizer.lr=1e-3", "objective.loss=mse,l1",
        f"hydra.sweep.dir={sweep}",
    )  # fmt: skip
    runs = [OfflineRun(sweep / str(job)) for job in range(2)]
    assert [run.run.display_name for run in runs] == ["0 objective.loss=mse", "1 objective.loss=l1"]
    assert [run.run.run_group for run in runs] == ["sweep", "sweep"]
    assert len({run.run.run_id for run in runs} | {"sameforall"}) == 3
    for run, loss in zip(runs, ("mse", "l1"), strict=True):
        assert run.config["objective"]["loss"] == loss
        assert f"objective.loss={loss}" in run.config["code"]["command"]
        assert run.steps == runs[0].steps
        steps = [row["_step"] for row in run.history]
        assert steps == list(range(len(steps)))
    assert wandb.run is None
    after = {key: value for key, value in os.environ.items() if key.startswith("WANDB")}
    after.pop("WANDB_SERVICE", None)  # where W&B's own process listens
    assert after == {key: value for key, value in before.items() if key != "WANDB_SERVICE"}


def test_jobs_that_start_from_one_checkpoint_stay_apart(
    folder: Path, tmp_path: Path, run: OfflineRun, run_script: RunScript
) -> None:
    photos = ["data=folder", f"data.root={folder}/photos", "trainer.max_epochs=3"]
    start = folder / "run" / "checkpoints" / "last.ckpt"
    run_script("train", "-m", *WANDB, *photos, "seed=1", f"ckpt_path={start}", f"hydra.sweep.dir={tmp_path}/sweep")
    assert OfflineRun(tmp_path / "sweep" / "0").run.run_id != run.run.run_id


def test_the_console_goes_to_other_processes() -> None:
    """A launcher that runs jobs in processes pickles what a script's main function names."""
    assert pickle.loads(pickle.dumps(console)) is console


class FakeExperiment:
    """Takes note of the artifacts that it is given."""

    id = "abcd1234"

    def __init__(self) -> None:
        self.logged: list[tuple[wandb.Artifact, list[str]]] = []

    def log_artifact(self, artifact: wandb.Artifact, aliases: list[str]) -> None:
        self.logged.append((artifact, aliases))


@pytest.mark.parametrize(
    ("mode", "status", "aliases"),
    [("online", "success", ["best", "last"]), ("online", "failed", []), ("offline", "success", [])],
)
def test_checkpoints_are_uploaded_at_the_end_of_a_run_that_is_online(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: Any, status: str, aliases: list[str]
) -> None:
    experiment = FakeExperiment()
    logger = WandbRun(str(tmp_path / "run"), mode=mode)
    monkeypatch.setattr(logger, "_experiment", experiment)
    checkpoints = tmp_path / "run" / "checkpoints"
    shutil.copytree(folder / "run" / "checkpoints", checkpoints)
    best = BestCheckpoint(checkpoints, monitor="val/loss")
    best.best_model_path, best.best_model_score = str(checkpoints / "best.ckpt"), torch.tensor(0.5)
    trainer: Any = SimpleNamespace(checkpoint_callback=best, loggers=[logger])
    Dashboard().on_train_end(trainer, None)  # type: ignore[arg-type]
    logger.finalize(status)
    assert [names for _, names in experiment.logged] == [[alias] for alias in aliases]
    for (artifact, _), alias in zip(experiment.logged, aliases, strict=True):
        checkpoint = read_checkpoint(checkpoints / f"{alias}.ckpt")
        assert (artifact.name, artifact.type) == ("checkpoint-abcd1234", "model")
        assert list(artifact.manifest.entries) == [f"{alias}.ckpt"]
        assert artifact.metadata["score"] == {"best": 0.5, "last": None}[alias]
        assert artifact.metadata["step"] == checkpoint["global_step"]
        assert artifact.metadata["epoch"] == checkpoint["epoch"]
        assert artifact.metadata["backbone"]["name"] == "resnet18"


def test_tensorboard_has_the_chart(tmp_path: Path, photos: Path) -> None:
    tensorboard = import_module("tensorboard.backend.event_processing.event_accumulator")

    train_in(tmp_path / "board", photos, "logger=tensorboard")
    events = tensorboard.EventAccumulator(str(tmp_path / "board" / "tensorboard"), size_guidance={"images": 0}).Reload()
    assert set(events.Tags()["images"]) == {"val/panel", "val/ab_density"}
    assert [event.step for event in events.Images("val/ab_density")] == [
        event.step for event in events.Scalars("val/loss")
    ]
    assert not (tmp_path / "board" / "wandb").exists()


def test_pixels_are_counted_where_their_colour_lies() -> None:
    colors = torch.tensor([[200, 30, 30], [30, 60, 200]], dtype=torch.uint8)
    pictures = colors[:, :, None, None].expand(2, 3, 64, 48)
    counts = colorization.training.dashboard._count(pictures).reshape(CELLS, CELLS)
    assert counts.sum() == 2 * 32 * 48
    for color in colors:
        _, a, b = rgb_to_lab(color[:, None, None] / 255).flatten().tolist()
        assert counts[(round(b) + REACH) // CELL, (round(a) + REACH) // CELL] == 32 * 48


def test_both_charts_have_one_scale() -> None:
    """The same share of pixels is equally dark on both sides."""
    predicted, truth = np.zeros((2, CELLS * CELLS), dtype=np.int64)
    row, column = CELLS // 2 + 10, CELLS // 2 + 10
    cells = row * CELLS + column + np.arange(10)
    predicted[cells] = 10
    truth[cells[:2]] = [10, 90]
    pair = np.asarray(draw_pair(predicted, truth)).astype(int).sum(axis=-1)
    middles = abchart._LEFT + np.arange(column, column + 2) * abchart._CELL_SIDE + abchart._CELL_SIDE // 2
    line = pair[abchart._TOP + (CELLS - 1 - row) * abchart._CELL_SIDE + abchart._CELL_SIDE // 2]
    left, right = line[middles], line[middles + len(line) // 2]
    assert left[0] == left[1] == right[0] < 3 * 255
    assert right[1] < right[0]


def test_too_small_a_table_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"callbacks\.dashboard\.pictures=0"):
        Dashboard(pictures=0)


@pytest.mark.parametrize(
    "state",
    [
        {"id": "../../abcd", "folders": []},
        {"id": "abcd1234", "folders": ["/etc", "..", "offline-run-1-abcd1234/../../../secret", 7]},
        {"id": ["abcd1234"]},
        ["abcd1234"],
    ],
)
def test_no_folder_that_a_checkpoint_names_is_taken_for_a_path(tmp_path: Path, state: Any) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "then" / "wandb" / "offline-run-1-abcd1234").mkdir(parents=True)
    logger = WandbRun(str(tmp_path / "now"), mode="offline")
    logger.resume({WANDB_ENTRY: state}, tmp_path / "then" / "checkpoints" / "last.ckpt")
    line = str(logger.where())
    wandb.finish()
    assert line.count("offline-run") == 1
    assert str(tmp_path / "now" / "wandb" / "offline-run-") in line
    assert "/etc" not in line
    assert "secret" not in line
