"""Regular files alone are opened; what is written is there as a whole or not at all, and what a kill left is swept."""

import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from colorization.runtime.files import atomic_file, open_regular, sweep


def listed(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_regular_files_are_opened(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to("file")
    for name in ("file", "link"):
        with open_regular(tmp_path / name) as file:
            assert file.read() == b"content"


@pytest.mark.parametrize("name", ["pipe", "link to a pipe", "device", "folder", "missing"])
def test_nothing_else_is(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link to a pipe").symlink_to("pipe")
    (tmp_path / "device").symlink_to("/dev/zero")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match=name) as error:
        open_regular(tmp_path / name)
    assert error.value.strerror


@pytest.mark.parametrize("name", ["x.png", "x" * 251 + ".png", "é" * 125 + ".png", "no ending"])
def test_a_file_takes_its_place_when_it_is_whole(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("before")
    with atomic_file(tmp_path / name) as part:
        part.write_text("now")
        assert part.name.endswith(Path(name).suffix)
        assert (tmp_path / name).read_text() == "before"
    assert (tmp_path / name).read_text() == "now"
    with pytest.raises(KeyError):
        _break_off(tmp_path / name)
    assert (tmp_path / name).read_text() == "now"
    assert listed(tmp_path) == [name]


def _break_off(path: Path) -> None:
    with atomic_file(path) as part:
        part.write_text("half")
        raise KeyError


def _hang(folder: Path, ready: Any) -> None:
    with atomic_file(folder / "x.png") as part:
        part.write_text("half")
        ready.set()
        signal.pause()


def test_what_a_killed_process_left_is_swept_and_nothing_else(tmp_path: Path) -> None:
    others = [".hidden.part", ".mine.part.png", "x.part.png", ".0123.part.png"]
    for name in others:
        (tmp_path / name).touch()
    (tmp_path / ".last.4711.part.ckpt").touch()  # as 0.1.0 has it
    fork = multiprocessing.get_context("fork")
    ready = fork.Event()
    process = fork.Process(target=_hang, args=(tmp_path, ready))
    process.start()
    assert ready.wait(60)
    with atomic_file(tmp_path / "y.png") as part:
        part.write_text("half")
        sweep(tmp_path)
        assert part.exists()
        assert len(listed(tmp_path)) == len(others) + 2
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    sweep(tmp_path)
    assert listed(tmp_path) == sorted([*others, "y.png"])
    sweep(tmp_path / "missing")
