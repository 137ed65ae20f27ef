"""The command that turns a folder of photos into shards."""

import csv
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from colorization.data.folder import FolderDataModule
from colorization.data.tars.index import Manifest, file_sha256
from colorization.data.tars.photos import ShardsDataModule
from colorization.errors import DataError
from colorization.imagefiles import to_rgb
from tests.helpers.photos import make_folder, make_photo
from tests.helpers.pictures import TURNS
from tests.helpers.runs import RunScript

PREPARE = "colorization.commands.prepare"
Fails = Callable[..., str]


def contents(folder: Path) -> dict[str, bytes]:
    """All files of a folder, hidden ones too."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def names(folder: Path, split: str) -> set[str]:
    """The photos of a split of shards, without the shard and the ending."""
    photos = ShardsDataModule(str(folder), size=32, batch_size=2).photos(split)  # type: ignore[arg-type]
    assert photos is not None
    return {os.path.splitext(photos.name(index).partition("/")[2])[0] for index in range(len(photos))}


def held_out(folder: Path, share: float = 0.1) -> set[str]:
    photos = FolderDataModule(str(folder), val_share=share, size=32, batch_size=2).photos("val")
    assert photos is not None
    return {os.path.splitext(photos.name(index))[0] for index in range(len(photos))}


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """Thirty photos, one of them gray and one no picture."""
    folder = make_folder(tmp_path / "many", 30)
    make_photo().convert("L").save(folder / "gray.png")
    (folder / "text.jpg").write_text("not a picture")
    return folder


def test_shards_hold_the_folder_s_photos_in_its_splits(many: Path, tmp_path: Path, run_script: RunScript) -> None:
    run_script(PREPARE, str(many), "out", "photos_per_shard=7", "val_share=0.3", "num_workers=0")
    out = tmp_path / "out"
    assert names(out, "val") == held_out(many, 0.3) - {"gray", "text"}
    assert names(out, "all") == {str(path.relative_to(many).with_suffix("")) for path in many.rglob("photo*")}
    assert names(out, "train") == names(out, "all") - names(out, "val")
    with (out / "left_out.csv").open() as file:
        left_out = {row["name"]: row["why"] for row in csv.DictReader(file)}
    assert left_out == {"gray.png": "is gray", "text.jpg": "is not a picture of a known format"}


def test_the_manifest_says_what_is_there(many: Path, tmp_path: Path, run_script: RunScript) -> None:
    run_script(PREPARE, str(many), "out", "photos_per_shard=7", "num_workers=0")
    out = tmp_path / "out"
    text = (out / "manifest.json").read_bytes()
    manifest = Manifest.parse(text, "here")
    assert manifest is not None
    assert (manifest.photos, manifest.left_out, manifest.source["photos"]) == (30, 2, 32)
    assert {entry.name for entry in manifest.shards} == {path.name for path in out.glob("*.tar")}
    for entry in manifest.shards:
        path = out / entry.name
        assert (path.stat().st_size, file_sha256(path)) == (entry.bytes, entry.sha256)
        with tarfile.open(path) as tar:
            assert len(tar.getnames()) == entry.photos <= 7
    assert str(tmp_path).encode() not in text  # nobody needs to know where the photos were


def test_the_same_photos_give_the_same_bytes(many: Path, tmp_path: Path, run_script: RunScript) -> None:
    run_script(PREPARE, str(many), "one", "photos_per_shard=9", "num_workers=0")
    shutil.copytree(many, tmp_path / "copy")  # with other dates
    run_script(PREPARE, str(tmp_path / "copy"), "two", "photos_per_shard=9", "num_workers=2")
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


def test_photos_are_upright_small_and_close_to_the_original(tmp_path: Path, run_script: RunScript) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = make_photo(300, 200)
    turn = TURNS[6]
    assert turn is not None
    upright.transpose(turn).save(folder / "turned.jpg", quality=98, subsampling=0, exif=exif)
    make_photo(60, 90, seed=1).save(folder / "small.png")
    run_script(PREPARE, str(folder), "out", "size=100", "num_workers=0")
    photos = ShardsDataModule("out", size=32, batch_size=2).photos("all")
    assert photos is not None
    found = {Path(photos.name(index)).stem: photos.open(index) for index in range(2)}
    assert found["turned"].size == (150, 100)
    assert found["small"].size == (60, 90)
    for name, original in (
        ("turned", upright.resize((150, 100), Image.Resampling.LANCZOS)),
        ("small", make_photo(60, 90, 1)),
    ):
        difference = np.asarray(to_rgb(found[name])).astype(float) - np.asarray(original)
        assert np.abs(difference).mean() < 2


def test_train_val_and_test_folders_stay_the_splits(tmp_path: Path, run_script: RunScript) -> None:
    for split, count in (("train", 4), ("val", 3), ("test", 2), ("elsewhere", 1)):
        make_folder(tmp_path / "photos" / split, count)
    run_script(PREPARE, "photos", "out", "num_workers=0")
    data = ShardsDataModule("out", size=32, batch_size=2)
    lengths = [len(data.photos(split) or ()) for split in ("train", "val", "test", "all")]
    assert lengths == [4, 3, 2, 9]
    assert data.own_test_split() == "test"
    assert 'elsewhere/photo 0.png,"is in none of the folders' in Path("out/left_out.csv").read_text()


def test_names_that_would_be_the_same_and_odd_ones(tmp_path: Path, run_script: RunScript) -> None:
    folder = tmp_path / "photos, (1)=2"
    folder.mkdir()
    for number, name in enumerate(("a.png", "a.jpg", "a_2.jpg", "b.c.d.png", "é ü.png", "line\nbreak.jpg")):
        make_photo(seed=number).save(folder / name)
    broken = os.fsdecode(os.fsencode(folder) + b"/\xff\xfe.png")
    make_photo(seed=9).save(tmp_path / "x.png")
    (tmp_path / "x.png").rename(broken)
    run_script(PREPARE, str(folder), "out, [1]=x", "num_workers=0")
    expected = {"a", "a_2", "a_2_2", "b_c_d", "é ü", "line\nbreak", "\udcff\udcfe"}
    assert names(tmp_path / "out, [1]=x", "all") == expected


STOPPING = """
import os, signal, sys
from colorization.commands.main import prepare
from colorization.data.tars import writing

