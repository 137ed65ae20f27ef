"""Runs a command as on a system that lacks what only POSIX has, and that starts worker processes from scratch:
`python -m tests.helpers.without_posix train KEY=VALUE ...`.

A worker process imports this module before anything else, so that it lacks the same.
"""

import multiprocessing
import os
import signal
import sys

# Two that can't be handled stay out of reach of libraries on other systems, too.
_HANDLED = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}

for module, names in (
    (os, ("sched_getaffinity", "getuid", "geteuid", "nice", "mkfifo", "fchmod", "chown")),
    (signal, ("SIGUSR1", "SIGUSR2", "SIGHUP", "SIGQUIT", "SIGKILL", "SIGALRM")),
):
    for name in names:
        if hasattr(module, name):
            delattr(module, name)
for package in ("fcntl", "pwd", "grp", "resource", "termios"):
    sys.modules[package] = None  # type: ignore[assignment]

if __name__ == "__main__":
    from pytorch_lightning.trainer.connectors import signal_connector

    from colorization.commands.main import COMMANDS

    # Lightning looks at the name of the system.
    signal_connector._IS_WINDOWS = True
    signal_connector._SignalConnector._valid_signals = staticmethod(lambda: _HANDLED)  # type: ignore[method-assign]
    multiprocessing.set_start_method("spawn")
    command = COMMANDS[sys.argv.pop(1)]
    command()
