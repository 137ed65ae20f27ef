"""The files of the page's visitors: one folder each, gone when their tab is closed or left alone."""

import contextlib
import math
import shutil
import tempfile
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from colorization.app.work import Outcome
from colorization.errors import ColorizationError


@dataclass
class Session:
    """A visitor's tab. Times are on the monotonic clock.

    Attributes:
        folder: for results; its name can't be guessed.
        uploads: the newest files that were dropped. Gradio names them by their content: visitors may share one.
        owned: all files that were dropped.
        asked: when the visitor asked for the newest job, which may have to wait.
        stopped: when the visitor stopped all jobs that were asked for before; infinite once the tab is closed.
        busy: held by the running job; the folder stays until it is released.
        outcome: of the last job.
        used: when it was last used.
    """

    folder: Path
    uploads: list[Path] = field(default_factory=list)
    owned: set[Path] = field(default_factory=set)
    asked: float = 0.0
    stopped: float = 0.0
    busy: threading.Lock = field(default_factory=threading.Lock)
    outcome: Outcome = field(default_factory=Outcome)
    used: float = field(default_factory=time.monotonic)

    @property
    def closed(self) -> bool:
        """Whether the tab is closed, and the folder about to go."""
        return self.stopped == math.inf

    def take(self, uploads: Iterable[Path]) -> None:
        """Makes files the newest uploads. Their folders are removed with the session.

        Raises:
            ColorizationError: a file is not where Gradio puts uploads, in a folder of its own below the root.
        """
        resolved = [path.resolve() for path in uploads]
        if any(path.parent.parent != self.folder.parent for path in resolved):
            raise ColorizationError("this page takes files that were dropped on it, and no others")
        self.uploads = resolved
        self.owned = self.owned.union(resolved)

    def show(self, outcome: Outcome) -> None:
        """Makes the outcome of a job the one that is shown, and removes the files of earlier ones."""
        self.outcome = outcome
        for old in self.folder.iterdir():
            if old != outcome.folder:
                shutil.rmtree(old, ignore_errors=True)


class Sessions:
    """All visitors, by the name that their browser gave itself.

    Args:
        root: the folder of all files, those that were uploaded included. It belongs to the page alone, and has no
            symbolic links in its path.
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
            session.used = time.monotonic()
            return session

    def stop(self, name: str) -> None:
        """Ends the jobs of a visitor, the waiting ones as well."""
        with self._lock:
            session = self._sessions.get(name)
        if session is not None:
            session.stopped = time.monotonic()

    def stop_all(self) -> None:
        """Ends all jobs for good. Takes no lock: a signal's handler calls it."""
        for session in list(self._sessions.values()):
            session.stopped = math.inf

    def close(self, name: str) -> None:
        """Ends a visitor's jobs, and removes all files, except for uploads that another visitor has, too."""
        with self._lock:
            session = self._sessions.pop(name, None)
        if session is not None:
            self._remove(session)

    def sweep(self) -> None:
        """Closes the sessions that were left alone, and removes old files that belong to none."""
        oldest = time.monotonic() - self.keep_seconds
        with self._lock:
            idle = [
                self._sessions.pop(name)
                for name, session in list(self._sessions.items())
                if session.used < oldest and not session.busy.locked()
            ]
        for session in idle:
            self._remove(session)
        with self._lock:
            kept = {session.folder for session in self._sessions.values()}
            kept |= {path.parent for session in self._sessions.values() for path in session.owned}
            for path in set(self.root.iterdir()) - kept:
                with contextlib.suppress(FileNotFoundError):  # a tab is being closed
                    if time.time() - path.stat().st_mtime > self.keep_seconds:
                        shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink()

    def _remove(self, session: Session) -> None:
        session.stopped = math.inf
        with session.busy:
            shutil.rmtree(session.folder, ignore_errors=True)
        with self._lock:
            others = {path for other in self._sessions.values() for path in other.owned}
            for path in session.owned - others:
                shutil.rmtree(path.parent, ignore_errors=True)
