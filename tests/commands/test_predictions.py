"""evaluate.py on pictures that are coloured already."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio

from colorization.config.instantiate import instantiate
from tests.helpers.photos import make_photo
from tests.helpers.runs import CONF, RunScript

Fails = Callable[..., str]


@pytest.fixture(autouse=True)
def _empty_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is in the user's cache must not decide about the metrics."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))


def read(folder: Path) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """`metrics.json` and `pictures.csv`."""
    summary = json.loads((folder / "metrics.json").read_text())
    with (folder / "pictures.csv").open() as file:
        return summary, list(csv.DictReader(file))


def scored(photos: Path) -> list[str]:
    return ["data=folder", f"data.root={photos}", "split=all", "trainer=cpu", "data.num_workers=0"]


def reddened(photo: Image.Image, amount: int) -> Image.Image:
    pixels = np.asarray(photo).astype(int) + np.array([amount, 0, -amount])
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


@pytest.fixture
def tools(photos: Path, tmp_path: Path) -> tuple[Path, Path]:
    """The pictures of two tools: the first keeps the folders, the second doesn't and is further from the truth."""
    near, far = tmp_path / "near", tmp_path / "far"
    for path in photos.rglob("*.png"):
        target = near / path.relative_to(photos)
        target.parent.mkdir(parents=True, exist_ok=True)
        far.mkdir(exist_ok=True)
        reddened(Image.open(path), 8).save(target)
        reddened(Image.open(path), 40).save(far / path.name)
    return near, far


def test_a_checkpoint_and_the_folder_of_its_outputs_have_the_same_scores(
    trained: Path, tmp_path: Path, photos: Path, run_script: RunScript
) -> None:
    """To the last digit: every score is of the 8-bit pixels that predict.py writes. One photo has several tiles."""
    make_photo(300, 270, seed=9).save(photos / "large.png")
    checkpoint = f"checkpoint={trained}/checkpoints/best.ckpt"
    run_script("predict", checkpoint, f"input={photos}", f"output={tmp_path}/out", "batch_size=1", "device=cpu")
    common = [*scored(photos), "protocol=native"]
    run_script("evaluate", checkpoint, *common, f"hydra.run.dir={tmp_path}/a")
    run_script("evaluate", f"predictions=[{tmp_path}/out]", *common, f"hydra.run.dir={tmp_path}/b")
    one, its_pictures = read(tmp_path / "a")
    other, pictures = read(tmp_path / "b")
    clipped = {"clipped", "gray_clipped"}  # of a network's colours only
    assert other["left_out"].keys() - one["left_out"].keys() == {"clipped"}
    assert {k: v for k, v in one["metrics"].items() if k not in clipped} == other["metrics"]
    assert len(pictures) == 7
    for row in its_pictures:
        for key in clipped:
            del row[key]
    assert its_pictures == pictures
    one["difference_to_gray_95"].pop("clipped")
    assert one["difference_to_gray_95"] == other["difference_to_gray_95"]
    assert one["extremes"] == other["extremes"]
    for name in ("panel.png", "extremes.png"):
        widths = [Image.open(tmp_path / run / name).width for run in "ab"]
        assert widths[0] == widths[1]


def test_two_tools_are_compared(
    tools: tuple[Path, Path], tmp_path: Path, photos: Path, run_script: RunScript, capsys: pytest.CaptureFixture[str]
) -> None:
    near, far = tools
    (near / "photo 0.png").unlink()
    make_photo().save(far / "stranger.png")
    arguments = [f"predictions=[{near},{far}]", *scored(photos), "protocol=native", "metrics=[psnr,colorfulness]"]
    run_script("evaluate", *arguments, f"hydra.run.dir={tmp_path}/e")
    summary, pictures = read(tmp_path / "e")
    assert {row["name"] for row in pictures} == {
        path.relative_to(photos).as_posix() for path in photos.rglob("*.png") if path.name != "photo 0.png"
    }
    for row in pictures:
        truth = np.asarray(Image.open(photos / row["name"]))
        for label, path in (("near", near / row["name"]), ("far", far / Path(row["name"]).name)):
            expected = peak_signal_noise_ratio(truth, np.asarray(Image.open(path)))
            assert float(row[f"{label}: psnr"]) == pytest.approx(expected, rel=1e-5)
    other = summary["compare"]["far"]
    assert other["predictions"] == str(far)
    assert other["difference_to_first"]["psnr"] < 0
    low, high = other["difference_to_first_95"]["psnr"]
    assert low <= other["difference_to_first"]["psnr"] <= high < 0
    assert summary["unpaired"] == {
        "near": {"photos": ["photo 0.png"], "pictures": []},
        "far": {"photos": [], "pictures": ["stranger.png"]},
    }
    printed = capsys.readouterr().out.replace("\n", " ")
    assert "1 photo with no picture in" in printed
    assert "1 picture of no photo in" in printed
    assert "stranger.png" in printed


