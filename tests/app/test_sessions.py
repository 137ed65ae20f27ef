"""Whose files are kept, and for how long."""

import os
import time
from pathlib import Path

import pytest

from colorization.app.sessions import Sessions
from colorization.app.work import Outcome
from colorization.errors import ColorizationError


@pytest.fixture
def sessions(tmp_path: Path) -> Sessions:
    return Sessions(tmp_path, keep_seconds=100)


def upload(root: Path, name: str) -> Path:
    path = root / name / "photo.jpg"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"photo")
    return path


def age(path: Path, seconds: float) -> None:
    then = path.stat().st_mtime - seconds
    os.utime(path, (then, then))


def test_a_closed_tab_leaves_nothing(sessions: Sessions, tmp_path: Path) -> None:
    session = sessions.of("../../ann")
    session.take([upload(tmp_path, "1"), upload(tmp_path, "2")])
    session.take([upload(tmp_path, "3")])
    (session.folder / "result.jpg").write_bytes(b"result")
    assert session.folder.parent == tmp_path
    sessions.close("../../ann")
    assert session.closed
    assert list(tmp_path.iterdir()) == []
    sessions.close("../../ann")


def test_an_upload_that_two_visitors_share_stays_until_both_are_gone(sessions: Sessions, tmp_path: Path) -> None:
    shared = upload(tmp_path, "1")
    for name in ("ann", "bob"):
        sessions.of(name).take([shared])
    sessions.close("ann")
    assert shared.is_file()
    sessions.close("bob")
    assert not shared.exists()


def test_what_is_left_alone_is_removed(sessions: Sessions, tmp_path: Path) -> None:
    idle, active, busy = (sessions.of(name) for name in ("idle", "active", "busy"))
    kept = [upload(tmp_path, "of active"), upload(tmp_path, "new")]
    active.take(kept[:1])
    old = upload(tmp_path, "old")
    idle.used -= 101
    busy.used -= 101
    for path in tmp_path.iterdir():
        if path.name != "new":
            age(path, 101)
    with busy.busy:
        sessions.sweep()
    assert not idle.folder.exists()
    assert not old.exists()
    assert active.folder.exists()
    assert busy.folder.exists()
    assert all(path.is_file() for path in kept)
    sessions.sweep()
    assert not busy.folder.exists()
    assert sessions.of("idle").folder != idle.folder


@pytest.mark.parametrize(
    "name", ["y.png", "1/../../elsewhere/y.png", "visitor-x/tmp/results/y.png", "../elsewhere/y.png"]
)
def test_what_is_no_upload_is_refused_and_nothing_but_uploads_is_removed(tmp_path: Path, name: str) -> None:
    root, other = tmp_path / "root", upload(tmp_path, "elsewhere")
    root.mkdir()
    sessions = Sessions(root, keep_seconds=100)
    with pytest.raises(ColorizationError, match="files that were dropped on it, and no others"):
        sessions.of("eve").take([upload(root, "1"), root / name])
    sessions.close("eve")
    assert root.is_dir()
    assert other.is_file()


def test_files_that_go_while_old_ones_are_removed(
    sessions: Sessions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another thread closes a tab: its folder is there when folders are listed, and gone a moment later."""
    old = upload(tmp_path, "old").parent
    age(old, 101)
    listed = [tmp_path / "gone", old]
    monkeypatch.setattr(Path, "iterdir", lambda _: iter(listed))
    sessions.sweep()
    assert not old.exists()


def test_stopping(sessions: Sessions) -> None:
    sessions.stop("nobody")
    session, other = sessions.of("ann"), sessions.of("bob")
    session.asked = time.monotonic()
    assert session.stopped < session.asked
    sessions.stop("ann")
    assert session.stopped > session.asked
    assert not session.closed
    sessions.stop_all()
    assert session.closed
    assert other.closed


def test_a_result_replaces_those_before(sessions: Sessions) -> None:
    session = sessions.of("ann")
    folders = [session.folder / name for name in ("failed", "old", "new")]
    for folder in folders:
        folder.mkdir()
    session.show(Outcome(folders[2]))
    assert list(session.folder.iterdir()) == [folders[2]]
