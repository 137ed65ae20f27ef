"""The end of a run: exit codes after a stop request, and closing the loggers."""

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from pytorch_lightning import Trainer
from pytorch_lightning.utilities.exceptions import MisconfigurationException, SIGTERMException

from colorization.errors import ConfigError, TrainingError, first_line
from colorization.runtime.console import console
from colorization.training.loaders import dead_loaders
from colorization.training.loggers import RunLogger
from colorization.training.saving import exit_code, last_saved


@contextmanager
def ending(trainer: Trainer, run: Path) -> Iterator[None]:
    """Turns the end of a run into the exit code that a shell expects.

    Args:
        trainer: the trainer that runs in the context.
        run: the run's folder.

    Raises:
        KeyboardInterrupt: Ctrl-C stopped the run; it ends a multirun as well.
        SystemExit: another signal stopped the run; with the exit code that a shell reports for it.
        ConfigError: the trainer refuses an option.
        TrainingError: a loader process was killed.
    """
    succeeded = False
    try:
        yield
        succeeded = True
    except SIGTERMException:
        if trainer.is_global_zero:
            console.print(f"Saved. To resume, repeat the command with {how_to_resume(run)}", markup=False)
        if (code := exit_code(trainer)) == 130:
            raise KeyboardInterrupt from None
        sys.exit(code)
    except SystemExit as stop:
        if isinstance(stop.__context__, KeyboardInterrupt):  # Lightning turns Ctrl-C into exit code 1
            raise KeyboardInterrupt from None
        raise
    except MisconfigurationException as error:
        raise ConfigError(first_line(error)) from error
    except (RuntimeError, OSError, EOFError) as error:
        if (dead := dead_loaders(error)) is None:
            raise
        saved = last_saved(trainer)
        resume = "no checkpoint was written yet"
        if saved is not None:
            resume = f"the last checkpoint is {saved}; resume with {how_to_resume(run)}"
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        raise TrainingError(
            f"{dead} was killed, most likely because memory ran out: give a smaller "
            f"data.num_workers (now {data.num_workers}) or data.batch_size; {resume}"
        ) from error
    finally:
        for logger in trainer.loggers:
            if isinstance(logger, RunLogger):
                logger.end(succeeded)


def how_to_resume(run: Path) -> str:
    """The options that resume a stopped run, or the multirun of which it is a job."""
    hydra = HydraConfig.get()
    if hydra.mode is RunMode.MULTIRUN:
        return shlex.join(["ckpt_path=auto", f"hydra.sweep.dir={hydra.sweep.dir}"])
    return shlex.join(["ckpt_path=last", f"hydra.run.dir={run}"])
