"""predict.py, from its command line to the files it leaves behind."""

import io
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest
import yaml
from PIL import Image

from colorization import Colorizer
from colorization.commands import coloring
from colorization.config.schemas import PredictConfig
from colorization.errors import ColorizationError, PictureError, shown
from colorization.inference.jobs import Job
from tests.helpers.names import ODD_NAMES
from tests.helpers.photos import make_photo
from tests.helpers.runs import CONF, RunScript
from tests.helpers.tiny import write_tiny

Fails = Callable[..., str]
Predict = Callable[..., str]
PREDICT = str(CONF.parent / "predict.py")


@pytest.fixture
def checkpoint(trained: Path) -> str:
    return f"checkpoint={trained}/checkpoints/best.ckpt"


@pytest.fixture
def colors(run_script: RunScript, checkpoint: str, capsys: pytest.CaptureFixture[str]) -> Predict:
    """Runs predict.py on the CPU, which has to end with an exit code; returns what it printed."""

    def run(*arguments: str, code: int | str = 0) -> str:
        exit_code: Any = 0
        try:
            run_script("predict", checkpoint, "device=cpu", *arguments)
        except SystemExit as stop:
            exit_code = stop.code
        assert exit_code == code
        return capsys.readouterr().out

    return run


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}


def counts(printed: str) -> dict[str, int]:
    """The numbers in the closing table."""
    words = [line.split() for line in printed.splitlines()]
    return {line[0]: int(line[1]) for line in words if line[:1] in (["coloured"], ["skipped"], ["failed"])}


def test_a_folder(colors: Predict, photos: Path, tmp_path: Path) -> None:
    printed = colors(f"input={photos}", f"output={tmp_path}/out")
    assert files(tmp_path / "out") == files(photos)
    assert counts(printed) == {"coloured": 6}
    for name in files(photos):
        with Image.open(photos / name) as before, Image.open(tmp_path / "out" / name) as after:
            assert (after.size, after.mode) == (before.size, "RGB")


def test_files_that_are_not_pictures_are_named(colors: Predict, tmp_path: Path) -> None:
    make_photo(9, 7).save(tmp_path / "a.png")
    (tmp_path / "b.mov").touch()
    (tmp_path / "c.txt").touch()
    printed = colors(f"input={tmp_path}", f"output={tmp_path}/out")
    assert printed.splitlines()[-1] == "left out: 1 .mov (name films one by one), 1 .txt"
    assert files(tmp_path / "out") == {"a.png"}


def test_odd_names(colors: Predict, tmp_path: Path) -> None:
    names = [f"{name}.png" for name in ODD_NAMES]
    (tmp_path / "in").mkdir()
    for name in names:
        make_photo(9, 7).save(tmp_path / "in" / name)
    os.chdir(tmp_path / "in")
    colors(*names, "output=../out [1], (2) = ${x}")
    assert files(tmp_path / "out [1], (2) = ${x}") == set(names)


def test_failures_do_not_stop_the_others(colors: Predict, photos: Path, tmp_path: Path) -> None:
    (photos / "a broken [bold]one\n.jpg").write_text("not a picture")
    (photos / "gone.jpg").symlink_to("nowhere")
    (tmp_path / "out" / "photo 0.png").mkdir(parents=True)
    printed = colors(f"input={photos}", "missing.jpg", f"output={tmp_path}/out", "batch_size=3", code=1)
    assert counts(printed) == {"coloured": 5, "failed": 4}
    assert "failed: missing.jpg: does not exist" in printed
    for name in ("a broken [bold]one\\n.jpg", "gone.jpg", "photo 0.png"):
        assert f"failed: {photos}/{name}: " in printed
    assert len(list((tmp_path / "out").rglob("*.png"))) == 6