def test_a_checkpoint_is_compared_with_a_tool(
    trained: Path, tools: tuple[Path, Path], tmp_path: Path, photos: Path, run_script: RunScript
) -> None:
    arguments = [f"checkpoint={trained}/checkpoints/best.ckpt", f"predictions=[{tools[0]}]", *scored(photos)]
    run_script("evaluate", *arguments, "metrics=[psnr]", f"hydra.run.dir={tmp_path}/e")
    summary, _ = read(tmp_path / "e")
    assert list(summary["compare"]) == ["best.ckpt", "near"]
    assert summary["compare"]["near"]["difference_to_first"]["psnr"] > 0


@pytest.mark.parametrize("protocol", ["native", "ct2", "stretch256"])
def test_pictures_of_any_size(tmp_path: Path, photos: Path, run_script: RunScript, protocol: str) -> None:
    """Of the photo's size, of the scored size, and of another one. The photo itself is the perfect picture."""
    for path in photos.rglob("*.png"):
        path.unlink()
    out = tmp_path / "out"
    out.mkdir()
    photo = make_photo(60, 44)
    for name in ("same", "scored", "other"):
        photo.save(photos / f"{name}.png")
    node = yaml.safe_load((CONF / "protocol" / f"{protocol}.yaml").read_text())
    cut = instantiate(node, "protocol")
    photo.save(out / "same.png")
    cut(photo).save(out / "scored.png")
    photo.resize((120, 88), Image.Resampling.BICUBIC).save(out / "other.png")
    arguments = [f"predictions=[{out}]", *scored(photos), f"protocol={protocol}", "metrics=[psnr]"]
    run_script("evaluate", *arguments, f"hydra.run.dir={tmp_path}/e")
    _, pictures = read(tmp_path / "e")
    psnr = {row["name"]: float(row["psnr"]) for row in pictures}
    assert psnr["same.png"] == psnr["scored.png"] == 100  # where it is capped
    back = cut(photo.resize((120, 88), Image.Resampling.BICUBIC).resize((60, 44), Image.Resampling.BICUBIC))
    expected = peak_signal_noise_ratio(np.asarray(cut(photo)), np.asarray(back))
    assert psnr["other.png"] == pytest.approx(expected, rel=1e-5)
    assert "1 of the pictures in" in (tmp_path / "e" / "report.md").read_text()


def test_the_best_of_several_counts(tmp_path: Path, photos: Path, run_script: RunScript, fails: Fails) -> None:
    out = tmp_path / "out"
    for path in photos.rglob("*.png"):
        for number, amount in enumerate((30, 6, 60)):
            target = out / path.relative_to(photos).with_suffix("") / f"{number}.png"
            if path.parent == photos:
                target = out / f"{path.stem}_{number}.png"
            target.parent.mkdir(parents=True, exist_ok=True)
            reddened(Image.open(path), amount).save(target)
    arguments = [f"predictions=[{out}]", *scored(photos), "protocol=native", "metrics=[psnr]"]
    run_script("evaluate", *arguments, "best_of=3", f"hydra.run.dir={tmp_path}/e")
    summary, pictures = read(tmp_path / "e")
    assert summary["best_of"] == 3
    assert len(pictures) == 6
    for row in pictures:
        truth = Image.open(photos / row["name"])
        expected = peak_signal_noise_ratio(np.asarray(truth), np.asarray(reddened(truth, 6)))
        assert float(row["psnr"]) == pytest.approx(expected, rel=1e-5)
    assert "best of 3 by PSNR" in (tmp_path / "e" / "report.md").read_text()
    assert "has 3 pictures" in fails("evaluate", *arguments, "best_of=2")
    assert "no photo of" in fails("evaluate", *arguments, "best_of=4")


