"""What the command that makes shards says of damage, and how it keeps from causing any."""

import errno
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from colorization.commands import prepare
from colorization.data.tars import preparing, writing
from colorization.data.tars.index import Manifest
from colorization.data.tars.writing import Record
from tests.helpers.photos import make_folder, make_photo
from tests.helpers.runs import RunScript

PREPARE = "colorization.commands.prepare"
Fails = Callable[..., str]


def contents(folder: Path) -> dict[str, bytes]:
    """All files of a folder, hidden ones too."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """Thirty photos, and a gray one."""
    folder = make_folder(tmp_path / "many", 30)
    make_photo().convert("L").save(folder / "gray.png")
    return folder


@pytest.mark.parametrize("what", ["manifest.json", "index.npz", "left_out.csv", "train-00000.tar"])
@pytest.mark.parametrize("how", ["gone", "cut"])
def test_corrupt_output_is_reported_and_not_repaired(
    many: Path, tmp_path: Path, run_script: RunScript, fails: Fails, what: str, how: str
) -> None:
    if (what, how) in (("manifest.json", "gone"), ("left_out.csv", "cut")):
        pytest.skip("a folder without a manifest holds other things; nothing says how long the list is")
    arguments = [str(many), "out", "photos_per_shard=5", "num_workers=0"]
    run_script(PREPARE, *arguments)
    path = tmp_path / "out" / what
    damaged = path.read_bytes()[:200]
    path.unlink()
    if how == "cut":
        path.write_bytes(damaged)
    before = contents(tmp_path / "out")
    expected = f"out/{what} is missing or corrupt: remove the folder out and repeat the command"
    assert expected in fails(PREPARE, *arguments)
    assert contents(tmp_path / "out") == before


@pytest.mark.parametrize("what", ["val-00000.json", "val-00000.npz", "plan.json"])
def test_corrupt_records_are_not_trusted(
    many: Path, tmp_path: Path, run_script: RunScript, fails: Fails, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    arguments = [str(many), "out", "photos_per_shard=5", "num_workers=0"]
    with monkeypatch.context() as patch:
        patch.setattr(preparing, "_finish", stop)
        with pytest.raises(SystemExit):
            run_script(PREPARE, *arguments)
    path = tmp_path / "out" / ".unfinished" / what
    path.write_bytes(path.read_bytes()[:100])
    assert "remove" in fails(PREPARE, *arguments)


def stop(*_: object) -> None:
    raise KeyboardInterrupt


class Killed(writing.PackedPhotos):
    """Photos that take more memory than there is."""

    def __getitem__(self, index: int) -> writing.Packed:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


@pytest.mark.slow
def test_a_loader_process_that_is_killed(
    many: Path, tmp_path: Path, run_script: RunScript, fails: Fails, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(preparing, "PackedPhotos", Killed)
        message = fails(PREPARE, str(many), "out", "num_workers=1")
    assert "the system killed a loader process" in message
    assert "give less than num_workers=1 and repeat the command" in message
    run_script(PREPARE, str(many), "out", "num_workers=0")
    assert b'"photos": 30,' in (tmp_path / "out" / "manifest.json").read_bytes()


def test_a_folder_that_can_t_be_listed(many: Path, fails: Fails, monkeypatch: pytest.MonkeyPatch) -> None:
    def walk(folder: Path) -> Iterator[str]:
        yield "a.jpg"
        raise PermissionError(errno.EACCES, "Permission denied", f"{folder}/sub")

    monkeypatch.setattr(prepare, "walk_pictures", walk)
    message = fails(PREPARE, "many", "out", "num_workers=0")
    assert "many/sub: Permission denied" in message


def test_what_is_relied_on_later_is_on_the_disk(
    many: Path, tmp_path: Path, run_script: RunScript, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: set[int] = set()
    notes: dict[str, int] = {}

    def fsync(file: int) -> None:
        synced.add(os.fstat(file).st_ino)

    def finish(plan: writing.Plan, target: Path, records: list[Record]) -> Manifest:
        notes.update((path.suffix, path.stat().st_ino) for path in (target / ".unfinished").glob("*-00000.*"))
        return original(plan, target, records)

    original = preparing._finish
    monkeypatch.setattr(preparing, "_finish", finish)
    monkeypatch.setattr(os, "fsync", fsync)
    run_script(PREPARE, str(many), "out", "num_workers=0")
    assert set(notes) == {".json", ".npz"}
    assert synced >= {*notes.values(), *(path.stat().st_ino for path in (tmp_path / "out").iterdir())}
