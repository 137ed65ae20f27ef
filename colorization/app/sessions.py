"""The files of the page's visitors: one folder each, gone when their tab is closed or left alone."""

import shutil
import tempfile
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from colorization.app.work import Outcome


@dataclass
class Session:
    """A visitor's tab.

    Attributes:
        folder: for results; its name can't be guessed.
        uploads: the newest files that were dropped. Gradio names them by their content: visitors may share one.
        owned: all files that were dropped.
        stopped: whether the running job should end.
        busy: held by the running job; the folder stays until it is released.
        closed: whether the tab is closed, and the folder about to go.
        outcome: of the last job.
        used: when it was last used, on the monotonic clock.
    """

    folder: Path
    uploads: list[Path] = field(default_factory=list)
    owned: set[Path] = field(default_factory=set)
    stopped: threading.Event = field(default_factory=threading.Event)
    busy: threading.Lock = field(default_factory=threading.Lock)
    closed: bool = False
    outcome: Outcome = field(default_factory=Outcome)
    used: float = field(default_factory=time.monotonic)

    def take(self, uploads: Iterable[Path]) -> None:
        """Makes files the newest uploads."""
        self.uploads = list(uploads)
        self.owned = self.owned.union(self.uploads)

    def touch(self) -> None:
        """Notes that the session is in use."""
        self.used = time.monotonic()


class Sessions:
    """All visitors, by the name that their browser gave itself.

    Args:
        root: the folder of all files, those that were uploaded included. It belongs to the page alone.
        keep_seconds: files of a tab that does nothing for so long are removed.
    """

    def __init__(self, root: Path, keep_seconds: float) -> None:
        self.root, self.keep_seconds = root, keep_seconds
        self._sessions: dict[str, Session] = {}
        self._lock = threading.Lock()

    def of(self, name: str) -> Session:
        """A visitor's session, which is new if the name is."""
        with self._lock:
            if name not in self._sessions:
                self._sessions[name] = Session(Path(tempfile.mkdtemp(prefix="visitor-", dir=self.root)))
            session = self._sessions[name]
            session.touch()
            return session

    def stop(self, name: str) -> None:
        """Ends the running job of a visitor."""
        with self._lock:
            session = self._sessions.get(name)
        if session is not None:
            session.stopped.set()

    def stop_all(self) -> None:
        """Ends all running jobs."""
        for session in list(self._sessions.values()):
            session.stopped.set()

    def close(self, name: str) -> None:
        """Ends a visitor's job, and removes all files, except for uploads that another visitor has, too."""
        with self._lock:
            session = self._sessions.pop(name, None)
        if session is None:
            return
        session.stopped.set()
        with session.busy:
            session.closed = True
            shutil.rmtree(session.folder, ignore_errors=True)
        with self._lock:
            others = {path for other in self._sessions.values() for path in other.owned}
            for path in session.owned - others:
                shutil.rmtree(path.parent, ignore_errors=True)

    def sweep(self) -> None:
        """Closes the sessions that were left alone, and removes old files that belong to none."""
        now = time.monotonic()
        with self._lock:
            idle = [
                name
                for name, session in self._sessions.items()
                if now - session.used > self.keep_seconds and not session.busy.locked()
            ]
        for name in idle:
            self.close(name)
        with self._lock:
            kept = {session.folder for session in self._sessions.values()}
            kept |= {path.parent for session in self._sessions.values() for path in session.owned}
            for path in set(self.root.iterdir()) - kept:
                if time.time() - path.stat().st_mtime > self.keep_seconds:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