def test_a_picture_that_the_network_fails_on_does_not_take_its_batch_along(
    colors: Predict, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    color_many = Colorizer.color_many

    def failing(self: Colorizer, pictures: list[Any]) -> list[Any]:
        if any(picture.size[0] == 50 for picture in pictures):
            raise RuntimeError("this one is too much\nfor me")
        return color_many(self, pictures)

    monkeypatch.setattr(Colorizer, "color_many", failing)
    printed = colors(str(photos), code=1)
    assert counts(printed) == {"coloured": 5, "failed": 1}
    assert "photo 2.png: this one is too much\n" in printed


def test_what_is_the_same_is_skipped(colors: Predict, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert counts(colors(str(photos), f"output={out}")) == {"coloured": 6}
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.png")}
    assert counts(colors(str(photos), f"output={out}")) == {"coloured": 0, "skipped": 6}
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.png")} == before
    out.rename(tmp_path / "moved")
    shutil.copytree(photos, tmp_path / "copied")
    assert counts(colors(str(tmp_path / "copied"), f"output={tmp_path}/moved")) == {"coloured": 0, "skipped": 6}
    assert counts(colors(str(photos), f"output={tmp_path}/moved", "overwrite=true")) == {"coloured": 6}


def test_what_is_not_the_same_is_left_alone_and_said(colors: Predict, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "photo 0.png").write_text("mine")
    printed = colors(str(photos), f"output={out}", code=1)
    assert counts(printed) == {"coloured": 5, "failed": 1}
    assert f"{out}/photo 0.png exists and does not say what it was made from: give another output" in printed
    assert (out / "photo 0.png").read_text() == "mine"
    assert counts(colors(str(photos), f"output={out}", "overwrite=true")) == {"coloured": 6}
    assert Image.open(out / "photo 0.png").size == (48, 40)


def test_another_picture_that_gets_the_same_name(colors: Predict, tmp_path: Path) -> None:
    make_photo(30, 20, seed=1).save(tmp_path / "a.jpg")
    make_photo(31, 21, seed=2).save(tmp_path / "a.png")
    colors("a.jpg", "format=png")
    printed = colors("a.png", "format=png", code=1)
    assert "a.png: colorized/a.png exists and was made from another picture" in printed
    assert Image.open(tmp_path / "colorized" / "a.png").size == (30, 20)
    colors("a.png", "format=PNG", "overwrite=true")
    colors("a.png", "format=JP2", "output=other")
    assert files(tmp_path / "other") == {"a.jp2"}
    assert Image.open(tmp_path / "colorized" / "a.png").size == (31, 21)


@pytest.mark.parametrize("ending", ["png", "jpg", "tif", "webp", "avif", "bmp", "jp2", "ppm"])
def test_another_network_or_option_is_noticed(
    colors: Predict, run_script: RunScript, capsys: pytest.CaptureFixture[str], tmp_path: Path, ending: str
) -> None:
    make_photo(30, 20).save(tmp_path / f"a.{ending}")
    colors(f"a.{ending}")
    assert counts(colors(f"a.{ending}")) == {"coloured": 0, "skipped": 1}
    before = (tmp_path / "colorized" / f"a.{ending}").read_bytes()
    assert "was made with saturation=1 instead of 2" in colors(f"a.{ending}", "saturation=2", code=1)
    assert "was made with quality=null instead of 50" in colors(f"a.{ending}", "quality=50", code=1)
    write_tiny(tmp_path / "other.ckpt")
    with pytest.raises(SystemExit) as stop:
        run_script("predict", "other.ckpt", "device=cpu", "resolution=32", f"a.{ending}")
    assert stop.value.code == 1
    assert "was made by another network" in capsys.readouterr().out
    assert (tmp_path / "colorized" / f"a.{ending}").read_bytes() == before


def test_the_checkpoint_is_opened_although_nothing_is_left_to_do(
    colors: Predict, run_script: RunScript, photos: Path
) -> None:
    colors(str(photos))
    with pytest.raises(SystemExit, match=r"typo\.ckpt does not exist"):
        run_script("predict", "checkpoint=typo.ckpt", str(photos))


def test_a_missing_comparison_is_made_up_for(colors: Predict, tmp_path: Path) -> None:
    make_photo(30, 20).save(tmp_path / "x.png")
    colors("x.png")
    assert counts(colors("x.png", "compare=true")) == {"coloured": 1}
    assert files(tmp_path / "colorized") == {"x.png", "x_compare.png"}
    assert counts(colors("x.png", "compare=true")) == {"coloured": 0, "skipped": 1}


@pytest.mark.parametrize("length", [244, 251])
def test_a_comparison_of_a_long_name(colors: Predict, tmp_path: Path, length: int) -> None:
    name = "é" * 10 + "x" * (length - 20) + ".png"
    make_photo(30, 20).save(tmp_path / name)
    colors(name, "compare=true")
    written = files(tmp_path / "colorized")
    assert name in written
    (comparison,) = written - {name}
    assert comparison.endswith("_compare.png")
    assert Image.open(tmp_path / "colorized" / comparison).size == (60, 20)


def test_a_comparison_that_can_t_be_written_is_said(colors: Predict, tmp_path: Path) -> None:
    make_photo(9000, 4).save(tmp_path / "wide.webp")
    printed = colors("wide.webp", "compare=true")
    assert "no side-by-side view: has 18000 x 4 pixels, but WEBP allows 16383" in printed
    assert counts(printed) == {"coloured": 1}
    assert files(tmp_path / "colorized") == {"wide.webp"}


def test_pipes_and_devices_are_failures(colors: Predict, photos: Path, tmp_path: Path) -> None:
    os.mkfifo(photos / "pipe.jpg")
    os.mkfifo(photos / "pipe.mp4")
    (photos / "device.png").symlink_to("/dev/zero")
    printed = colors(str(photos), str(photos / "pipe.mp4"), code=1)
    assert counts(printed) == {"coloured": 6, "failed": 3}
    assert printed.count("is not a regular file, but a pipe or a device") == 3


def test_what_a_killed_prediction_left_is_swept(colors: Predict, photos: Path, tmp_path: Path) -> None:
    left = [tmp_path / "colorized" / folder / f".{'0123456789abcdef' * 2}.part.png" for folder in ("", "nested")]
    for path in left:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    (tmp_path / "colorized" / ".mine.part").touch()
    colors(str(photos))
    assert files(tmp_path / "colorized") == files(photos) | {".mine.part"}


def test_an_interrupted_command_resumes(
    colors: Predict, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    color_many = Colorizer.color_many

    def interrupted(self: Colorizer, pictures: list[Any]) -> list[Any]:
        calls.append(len(pictures))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return color_many(self, pictures)

    monkeypatch.setattr(Colorizer, "color_many", interrupted)
    arguments = [str(photos), f"output={tmp_path}/out", "batch_size=2"]
    assert counts(colors(*arguments, code=130)) == {"coloured": 2}
    assert len(files(tmp_path / "out")) == 2
    assert counts(colors(*arguments)) == {"coloured": 4, "skipped": 2}


def test_options_of_writing(colors: Predict, photos: Path, tmp_path: Path) -> None:
    colors(f"{photos}/photo 0.png", f"output={tmp_path}/out", "suffix= (new), 1", "format=jpg", "quality=40")
    with Image.open(tmp_path / "out" / "photo 0 (new), 1.jpg") as image:
        assert (image.format, image.size) == ("JPEG", (48, 40))
    colors(f"{photos}/photo 0.png", f"output={tmp_path}/fine", "format=jpg", "quality=100")
    coarse, fine = (next((tmp_path / name).iterdir()).stat().st_size for name in ("out", "fine"))
    assert coarse < fine
    spread = {}
    for saturation in (0, 4):
        colors(f"{photos}/photo 0.png", f"output={tmp_path}/{saturation}.webp", f"saturation={saturation}")
        with Image.open(tmp_path / f"{saturation}.webp") as image:
            assert image.format == "WEBP"
            spread[saturation] = np.ptp(np.asarray(image.convert("RGB")).astype(int), axis=2)
    assert spread[0].max() <= 2  # rounding of gray
    assert spread[4].mean() > 5


@pytest.mark.parametrize("mode", ["RGB", "L", "LA"])
def test_before_and_after_side_by_side(colors: Predict, tmp_path: Path, mode: str) -> None:
    make_photo(30, 20).convert(mode).save(tmp_path / "x.png")
    colors("x.png", "compare=true")
    assert files(tmp_path / "colorized") == {"x.png", "x_compare.png"}
    views = (tmp_path / "x.png", tmp_path / "colorized" / "x.png", tmp_path / "colorized" / "x_compare.png")
    before, after, both = (np.asarray(Image.open(path).convert("RGBA")) for path in views)
    np.testing.assert_array_equal(both, np.concatenate([before, after], axis=1))


def test_in_the_place_of_the_originals(colors: Predict, photos: Path) -> None:
    before = files(photos)
    original = (photos / "photo 0.png").read_bytes()
    colors(str(photos), f"output={photos}", "suffix=_c")
    assert (photos / "photo 0.png").read_bytes() == original
    assert len(files(photos)) == 12
    assert counts(colors(str(photos), f"output={photos}", "suffix=_c")) == {"coloured": 0, "skipped": 6}
    for name in files(photos) - before:
        (photos / name).unlink()
    colors(str(photos), f"output={photos}", "overwrite=true")
    assert (photos / "photo 0.png").read_bytes() != original
    assert files(photos) == before


def test_mistakes(checkpoint: str, tmp_path: Path, photos: Path, fails: Fails) -> None:
    (tmp_path / "nothing").mkdir()
    (tmp_path / "file").touch()
    good = (checkpoint, f"input={photos}")
    for arguments, part in (
        ((checkpoint, "input=nowhere"), "nowhere: does not exist"),
        ((checkpoint, "nothing"), "nothing holds no pictures"),
        ((checkpoint,), "input is missing: name a picture or a folder, as in colorize photo.jpg"),
        ((*good, f"output={photos}"), "would overwrite the input"),
        ((*good, "output=file/below"), "output=file/below can't be written: Not a directory"),
        ((*good, "device=cuda:77"), "device=cuda:77"),
        ((*good, "resolution=1"), "resolution=1"),
        ((*good, "quality=0"), "quality=0: give 1 or more, up to 100"),
        ((*good, "batch_size=0"), "batch_size=0: give 1 or more"),
        ((*good, "max_pixels=0"), "max_pixels=0"),
        ((*good, "saturation=-1"), "saturation=-1"),
        ((*good, "temperature=1"), "temperature"),
        ((*good, "suffix=a/b"), "suffix=a/b"),
        ((*good, "format=jgp"), "did you mean jpg"),
        ((*good, "format=gif"), "format=gif can't be written"),
        ((*good, "output=-"), "output=- is not a folder: for standard output, give the picture on standard input"),
        ((*good, "outptu=here"), "did you mean output?"),
        ((*good, "overwrite=perhaps"), "overwrite"),
        ((*good, "-"), "leave out other inputs"),
        ((checkpoint, "-", "compare=true"), "leave out compare"),
        (("checkpoint=nowhere (1), x.ckpt", f"input={photos}"), "does not exist"),
    ):
        assert part in fails("predict", *arguments)
    assert not (tmp_path / "colorized").exists()


def test_a_bomb_is_refused(colors: Predict, photos: Path) -> None:
    printed = colors(str(photos), "max_pixels=1999", code=1)
    assert counts(printed) == {"coloured": 2, "failed": 4}  # 48 and 49 pixels wide
    assert printed.count("more than max_pixels=1999") == 4


def test_nothing_more_is_tried_once_the_disk_is_full(
    colors: Predict, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[Path] = []

    def full_disk(dir: Path) -> IO[bytes]:
        return Path("/dev/full").open("wb")

    def full(picture: object, target: Path, **options: object) -> list[str]:
        tried.append(target)
        monkeypatch.setattr(coloring.tempfile, "TemporaryFile", full_disk)
        raise PictureError(f"{target} can't be written: No space left on device")

    monkeypatch.setattr(coloring, "save_picture", full)
    colors(str(photos), "batch_size=2", code="Error: output=colorized can't be written: No space left on device")
    assert len(tried) == 2


def test_room_is_looked_for_before_anything_is_coloured(tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))  # as good as a full disk
    try:
        with pytest.raises(ColorizationError, match="out can't be written: File too large"):
            coloring.make_writable(tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert files(tmp_path) == set()


@pytest.mark.slow
def test_standard_input_to_standard_output(tmp_path: Path) -> None:
    """Nothing but a picture comes out, and neither Lightning nor wandb is loaded for it."""
    data = io.BytesIO()
    make_photo(31, 17).convert("L").save(data, "JPEG")
    code = (
        f"import runpy, sys; sys.path.insert(0, {str(Path(PREDICT).parent)!r}); "
        f"runpy.run_path({PREDICT!r}, run_name='__main__'); "
        "print([m for m in ('pytorch_lightning', 'lightning', 'wandb', 'torchmetrics') if m in sys.modules], "
        "file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "checkpoint=default", "-"], input=data.getvalue(), capture_output=True, check=True
    )
    with Image.open(io.BytesIO(done.stdout)) as image:
        assert (image.format, image.size, image.mode) == ("PNG", (31, 17), "RGB")
    assert done.stderr == b"[]\n"
    assert files(tmp_path) == set()


def test_a_bad_picture_on_standard_input(
    checkpoint: str, fails: Fails, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"not a picture")))
    assert "standard input is not a picture" in fails("predict", checkpoint, "input=-")
    assert capfd.readouterr().out == ""


@pytest.mark.long
def test_two_processes_shard_the_pictures(checkpoint: str, photos: Path, tmp_path: Path) -> None:
    started = [
        subprocess.Popen(
            [sys.executable, PREDICT, checkpoint, str(photos), "device=cpu"],
            env={**os.environ, "RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    for rank, process in enumerate(started):
        printed, _ = process.communicate(timeout=120)
        assert process.returncode == 0
        assert f"Process {rank + 1} of 2" in printed
        assert counts(printed) == {"coloured": 3}
    assert files(tmp_path / "colorized") == files(photos)


def test_batches_are_bounded_in_number_and_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coloring, "_BATCH_PIXELS", 1000)
    sizes = [100, 500, 400, 100, 2000, 300, 300, 300, 300, 1]
    for index, size in enumerate(sizes):
        Image.new("L", (size, 1)).save(tmp_path / f"{index}.png")
    (tmp_path / "10.png").touch()
    jobs = [Job(tmp_path / f"{index}.png", Path()) for index in range(11)]
    found = [[int(job.source.stem) for job in batch] for batch in coloring.batches(jobs, 3)]
    assert found == [[0, 1, 2], [3], [4], [5, 6, 7], [8, 9], [10]]


@pytest.mark.slow
def test_ctrl_c_leaves_nothing_half_written(checkpoint: str, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for index in range(100):
        make_photo(200, 200).save(folder / f"{index}.png")
    process = subprocess.Popen(
        [sys.executable, PREDICT, checkpoint, "in", "device=cpu"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # may be ignored in the background
    )
    while process.poll() is None and not list(tmp_path.glob("colorized/*.png")):
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=120)
    assert process.returncode == 130
    assert error == b"Stopped: repeat the command to resume\n"
    written = files(tmp_path / "colorized")
    assert 0 < len(written) < 100
    for name in written:
        Image.open(tmp_path / "colorized" / name).load()


def test_options_are_in_the_configuration_and_in_the_help() -> None:
    options = [field.name for field in fields(PredictConfig) if field.name != "paths"]
    written = yaml.safe_load((CONF / "predict.yaml").read_text())
    groups = {name for group in written["defaults"] if isinstance(group, dict) for name in group}
    assert [key for key in written if key not in ("defaults", "hydra")] == [key for key in options if key not in groups]
    text = yaml.safe_load((CONF / "hydra" / "help" / "predict.yaml").read_text())["template"]
    assert [line.split(":")[0].strip() for line in text.splitlines() if line.startswith(tuple(options))] == options


def test_any_name_can_be_shown() -> None:
    assert shown("a\nb\x1b[31m \udcff é 🎨") == "a\\nb\\x1b[31m \\udcff é 🎨"
