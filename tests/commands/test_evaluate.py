"""evaluate.py: what it scores, what it compares, what it leaves behind, and its mistakes."""

import csv
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio

from colorization.checkpoints.shipped import located
from colorization.errors import ConfigError
from colorization.evaluation.choices import choose_split
from colorization.evaluation.scoring import choose_extremes, distinct_labels
from colorization.metrics.names import METRICS
from tests.helpers.photos import make_photo
from tests.helpers.runs import TINY, RunScript, train_in

Fails = Callable[..., str]


def read(folder: Path) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """`metrics.json` and `pictures.csv`."""
    summary = json.loads((folder / "metrics.json").read_text())
    with (folder / "pictures.csv").open() as file:
        return summary, list(csv.DictReader(file))


@pytest.fixture(scope="session")
def rival(trained: Path) -> Path:
    """The folder of a second small run, of another size and loss, on the same photos as `trained`."""
    folder = trained.parent / "rival"
    train_in(folder, trained.parent / "photos", *TINY, "data.size=48", "objective.loss=l1", "decoder.width=32")
    return folder


@pytest.fixture(scope="session")
def alexnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of an AlexNet."""
    path = tmp_path_factory.mktemp("weights") / "alexnet.pth"
    torch.save(torchvision.models.alexnet(weights=None).features.state_dict(), path)
    return path


@pytest.fixture(autouse=True)
def _empty_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is in the user's cache must not decide about LPIPS and FID."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")


def test_evaluate_s_mistakes(trained: Path, tmp_path: Path, photos: Path, fails: Fails) -> None:
    good = [f"checkpoint={trained}/checkpoints/best.ckpt", "trainer=cpu", f"hydra.run.dir={tmp_path}/e"]
    learned = trained.parent / "photos"
    for arguments, part in (
        ([*good, "data=folder", f"data.root={photos}", "split=vall"], "did you mean val"),
        (
            [*good, "data=folder", f"data.root={photos}", "split=test"],
            f"data.root={photos} has no test photos: give split=val or split=all",
        ),
        ([*good, "data=folder", f"data.root={learned}/nested", "data.val_share=0.4"], "overlaps with training's"),
        ([*good, "data=folder", f"data.root={learned}", "data.val_share=0.5"], "differs from training's 0.4"),
        ([*good, "data=folder", f"data.root={tmp_path}/nowhere"], "does not exist"),
        ([*good, "data=sample", "panel_pictures=0"], "panel_pictures=0"),
        (["data=sample"], "checkpoint is missing"),
        (
            good,
            f"data is missing: give the photos to score, for example data=folder data.root=PHOTOS; for the held-out "
            f"photos of training, data=folder data.root={learned} data.val_share=0.4",
        ),
        (["checkpoint=last", f"paths.output_dir={tmp_path}/none"], "there is no checkpoint in"),
        ([f"checkpoint={tmp_path}"], "is a folder"),
    ):
        assert part in fails("evaluate", *arguments)
    assert not (tmp_path / "e" / "metrics.json").exists()


@pytest.mark.parametrize(
    ("here", "there", "overlaps"),
    [
        ("a-{2..3}.tar", "a-{0..3}.tar", True),
        (["a-0.tar", "a-1.tar"], "a-{1..3}.tar", True),
        ("https://h/p/a-{2..3}.tar", "https://h/p/a-{0..3}.tar", True),
        ("https://h/p/a-{2..3}.tar", "https://h/p", True),
        ("a-{4..5}.tar", "a-{0..3}.tar", False),
    ],
)
def test_patterns_that_overlap_are_noticed(here: Any, there: str, overlaps: bool) -> None:
    data: Any = SimpleNamespace(own_test_split=lambda: None)
    config, trained = ({"_target_": "shards", "root": root} for root in (here, there))
    if overlaps:
        with pytest.raises(ConfigError, match="overlaps with training's"):
            choose_split(None, data, config, [trained])
    else:
        assert choose_split(None, data, config, [trained]) == "all"


def test_last_is_the_best_checkpoint_of_the_newest_run(
    trained: Path, tmp_path: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for run, names in (("old", ("best", "last")), ("multirun/0", ("last",)), ("train/new", ("best", "last"))):
        folder = tmp_path / "outputs" / run / "checkpoints"
        folder.mkdir(parents=True)
        for name in names:
            (folder / f"{name}.ckpt").touch()
        newest = folder / ("best.ckpt" if "best" in names else "last.ckpt")
        for path in (folder.parent.parent.parent).rglob("*.ckpt"):
            if folder not in path.parents:
                os.utime(path, (1, 1))
        (folder / ".last.part.ckpt").touch()
        assert located("last", "outputs") == Path("outputs") / newest.relative_to(tmp_path / "outputs")
    assert located("default", "outputs").name == "default.safetensors"
    monkeypatch.setenv("HOME", str(newest.parent))
    assert located("~/best.ckpt", "outputs") == newest


@pytest.mark.parametrize("command", ["evaluate", "predict", "export"])
def test_checkpoint_last(trained: Path, tmp_path: Path, photos: Path, run_script: RunScript, command: str) -> None:
    output_dir = f"paths.output_dir={trained.parent}"
    if command == "predict":
        run_script(command, "checkpoint=last", f"input={photos}", "output=colored", output_dir, "device=cpu")
        assert len(list((tmp_path / "colored").rglob("*.*"))) == 6
    elif command == "export":
        run_script(command, "checkpoint=last", "output=small.safetensors", output_dir)
        assert (tmp_path / "small.safetensors").exists()
    else:
        arguments = ["data=folder", f"data.root={photos}", "data.num_workers=0", "trainer=cpu", "metrics=[psnr]"]
        run_script(command, "last", *arguments, output_dir, f"hydra.run.dir={tmp_path}/e")
        assert read(tmp_path / "e")[0]["checkpoint"].endswith("/checkpoints/best.ckpt")


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


def test_every_metric_has_baseline_difference_and_interval(
    trained: Path,
    tmp_path: Path,
    photos: Path,
    alexnet: Path,
    run_script: RunScript,
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = [f"checkpoint={trained}/checkpoints/best.ckpt", "data=folder", f"data.root={photos}", "trainer=cpu"]
    arguments += ["data.num_workers=0", f"lpips_weights={alexnet}", f"hydra.run.dir={tmp_path}/e"]
    run_script("evaluate", *arguments)
    printed = capsys.readouterr().out
    summary, pictures = read(tmp_path / "e")
    had = set(METRICS) - {"fid", "lpips_vgg", "dists", "msswd"}
    for key in had:
        assert {key, f"gray_{key}"} <= summary["metrics"].keys()
        low, high = summary["difference_to_gray_95"][key]
        difference = summary["metrics"][key] - summary["metrics"][f"gray_{key}"]
        assert low <= high
        assert low - 0.2 * abs(difference) <= difference <= high + 0.2 * abs(difference)
    assert summary["protocol"] == {
        "name": "validation",
        "geometry": "fit_middle",
        "size": 32,
        "interpolation": "bilinear",
    }
    assert summary["left_out"].keys() == {"fid", "lpips_vgg"}
    for name in ("colorfulness", "colorfulness_abs"):
        bias = abs(summary["metrics"][name] - summary["metrics"][f"{name}_truth"])
        assert summary["metrics"][f"{name}_mean_difference"] == pytest.approx(bias)
        mean = np.mean([abs(float(row[name]) - float(row[f"{name}_truth"])) for row in pictures])
        assert summary["metrics"][f"{name}_difference"] == pytest.approx(mean, rel=1e-4)
    for name in ("auc", "lpips", "clipped", "ciede2000", "colorfulness_abs"):
        mean = np.mean([float(row[name]) for row in pictures])
        assert summary["metrics"][name] == pytest.approx(mean)
    report = (tmp_path / "e" / "report.md").read_text()
    for part in ("protocol validation", "left out: fid", "all gray", "truth", *had):
        assert part in report
        assert part in printed
    assert "| psnr (dB) |" in report
    with (tmp_path / "e" / "metrics.csv").open() as file:
        rows = {row["metric"]: row for row in csv.DictReader(file)}
    assert rows.keys() == had
    assert float(rows["psnr"]["value"]) == summary["metrics"]["psnr"]


def test_native_scores_what_predict_writes(trained: Path, tmp_path: Path, photos: Path, run_script: RunScript) -> None:
    """Pictures of several sizes, scored one by one; the oracle is scikit-image on the files of predict.py."""
    make_photo(70, 33, seed=9).save(photos / "wide.png")
    make_photo(40, 20, seed=9).save(photos / "too small.png")
    good = f"checkpoint={trained}/checkpoints/best.ckpt"
    run_script("predict", good, f"input={photos}", f"output={tmp_path}/out", "resolution=48")
    arguments = [good, "data=folder", f"data.root={photos}", "trainer=cpu", "data.num_workers=0", "resolution=48"]
    run_script("evaluate", *arguments, "protocol=native", f"hydra.run.dir={tmp_path}/e", "data.max_unreadable=0.5")
    summary, pictures = read(tmp_path / "e")
    assert summary["protocol"] == {"name": "native", "geometry": "native", "size": None}
    assert summary["resolution"] == 48
    assert len(pictures) == 7
    assert "too small.png" in (tmp_path / "e" / "skipped.csv").read_text()
    for row in pictures:
        truth, colored = (np.asarray(Image.open(folder / row["name"])) for folder in (photos, tmp_path / "out"))
        assert float(row["psnr"]) == pytest.approx(peak_signal_noise_ratio(truth, colored), abs=0.01)


def test_compare(trained: Path, rival: Path, tmp_path: Path, run_script: RunScript) -> None:
    photos = tmp_path / "others"
    photos.mkdir()
    for index in range(4):
        make_photo(60, 50, seed=20 + index).save(photos / f"{index}.png")
    a, b = (f"{folder}/checkpoints/best.ckpt" for folder in (trained, rival))
    common = ["data=folder", f"data.root={photos}", "trainer=cpu", "data.num_workers=0", "protocol=stretch256"]
    run_script("evaluate", f"compare=[{a},{b}]", *common, "protocol.size=64", f"hydra.run.dir={tmp_path}/both")
    summary, pictures = read(tmp_path / "both")
    one, other = summary["compare"]["run"], summary["compare"]["rival"]
    assert (one["resolution"], other["resolution"]) == (32, 48)
    for path, result in ((a, one), (b, other)):
        run_script("evaluate", f"checkpoint={path}", *common, "protocol.size=64", f"hydra.run.dir={tmp_path}/alone")
        alone, _ = read(tmp_path / "alone")
        assert alone["checkpoint"] == result["checkpoint"] == path
        for key, value in alone["metrics"].items():
            assert result["metrics"][key] == pytest.approx(value, rel=1e-5)
    differences = [float(row["rival: psnr"]) - float(row["run: psnr"]) for row in pictures]
    assert other["difference_to_first"]["psnr"] == pytest.approx(np.mean(differences))
    low, high = other["difference_to_first_95"]["psnr"]
    assert min(differences) <= low <= np.mean(differences) <= high <= max(differences)
    assert "difference_to_first" not in one
    worst, best = (summary["extremes"][kind][0]["psnr_difference"] for kind in ("worst", "best"))
    assert (worst, best) == pytest.approx((min(differences), max(differences)))
    report = (tmp_path / "both" / "report.md").read_text()
    assert "## Paired differences to run" in report
    # Gray, two checkpoints and the truth, side by side.
    for name in ("panel.png", "extremes.png"):
        assert Image.open(tmp_path / "both" / name).width > 4 * 64


def test_the_shown_pictures_are_those_of_their_rows(
    trained: Path, tmp_path: Path, photos: Path, run_script: RunScript
) -> None:
    """The truth's column of panel.png holds the photos in the order of pictures.csv."""
    arguments = [f"checkpoint={trained}/checkpoints/best.ckpt", "data=folder", f"data.root={photos}", "trainer=cpu"]
    run_script(
        "evaluate", *arguments, "data.num_workers=0", "data.size=40", "panel_pictures=2", f"hydra.run.dir={tmp_path}"
    )
    _, pictures = read(tmp_path)
    panel = np.asarray(Image.open(tmp_path / "panel.png"))
    for row in pictures[:2]:
        photo = Image.open(photos / row["name"])
        truth = np.asarray(photo.crop(((photo.width - 40) // 2, 0, (photo.width - 40) // 2 + 40, 40)))
        shown = truth.repeat(5, axis=0).repeat(5, axis=1)  # small pictures are enlarged
        left = 4 + 2 * (200 + 4)
        tops = [top for top in range(len(panel)) if np.array_equal(panel[top : top + 200, left : left + 200], shown)]
        assert len(tops) == 1


def test_metrics_may_be_picked(trained: Path, tmp_path: Path, photos: Path, run_script: RunScript) -> None:
    arguments = [f"checkpoint={trained}/checkpoints/best.ckpt", "data=folder", f"data.root={photos}", "trainer=cpu"]
    run_script("evaluate", *arguments, "data.num_workers=0", "metrics=[auc,ssim]", f"hydra.run.dir={tmp_path}/e")
    summary, pictures = read(tmp_path / "e")
    assert summary["metrics"].keys() == {"auc", "gray_auc", "ssim", "gray_ssim"}
    assert pictures[0].keys() == {"name", *summary["metrics"]}
    assert summary["left_out"] == {}


def test_a_training_split_is_scored_as_it_is(trained: Path, tmp_path: Path, run_script: RunScript) -> None:
    """Middle squares, each photo once: no random cuts."""
    arguments = [f"checkpoint={trained}/checkpoints/best.ckpt", "data=folder", f"data.root={trained.parent}/photos"]
    arguments += ["trainer=cpu", "data.val_share=0.4", "data.num_workers=0", "split=train", "metrics=[psnr]"]
    found = []
    for seed in (0, 1):
        run_script("evaluate", *arguments, f"seed={seed}", f"hydra.run.dir={tmp_path}/{seed}")
        found.append(read(tmp_path / str(seed)))
    assert found[0] == found[1]
    assert len({row["name"] for row in found[0][1]}) == len(found[0][1]) > 0


def test_mistakes_of_metrics_protocols_and_comparisons(
    trained: Path, rival: Path, tmp_path: Path, photos: Path, fails: Fails
) -> None:
    one = f"{trained}/checkpoints/best.ckpt"
    good = [f"checkpoint={one}", "data=folder", f"data.root={photos}", "trainer=cpu", f"hydra.run.dir={tmp_path}/e"]
    shutil.copy(one, tmp_path / "copy.ckpt")
    for arguments, parts in (
        ([*good, "metrics=[pnsr]"], ["metrics: pnsr does not exist", "did you mean psnr?"]),
        ([*good, "metrics=[]"], ["metrics=[] is empty"]),
        ([*good, "metrics=psnr"], ["metrics takes a list", "'metrics=[A,B]'"]),
        ([*good, "metrics=[psnr,lpips]"], ["lpips needs AlexNet's", "put it at", "lpips_weights=FILE"]),
        ([*good, "metrics=[fid]"], ["fid needs", "fid_weights=FILE"]),
        ([*good, "fid_backend=tff"], ["fid_backend=tff does not exist", "did you mean tf?"]),
        ([*good, "metrics=[psnr]", "fid_statistics=x"], ["fid_statistics has no effect"]),
        ([*good, "metrics=[psnr]", "lpips_weights=x.pth"], ["lpips_weights has no effect"]),
        ([*good, "lpips_weights=x.pth"], ["lpips_weights=x.pth does not exist"]),
        ([*good, "metrics=[lpips]", "data.size=16"], ["lpips needs pictures of 32 px or more, but these have 16"]),
        ([*good, "protocol=center265"], ["protocol=center265 does not exist", "center256"]),
        ([*good, "protocol=center256", "data.size=128"], ["data.size=128 has no effect", "protocol.size"]),
        ([*good, "protocol=native", "protocol.size=64"], ["protocol.geometry=native takes no size"]),
        ([*good, "protocol.geometry=round"], ["protocol.geometry=round", "'stretch'"]),
        ([*good, "resolution=4"], ["resolution=4 is too small"]),
        ([*good, f"compare=[{one},{tmp_path}/copy.ckpt]"], ["checkpoint and compare do not go together"]),
        ([*good[1:], f"compare=[{one}]"], ["compares nothing"]),
        ([*good[1:], f"compare=[{one},{one}]"], ["twice"]),
        ([*good[1:], f"compare=[{one},{tmp_path}/nowhere.ckpt]"], ["nowhere.ckpt", "does not exist"]),
    ):
        message = fails("evaluate", *arguments)
        for part in parts:
            assert part in message, message
    assert not (tmp_path / "e" / "metrics.json").exists()


@pytest.mark.parametrize(
    ("paths", "labels"),
    [
        (["runs/a/checkpoints/best.ckpt", "runs/b/checkpoints/best.ckpt"], ["a", "b"]),
        (["runs/a/checkpoints/best.ckpt", "runs/a/checkpoints/last.ckpt"], ["best.ckpt", "last.ckpt"]),
        (["a/checkpoints/best.ckpt", "b/checkpoints/last.ckpt"], ["best.ckpt", "last.ckpt"]),
        (["a/x/best.ckpt", "b/x/best.ckpt", "a/y/best.ckpt"], ["a/x", "b/x", "a/y"]),
        (["/best.ckpt", "/gray/best.ckpt"], ["best.ckpt", "gray/best.ckpt"]),
        (["a/best.ckpt", "a/checkpoints/best.ckpt"], ["best.ckpt", "checkpoints/best.ckpt"]),
        (["runs/a/best.ckpt", "runs/b/best.ckpt", "default"], ["a", "b", "default"]),
        (["default", "ddcolor_tiny"], ["default", "ddcolor_tiny"]),
        (["runs/a/pictures"], ["pictures"]),
    ],
)
def test_labels_tell_checkpoints_apart(paths: list[str], labels: list[str]) -> None:
    assert distinct_labels(paths) == labels


@pytest.mark.parametrize("count", [1, 2, 3, 8, 9, 50])
def test_extremes_are_never_the_same_picture(count: int) -> None:
    order = list(range(count))
    chosen = choose_extremes(order)
    everything = [index for indices in chosen.values() for index in indices]
    assert len(everything) == len(set(everything)) == min(9, count if count < 3 else 3 * (count // 3))
    assert chosen["best"][0] == 0
    if count > 1:
        assert chosen["worst"][0] == count - 1
    if count == 50:
        assert chosen["median"] == [23, 24, 25]


def test_a_metric_that_needs_another_can_be_asked_for_alone(
    trained: Path, tmp_path: Path, photos: Path, run_script: RunScript
) -> None:
    options = [f"checkpoint={trained}/checkpoints/last.ckpt", "data=folder", f"data.root={photos}", "split=all"]
    options += ["trainer=cpu", "data.num_workers=0", f"hydra.run.dir={tmp_path}/e"]
    run_script("evaluate", *options, "metrics=[colorfulness_mean_difference]")
    found = json.loads((tmp_path / "e" / "metrics.json").read_text())["metrics"]
    assert found.keys() == {"colorfulness_mean_difference", "gray_colorfulness_mean_difference"}


def test_a_temperature_is_for_objectives_that_have_one(
    trained: Path, tmp_path: Path, photos: Path, run_script: RunScript, fails: Fails
) -> None:
    """Another temperature is another result of a classifier; a regression has none."""
    train_in(tmp_path / "run", photos, *TINY, "objective=classification", f"paths.output_dir={tmp_path}/out")
    scored = ["data=folder", f"data.root={photos}", "split=all", "trainer=cpu", "data.num_workers=0"]
    scored += ["metrics=[colorfulness]"]
    found = {}
    for temperature in ("1.0", "0.05"):
        folder = tmp_path / temperature
        options = [f"checkpoint={tmp_path}/run/checkpoints/last.ckpt", f"temperature={temperature}"]
        run_script("evaluate", *options, *scored, f"hydra.run.dir={folder}")
        summary = json.loads((folder / "metrics.json").read_text())
        assert summary["temperature"] == float(temperature)
        found[temperature] = summary["metrics"]["colorfulness"]
    assert abs(found["0.05"] - found["1.0"]) > 0.1
    options = [f"checkpoint={trained}/checkpoints/last.ckpt", *scored, f"hydra.run.dir={tmp_path}/e"]
    assert "has no temperature" in fails("evaluate", *options, "temperature=0.5")