def test_an_unreadable_picture_is_named(
    tools: tuple[Path, Path], tmp_path: Path, photos: Path, run_script: RunScript
) -> None:
    (tools[0] / "photo 0.png").write_bytes(b"no picture")
    arguments = [f"predictions=[{tools[0]}]", *scored(photos), "protocol=native", "metrics=[psnr]"]
    run_script("evaluate", *arguments, f"hydra.run.dir={tmp_path}/e")
    assert read(tmp_path / "e")[0]["pictures"] == 5
    skipped = (tmp_path / "e" / "skipped.csv").read_text()
    assert "photo 0.png,has a picture in" in skipped.replace('"', "")


def test_mistakes(tools: tuple[Path, Path], tmp_path: Path, photos: Path, fails: Fails, trained: Path) -> None:
    near, _ = tools
    good = [f"predictions=[{near}]", *scored(photos), f"hydra.run.dir={tmp_path}/e"]
    native = [*good, "protocol=native"]
    (tmp_path / "empty").mkdir()
    for arguments, part in (
        (good, "protocol=validation needs a size: give data.size=PIXELS"),
        ([*native, f"predictions=[{tmp_path}/nowhere]"], "nowhere does not exist"),
        ([*native, f"predictions=[{tmp_path}/empty]"], "holds no pictures"),
        ([*native, f"predictions=[{near}/photo 0.png]"], "is a file"),
        ([*native, f"predictions=[{near},{near}]"], "twice"),
        ([*native, "predictions=[]"], "predictions=[] is empty"),
        ([*native, "best_of=0"], "best_of=0 is too small"),
        ([*native, "vividness=0.5"], "has no effect on predictions"),
        ([*native, "metrics=[clipped]"], "clipped is measured before rounding"),
        ([*native, "split=vall"], "did you mean val"),
        ([f"checkpoint={trained}/checkpoints/best.ckpt", *scored(photos), "best_of=2"], "no effect without"),
    ):
        message = fails("evaluate", *arguments)
        assert part in message, message
    assert not (tmp_path / "e" / "metrics.json").exists()


def test_a_benchmark_scores_its_photos_gray_ones_too(
    tools: tuple[Path, Path], tmp_path: Path, photos: Path, run_script: RunScript, fails: Fails
) -> None:
    """With a list of the user's, and once more with the list that the first evaluation writes."""
    gray = photos / "gray.png"
    Image.open(photos / "photo 0.png").convert("L").convert("RGB").save(gray)
    Image.open(gray).save(tools[0] / "gray.png")
    (tmp_path / "list.txt").write_text("gray.png\nphoto 3.png\n".replace("photo 3", "photo_3"))
    (photos / "photo 3.png").rename(photos / "photo_3.png")
    (tools[0] / "photo 3.png").rename(tools[0] / "photo_3.png")
    arguments = [f"predictions=[{tools[0]}]", *scored(photos), "benchmark=ctest10k", "benchmark.count=2"]
    arguments += ["protocol=native", "metrics=[psnr]"]
    run_script("evaluate", *arguments, f"benchmark.list={tmp_path}/list.txt", f"hydra.run.dir={tmp_path}/a")
    summary, pictures = read(tmp_path / "a")
    assert [row["name"] for row in pictures] == ["gray.png", "photo_3.png"]
    assert summary["skipped"] == {"unreadable": 0, "colorless": 0}
    assert summary["benchmark"]["checked"] is False
    assert float(pictures[0]["psnr"]) == 100
    again = [*arguments, f"benchmark.list={tmp_path}/a/photos.csv"]
    run_script("evaluate", *again, f"hydra.run.dir={tmp_path}/b")
    checked, _ = read(tmp_path / "b")
    assert checked["benchmark"] == {**summary["benchmark"], "checked": True}
    make_photo(seed=77).save(photos / "photo_3.png")
    assert "1 of its 2 photos are other files than those of the list, photo_3.png" in fails("evaluate", *again)
    assert "do not go together" in fails("evaluate", *again, "split=val")
