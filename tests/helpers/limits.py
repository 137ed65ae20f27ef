"""Actions on hostile files, each in a process of its own whose memory and time are limited."""

import os
import pickle
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

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
        seconds: of the processor that it took.
        memory: the bytes that the process had grown by at most, since its first case.
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
        seconds: of the processor that it may take.
    """
    return next(limited_each(lambda _: action(), [0], memory, seconds))[1]


def limited_each(
    action: Callable[[int], Any], cases: Sequence[int], memory: int = MEMORY, seconds: int = SECONDS
) -> Iterator[tuple[int, Outcome]]:
    """Does something with each case in a copy of this process; a case that ends the copy does not end the others.

    Args:
        action: is given a case, and returns anything; its text is what counts.
        cases: any numbers.
        memory: the bytes that the copy may take.
        seconds: of the processor that each case may take.
    """
    left = list(cases)
    while left:
        for case, outcome in _copy(action, tuple(left), memory, seconds):
            yield case, outcome
            left.remove(case)


def _copy(
    action: Callable[[int], Any], cases: Sequence[int], memory: int, seconds: int
) -> Iterator[tuple[int, Outcome]]:
    """The outcomes of cases in one process, up to the first that ends it."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reader)
            with os.fdopen(writer, "wb") as pipe:
                _work(action, cases, memory, seconds, pipe)
        finally:
            os._exit(0)
    os.close(writer)
    done = 0
    with os.fdopen(reader, "rb") as pipe:
        for case in cases:
            try:
                outcome = pickle.load(pipe)
            except EOFError:
                break
            assert isinstance(outcome, Outcome)
            yield case, outcome
            done += 1
    _, status = os.waitpid(child, 0)
    if done < len(cases):
        ended = f"killed by {signal.Signals(os.WTERMSIG(status)).name}" if os.WIFSIGNALED(status) else "vanished"
        yield cases[done], Outcome(ended, "")


def _work(action: Callable[[int], Any], cases: Sequence[int], memory: int, seconds: int, pipe: BinaryIO) -> None:
    torch.set_num_threads(1)  # threads of the parent are not here
    before = _now("VmSize")
    resource.setrlimit(resource.RLIMIT_AS, (before + memory, before + memory))
    for number in (signal.SIGALRM, signal.SIGPROF):
        signal.signal(number, signal.SIG_DFL)
    touched: list[tuple[str, str]] = []

    def note(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _TOUCHING or event.startswith(("socket.", "subprocess.", "urllib.", "os.exec", "os.spawn")):
            touched.append((event, str(arguments[0] if arguments else "")))

    sys.addaudithook(note)
    for case in cases:
        touched.clear()
        # Seconds of the processor, because other programs may want it as well; a case that only waits ends, too.
        signal.setitimer(signal.ITIMER_PROF, seconds)
        signal.alarm(20 * seconds)
        began = time.process_time()
        try:
            ended, said = "returned", str(action(case))
        except BaseException as error:
            ended, said = f"raised {type(error).__name__}", str(error)
        took = time.process_time() - began
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.alarm(0)
        if any(word in f"{ended} {said}" for word in _REFUSED_MEMORY):
            ended = "out of memory"
        pickle.dump(Outcome(ended, said, took, _now("VmPeak") - before, touched[:]), pipe)
        pipe.flush()


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