calls = []
def stopping(path):
    calls.append(path)
    if len(calls) > 2:
        os.kill(os.getpid(), getattr(signal, how))
    return original(path)

how = sys.argv.pop(1)
original, writing.file_sha256 = writing.file_sha256, stopping
prepare()
"""


def stop_after_two_shards(how: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Runs the command in a process of its own, which a signal ends when it is about to finish its third shard."""
    command = [sys.executable, "-c", STOPPING, how, *arguments]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["SIGINT", pytest.param("SIGKILL", marks=pytest.mark.long)])
def test_a_stopped_run_resumes(many: Path, tmp_path: Path, run_script: RunScript, how: str) -> None:
    run_script(PREPARE, str(many), "whole", "photos_per_shard=5", "num_workers=0")
    stopped = stop_after_two_shards(how, str(many), str(tmp_path / "out"), "photos_per_shard=5", "num_workers=2")
    assert stopped.returncode == (130 if how == "SIGINT" else -signal.SIGKILL)
    if how == "SIGINT":
        assert "2 of 7 shards are written; repeat the command to resume" in stopped.stderr
        assert "Traceback" not in stopped.stderr
    out = tmp_path / "out"
    kept = {path: path.stat().st_mtime_ns for path in out.glob("[!.]*.tar")}
    assert len(kept) == 2
    assert all(path.read_bytes() == (tmp_path / "whole" / path.name).read_bytes() for path in kept)
    with pytest.raises(DataError, match="is not finished"):
        ShardsDataModule(str(out), size=32, batch_size=2).photos("all")
    run_script(PREPARE, str(many), "out", "photos_per_shard=5", "num_workers=0")
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert contents(out) == contents(tmp_path / "whole")


