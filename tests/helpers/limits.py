"""Actions on hostile files, each in a process of its own whose memory and time are limited."""

import os
import pickle
import resource
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

# What a case may take above what the process has already, in bytes, and how long, in seconds.
MEMORY, SECONDS = 2 * 2**30, 5
# What is said where memory was refused, whatever else is said.
_REFUSED_MEMORY = ("MemoryError", "allocate memory", "out of memory", "not enough memory")


@dataclass
class Outcome:
    """What became of an action.

    Attributes:
        ended: `returned`, `raised NAME`, `killed by SIGNAL`, or `out of memory`.
        said: what it returned or raised, as text.
        seconds: how long it took.
        memory: the bytes that its memory grew by at most.
        touched: files that were opened and other things outside of the process, by the names of Python's audit events.
    """

    ended: str
    said: str
    seconds: float = 0.0
    memory: int = 0
    touched: list[tuple[str, str]] = field(default_factory=list)


def limited(action: Callable[[], Any], memory: int = MEMORY, seconds: int = SECONDS) -> Outcome:
    """Does something in a copy of this process.

    Args:
        action: returns anything; its text is what counts.
        memory: the bytes that it may take.
        seconds: how long it may take.
    """
    reader, writer = os.pipe()
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        try:
            os.close(reader)
            outcome = _inside(action, memory, seconds)
            with os.fdopen(writer, "wb") as pipe:
                pickle.dump(outcome, pipe)
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        sent = pipe.read()
    _, status = os.waitpid(child, 0)
    if not sent:
        return Outcome(f"killed by {signal.Signals(os.WTERMSIG(status)).name}", "", time.monotonic() - began)
    outcome = pickle.loads(sent)
    assert isinstance(outcome, Outcome)
    return outcome


def _inside(action: Callable[[], Any], memory: int, seconds: int) -> Outcome:
    torch.set_num_threads(1)  # threads of the parent are not here
    before = _now("VmSize")
    resource.setrlimit(resource.RLIMIT_AS, (before + memory, before + memory))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(seconds)
    touched: list[tuple[str, str]] = []

    def note(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _TOUCHING or event.startswith(("socket.", "subprocess.", "urllib.", "os.exec", "os.spawn")):
            touched.append((event, str(arguments[0] if arguments else "")))

    sys.addaudithook(note)
    began = time.monotonic()
    try:
        ended, said = "returned", str(action())
    except BaseException as error:
        ended, said = f"raised {type(error).__name__}", str(error)
    took = time.monotonic() - began
    signal.alarm(0)
    if any(word in f"{ended} {said}" for word in _REFUSED_MEMORY):
        ended = "out of memory"
    grown = _now("VmPeak") - before
    return Outcome(ended, said, took, grown, touched[:])


# Audit events of files that are opened, changed or removed, and of programs that are run.
_TOUCHING = {
    *("open", "os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.symlink", "os.truncate", "os.system"),
    *("os.posix_spawn", "shutil.copyfile", "shutil.rmtree"),
}


def _now(what: str) -> int:
    """A line of this process's status, in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{what}:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(what)
