"""Loader processes that were killed, mostly because memory ran out: noticed between two steps, and said in words."""

import re
import signal
import traceback

# PyTorch's words, of which the first come between steps, when a batch is wanted that the process was to load.
_DEAD = re.compile(r"DataLoader worker \(pid(?:\(s\))? ([\d, ]+)\) (?:exited unexpectedly|is killed by signal)")


def dead_loaders(error: BaseException) -> str | None:
    """The loader processes whose death an error reports, in words; None if it reports something else."""
    if isinstance(error, RuntimeError) and (found := _DEAD.search(str(error))):
        return f"loader process {found[1].strip()}"
    # A batch is announced before its memory is handed over, which a process may not live to do.
    modules = {frame.f_globals.get("__name__", "") for frame, _ in traceback.walk_tb(error.__traceback__)}
    in_transit = {"torch.utils.data.dataloader", "multiprocessing.connection"} <= modules
    if in_transit and isinstance(error, ConnectionError | EOFError | FileNotFoundError):
        return "a loader process"
    return None


def wait_for_dead_loaders() -> None:
    """Keeps PyTorch from raising an error in the middle of a step, which would be lost, when a loader process dies.

    PyTorch installs such a handler with the first loader; without it, the next batch reports the death.
    """
    number = getattr(signal, "SIGCHLD", None)
    if number is None or signal.getsignal(number) in (signal.SIG_DFL, signal.SIG_IGN):
        return
    try:
        signal.signal(number, signal.SIG_DFL)
    except ValueError:  # only a main thread may
        return
