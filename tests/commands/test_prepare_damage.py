"""What becomes of shards, of their index and of what is noted of them when any of it is lost or damaged."""

import errno
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from colorization.commands import prepare
from colorization.data.tars import writing
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


def damage_notes(notes: Path, how: str) -> None:
    if how == "cut npz":
        path = next(notes.glob("train-*.npz"))
        path.write_bytes(path.read_bytes()[:100])
    elif how == "no npz":
        next(notes.glob("train-*.npz")).unlink()
    else:
        next(notes.glob("train-*.json" if how == "empty json" else "plan.json")).write_bytes(b"")


@pytest.mark.parametrize("how", ["cut npz", "no npz", "empty json", "empty plan"])
def test_damaged_notes_count_as_none(many: Path, tmp_path: Path, run_script: RunScript, how: str) -> None:
    arguments = [str(many), "out", "photos_per_shard=5", "num_workers=0"]
    run_script(PREPARE, *arguments)
    out = tmp_path / "out"
    whole = contents(out)
    plan = prepare.Plan(prepare.listed(many), prepare.Recipe(256, 95, 5, 0.1))
    unfinish(out, plan)
    damage_notes(out / ".unfinished", how)
    run_script(PREPARE, *arguments)
    assert contents(out) == whole


def test_notes_of_an_unknown_plan_are_not_trusted(many: Path, tmp_path: Path, run_script: RunScript) -> None:
    arguments = [str(many), "num_workers=0", "photos_per_shard=5"]
    run_script(PREPARE, *arguments, "out", "quality=50")
    run_script(PREPARE, *arguments, "whole")
    unfinish(tmp_path / "out", prepare.Plan(prepare.listed(many), prepare.Recipe(256, 50, 5, 0.1)))
    damage_notes(tmp_path / "out" / ".unfinished", "empty plan")
    run_script(PREPARE, *arguments, "out")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def unfinish(out: Path, plan: prepare.Plan) -> None:
    """Leaves a finished folder as a kill before the manifest would have left it."""
    manifest = Manifest.parse((out / "manifest.json").read_bytes(), "here")
    assert manifest is not None
    notes = out / ".unfinished"
    notes.mkdir()
    (notes / "plan.json").write_text(json.dumps(plan.description()))
    entries = {entry.name: entry for entry in manifest.shards}
    for shard in plan.shards:
        if shard.name in entries:
            record = Record.recovered(out / shard.name, plan, shard, entries[shard.name])
            assert record is not None
            record.write(notes)
    for name in ("manifest.json", "index.npz", "left_out.csv"):
        (out / name).unlink()


@pytest.mark.parametrize(
    "how", ["shard gone", "shard cut", "index gone", "index changed", "list gone", "shard gone and another changed"]
)
def test_what_was_lost_is_packed_again(many: Path, tmp_path: Path, run_script: RunScript, how: str) -> None:
    arguments = [str(many), "out", "photos_per_shard=5", "num_workers=0"]
    run_script(PREPARE, *arguments)
    out = tmp_path / "out"
    whole = contents(out)
    shard, other = sorted(out.glob("train-*.tar"))[:2]
    if how.startswith("shard gone"):
        shard.unlink()
    if how.endswith("another changed"):
        other.write_bytes(other.read_bytes().replace(b"\xff\xd8", b"\xff\xd9", 1))
    elif how == "shard cut":
        shard.write_bytes(shard.read_bytes()[:1000])
    elif how == "index gone":
        (out / "index.npz").unlink()
    elif how == "index changed":
        index = (out / "index.npz").read_bytes()
        (out / "index.npz").write_bytes(index[:-1] + bytes([index[-1] ^ 1]))
    elif how == "list gone":
        (out / "left_out.csv").unlink()
    damaged = contents(out)
    assert damaged != whole
    kept = {path: path.stat().st_mtime_ns for path in out.glob("*.tar") if whole[path.name] == damaged[path.name]}
    run_script(PREPARE, *arguments)
    assert contents(out) == whole
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def test_a_shard_that_comes_out_otherwise_is_refused(
    many: Path, tmp_path: Path, run_script: RunScript, fails: Fails, monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = [str(many), "out", "photos_per_shard=5", "num_workers=0"]
    run_script(PREPARE, *arguments)
    shard = next((tmp_path / "out").glob("train-*.tar"))
    shard.unlink()
    monkeypatch.setattr(writing, "packed", lambda rgb, recipe: b"as another library has it")
    assert f"{shard.name} can't be made again as manifest.json has it" in fails(PREPARE, *arguments)
    assert not shard.exists()


def test_a_damaged_manifest_says_what_to_remove(
    many: Path, tmp_path: Path, run_script: RunScript, fails: Fails
) -> None:
    arguments = [str(many), "out", "num_workers=0"]
    run_script(PREPARE, *arguments)
    path = tmp_path / "out" / "manifest.json"
    path.write_bytes(path.read_bytes()[:200])
    message = fails(PREPARE, *arguments)
    assert "out/manifest.json is damaged" in message
    assert "remove the folder out, and the same command makes it anew" in message


class Killed(writing.PackedPhotos):
    """Photos that take more memory than there is."""

    def __getitem__(self, index: int) -> writing.Packed:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


def test_a_loader_process_that_is_killed(
    many: Path, tmp_path: Path, run_script: RunScript, fails: Fails, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(prepare, "PackedPhotos", Killed)
        message = fails(PREPARE, str(many), "out", "num_workers=1")
    assert "the system ended a loader process" in message
    assert "give less than num_workers=1; the same command goes on" in message
    run_script(PREPARE, str(many), "out", "num_workers=0")
    assert b'"photos": 30,' in (tmp_path / "out" / "manifest.json").read_bytes()


def test_a_folder_that_can_t_be_listed(many: Path, fails: Fails, monkeypatch: pytest.MonkeyPatch) -> None:
    def walk(folder: Path) -> Iterator[str]:
        yield "a.jpg"
        raise PermissionError(errno.EACCES, "Permission denied", f"{folder}/sub")

    monkeypatch.setattr(prepare, "walk_pictures", walk)
    message = fails(PREPARE, "many", "out", "num_workers=0")
    assert "source=many can't be listed: many/sub: Permission denied; make it readable" in message


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

    original = prepare._finish
    monkeypatch.setattr(prepare, "_finish", finish)
    monkeypatch.setattr(os, "fsync", fsync)
    run_script(PREPARE, str(many), "out", "num_workers=0")
    assert set(notes) == {".json", ".npz"}
    assert synced >= {*notes.values(), *(path.stat().st_ino for path in (tmp_path / "out").iterdir())}
