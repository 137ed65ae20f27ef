"""Running a command: Hydra composes its configuration, and a user's mistake ends with one sentence and exit code 1.

This module does not import PyTorch.
"""

import functools
import os
import pkgutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

import colorization
from colorization.commands.arguments import Grammar
from colorization.commands.folders import no_empty_folder
from colorization.compat.hydra import keep_one_store
from colorization.config.folder import CONF
from colorization.config.mistakes import SWEEPS, check_composed, one_sentence, options_of, sentence_of_mistake
from colorization.config.resolvers import register
from colorization.errors import ColorizationError
from colorization.runtime.remarks import silence_remarks
from colorization.runtime.stopping import stopping_at_once
from colorization.runtime.tracebacks import show_short_tracebacks
from colorization.sweeps.jobs import attempt, closing

_FULL_ERROR = "HYDRA_FULL_ERROR"
# At once, not in a script's main function: the processes that launchers of sweeps start have no such function.
register()


@dataclass(frozen=True)
class Command:
    """A command: its configuration, and the function that runs with it.

    Args:
        name: of its file in conf/.
        run: `MODULE:FUNCTION`, a function of the composed configuration. Its module is imported after composing, so
            that help and typos do not wait for PyTorch.
        grammar: of its command line.
        close_sweep: `MODULE:FUNCTION`, called with a multirun's folder after its jobs, also if jobs failed; None: the
            first failed job ends the multirun.
        completed_by: options for what has no default, so that messages know all names.
    """

    name: str
    run: str
    grammar: Grammar
    close_sweep: str | None = None
    completed_by: tuple[str, ...] = ()

    def __call__(self) -> None:
        """Runs the command with `sys.argv`."""
        silence_remarks()
        asked_for_traceback = os.environ.get(_FULL_ERROR, "0") not in ("", "0")
        if not asked_for_traceback:
            show_short_tracebacks(f"Lines of libraries are left out: {_FULL_ERROR}=1 shows them.")
        # Makes Hydra raise its exceptions instead of printing them.
        with _environment(_FULL_ERROR, "1"), one_sentence(asked_for_traceback):
            if "--version" in sys.argv[1:]:
                print(f"colorization {colorization.__version__}")
                return
            typed = sys.argv[1:]
            sys.argv[1:] = self.grammar.to_overrides(typed, self._options)
            if any(word in SWEEPS for word in sys.argv):
                sys.argv.insert(1, "--multirun")
            keep_one_store()
            task = _Task(self.run, typed, asked_for_traceback, self.close_sweep is not None)
            with closing(self._close) if self.close_sweep is not None else nullcontext():
                hydra.main(version_base="1.3", config_path=str(CONF), config_name=self.name)(task)()

    def with_options(self, *words: str) -> None:
        """Runs the command from Python, for example in a notebook: `train.with_options("data=folder", "data.root=a")`.

        Args:
            words: its command line.

        Raises:
            ColorizationError: a mistake, in one sentence; or some of the pictures failed.
            KeyboardInterrupt: Ctrl-C stopped it.
        """
        argv, hook = sys.argv, sys.excepthook
        sys.argv = [self.name, *words]
        try:
            self()
        except SystemExit as stop:
            if isinstance(stop.code, str):
                raise ColorizationError(stop.code.removeprefix("Error: ")) from None
            if stop.code == 1:
                raise ColorizationError("some files failed: the table above names them") from None
            if stop.code == 130:
                raise KeyboardInterrupt from None
            raise
        finally:
            sys.argv, sys.excepthook = argv, hook

    def composed(self, *words: str) -> dict[str, Any]:
        """The configuration that a command line gives, resolved and validated, without running anything.

        Args:
            words: as for `with_options`.

        Raises:
            ColorizationError: a mistake, in one sentence.
        """
        from colorization.config.instantiate import resolve

        try:
            overrides = self.grammar.to_overrides(words, self._options)
            with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
                # There is no run, hence no folder of one.
                return resolve(hydra.compose(self.name, [*overrides, "paths.run=."]))
        except Exception as error:
            if (sentence := sentence_of_mistake(error)) is None:
                raise
            raise ColorizationError(sentence) from None

    def _options(self) -> dict[str, Any]:
        with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
            return options_of(hydra.compose(self.name, list(self.completed_by)))

    def _close(self, folder: Path) -> None:
        assert self.close_sweep is not None
        pkgutil.resolve_name(self.close_sweep)(folder)


class _Task:
    """A command's function for Hydra and its launchers. It stores the function's name, so that it can be pickled.

    Args:
        function: `MODULE:FUNCTION`.
        typed: the words of the command line.
        asked_for_traceback: whether a user's mistake shows a traceback.
        sweeps: whether a failed job of a multirun does not end the others.
    """

    def __init__(self, function: str, typed: list[str], asked_for_traceback: bool, sweeps: bool) -> None:
        self.__module__, _, self.__name__ = function.partition(":")  # Hydra takes the job's name from here
        self.function = function
        self.typed = typed
        self.asked_for_traceback = asked_for_traceback
        self.sweeps = sweeps

    def __call__(self, config: DictConfig) -> Any:
        silence_remarks()  # also in the processes of a launcher
        # Restored for the processes that the trainer launches.
        with _environment(_FULL_ERROR, "1" if self.asked_for_traceback else None):
            if self.sweeps and HydraConfig.get().mode is RunMode.MULTIRUN:
                return attempt(functools.partial(self._run, config), self._sentence)
            sys.argv[1:] = self.typed  # for the same processes, which take them for what a user typed
            with one_sentence(self.asked_for_traceback), no_empty_folder(config):
                return self._run(config)

    def _run(self, config: DictConfig) -> Any:
        check_composed(config)
        with stopping_at_once():
            function = pkgutil.resolve_name(self.function)
        return function(config)

    def _sentence(self, error: Exception) -> str | None:
        return None if self.asked_for_traceback else sentence_of_mistake(error)


@contextmanager
def _environment(name: str, value: str | None) -> Iterator[None]:
    """Sets or unsets an environment variable in a context."""
    before = os.environ.pop(name, None)
    if value is not None:
        os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name, None)
        if before is not None:
            os.environ[name] = before