def test_a_second_run_changes_nothing_and_another_is_refused(
    many: Path, tmp_path: Path, run_script: RunScript, fails: Fails
) -> None:
    arguments = [str(many), "out", "num_workers=0"]
    run_script(PREPARE, *arguments)
    before = contents(tmp_path / "out")
    run_script(PREPARE, *arguments)
    assert contents(tmp_path / "out") == before
    assert "made from other photos or with other options" in fails(PREPARE, *arguments, "size=100")
    make_photo(seed=50).save(many / "new.png")
    assert "made from other photos or with other options" in fails(PREPARE, *arguments)
    assert contents(tmp_path / "out") == before


def test_two_processes_do_not_write_the_same_shards(many: Path, tmp_path: Path, fails: Fails) -> None:
    from filelock import FileLock

    (tmp_path / "out" / ".unfinished").mkdir(parents=True)
    with FileLock(tmp_path / "out" / ".unfinished" / "lock"):
        assert "is being written by another process" in fails(PREPARE, str(many), "out", "num_workers=0")


FULL = """
import resource, signal, sys
from colorization.commands.main import prepare

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
prepare()
"""


@pytest.mark.long
def test_a_full_disk_leaves_nothing_half_written(many: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-c", FULL, str(many), str(tmp_path / "out"), "num_workers=0"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    stopped = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)
    assert stopped.returncode == 1
    assert "out can't be written (File too large): make room" in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".unfinished"]


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["nowhere", "out"], ["source=nowhere does not exist"]),
        (["many/text.jpg", "out"], ["source=many/text.jpg is a file"]),
        (["empty", "out"], ["source=empty holds no pictures"]),
        (["gray", "out"], ["source=gray has no train photo with colours: ", ".png: is gray", "val_share"]),
        (["many"], ["target is missing"]),
        (["many", "many/shards"], ["target=many/shards", "must not contain each other"]),
        (["many", "."], ["target=.", "must not contain each other"]),
        (["many", "full"], ["target=full holds other files"]),
        (["many", "full/file"], ["target=full/file is a file"]),
        (["many", "full/file/out"], ["target=full/file/out can't be written"]),
        (["many", "nowhere_link"], ["target=nowhere_link is a broken link"]),
        (["many", "out", "-m", "size=32,64"], ["-m does not work here", "one command"]),
        (["many", "out", "--multirun"], ["--multirun does not work here"]),
        (["many", "out", "hydra.mode=MULTIRUN"], ["hydra.mode=MULTIRUN does not work here"]),
        (
            ["split", "out"],
            ["split/val has no photo with colours: val/", ".png: is gray; add colour photos, or remove"],
        ),
        (["many", "out", "third"], ["third is one word too many"]),
        (["many", "out", "sise=3"], ["sise is not an option; did you mean size?"]),
        (["many", "out", "size=3"], ["size=3 is too small: give 16 or more"]),
        (["many", "out", "quality=101"], ["quality=101 is too large"]),
        (["many", "out", "val_share=1"], ["val_share=1 is not a share"]),
        (["many", "out", "size=large"], ["size"]),
    ],
)
def test_a_mistake_gets_one_sentence(
    many: Path, tmp_path: Path, fails: Fails, arguments: list[str], parts: list[str]
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    (tmp_path / "nowhere_link").symlink_to(tmp_path / "nowhere")
    make_folder(tmp_path / "split" / "train", 2)
    for folder in (tmp_path / "gray", tmp_path / "split" / "val"):
        folder.mkdir()
        for number in range(3):
            make_photo(seed=number).convert("L").save(folder / f"{number}.png")
    message = fails(PREPARE, *arguments, *([] if len(arguments) > 2 else ["num_workers=0"]))
    for part in parts:
        assert part in message
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "multirun").exists()


def test_help(run_script: RunScript, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        run_script(PREPARE, "--help")
    assert stop.value.code in (0, None)
    printed = capfd.readouterr().out
    for word in ("colorize-prepare", "photos_per_shard", "left_out.csv"):
        assert word in printed
