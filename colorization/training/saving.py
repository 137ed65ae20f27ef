"""Saving checkpoints: atomic writes, every few minutes, and on a request to stop."""

import os
import re
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO
from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import Checkpoint, ModelCheckpoint
from pytorch_lightning.utilities.rank_zero import rank_zero_only
from torch import Tensor

from colorization.checkpoints.finding import LAST
from colorization.checkpoints.network import read_checkpoint
from colorization.compat.lightning import request_stop
from colorization.errors import ConfigError, TrainingError
from colorization.runtime.console import warn
from colorization.runtime.files import atomic_file, sweep
from colorization.runtime.processes import STOP_SIGNALS
from colorization.training.loaders import dead_loaders, wait_for_dead_loaders
from colorization.weights.safe_load import load

# Ranks have to agree to save or stop, for which they wait for each other.
_STEPS_BETWEEN_AGREEMENTS = 10
# A terminal and a launcher may both forward the same Ctrl-C.
_SECONDS_BETWEEN_CTRL_CS = 1


class AtomicCheckpointIO(TorchCheckpointIO):
    """Atomic writes of checkpoints, and safe reading as for checkpoints of strangers.

    Lightning's own write may copy a file from another file system, so that a kill leaves half of it.
    """

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """Reads a checkpoint onto the CPU, see `read_checkpoint`. Lightning's spawned ranks hand weights back in a
        temporary file, which is nothing but a state dict.
        """
        return load(Path(path)) if Path(path).name == ".temp.ckpt" else read_checkpoint(path)

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Writes a checkpoint.

        Raises:
            TrainingError: the disk is full, or the folder can't be written; existing checkpoints stay intact.
        """
        target = Path(path)
        try:
            with atomic_file(target, sync=True) as temporary, temporary.open("wb") as file:
                torch.save(checkpoint, file)
        except (OSError, RuntimeError) as error:
            if isinstance(error, RuntimeError) and "PytorchStreamWriter" not in str(error):
                raise
            # PyTorch's writer wraps the OSError.
            reason = next((e.strerror for e in (error, error.__context__) if isinstance(e, OSError)), str(error))
            raise TrainingError(
                f"{target} can't be written ({reason}): earlier checkpoints are intact; make room, and resume with "
                f"ckpt_path=last hydra.run.dir={target.parent.parent}"
            ) from error


class BestCheckpoint(ModelCheckpoint):
    """Lightning's ModelCheckpoint, which keeps the best checkpoint when a run is resumed in another folder: it is
    copied to the new folder, unless it exists there.

    A checkpoint stores the best checkpoints by file names, relative to its own folder. It may come from a stranger, and
    Lightning would copy and delete any path.
    """

    _resumed_folder: Path | None = None

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        self._resumed_folder = Path(str(trainer.ckpt_path)).parent

    def state_dict(self) -> dict[str, Any]:
        named = {Path(path).name: score for path, score in self.best_k_models.items()}
        return {"monitor": self.monitor, "current_score": self.current_score, "best_k_models": named}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Finds the best checkpoints by name, in the run's folder and beside the resumed checkpoint."""
        assert self.dirpath is not None
        folder, beside = Path(self.dirpath), self._resumed_folder
        found: dict[Path, Tensor] = {}
        for name, score in _named_scores(state_dict.get("best_k_models")).items():
            here = folder / name
            if not here.is_file() and (beside is None or not _is_own_file(beside / name)):
                warn(f"{name} is no longer beside the checkpoint: the best checkpoint is determined again")
                return
            found[here] = score
        if not found:
            return
        best, worst = (min, max) if self.mode == "min" else (max, min)
        for here in found:
            if not here.is_file() and beside is not None:
                self._copy(beside / here.name, here)
        self.best_k_models = {str(here): score for here, score in found.items()}
        self.best_model_path = best(self.best_k_models, key=self.best_k_models.__getitem__)
        self.best_model_score = self.best_k_models[self.best_model_path]
        self.kth_best_model_path = worst(self.best_k_models, key=self.best_k_models.__getitem__)
        self.kth_value = self.best_k_models[self.kth_best_model_path]

    @rank_zero_only
    def _copy(self, file: Path, here: Path) -> None:
        with atomic_file(here) as temporary:
            shutil.copyfile(file, temporary)


def _named_scores(models: Any) -> dict[str, Tensor]:
    """Scores by checkpoint name, from `best_k_models` of a checkpoint; older ones store paths. Entries that are not a
    checkpoint and a score are ignored.
    """
    named = {}
    for path, score in models.items() if isinstance(models, dict) else ():
        name = re.split(r"[/\\]", str(path))[-1]
        is_score = isinstance(score, Tensor) and score.numel() == 1 and score.is_floating_point()
        if re.fullmatch(r"[^.\0][^\0]*\.ckpt", name) and name != LAST and is_score:
            named[name] = score.reshape(())
    return named


def _is_own_file(path: Path) -> bool:
    """Whether a path is a file and not a link."""
    return path.is_file() and not path.is_symlink()


class LastCheckpoint(Checkpoint):
    """Keeps `last.ckpt`, the newest checkpoint.

    It is written at the end of every epoch, every few minutes, and when the run is asked to stop: by Ctrl-C, SIGTERM,
    or SIGUSR1, which SLURM can send before the time limit. A current validation is finished first; a second Ctrl-C does
    not wait. A resumed run is exact: it learns the same as without the stop.

    Writes are atomic. If the file is corrupt nevertheless, you can resume from `best.ckpt`.

    Args:
        folder: the output folder.
        minutes: minimum number of minutes between two writes within an epoch.
    """

    def __init__(self, folder: str, minutes: float = 15) -> None:
        if not minutes >= 0:
            raise ConfigError(f"callbacks.last_checkpoint.minutes={minutes:g} is out of range: give 0 or more")
        self.path = Path(folder) / LAST
        self.seconds = 60 * minutes
        self.saved_at = time.monotonic()
        self.asked_by: signal.Signals | None = None
        self._handlers: dict[signal.Signals, Any] = {}
        self._created_at = time.monotonic()
        self.seconds_before = 0.0  # duration of the run up to the checkpoint that it was resumed from

    def state_dict(self) -> dict[str, Any]:
        return {"seconds": self.seconds_before + time.monotonic() - self._created_at}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.seconds_before = state_dict["seconds"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.saved_at = time.monotonic()
        if trainer.is_global_zero:
            sweep(self.path.parent)  # leftovers of a killed run
        self._listen(trainer)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        wait_for_dead_loaders()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        batches = batch_idx + 1
        if batches % trainer.accumulate_grad_batches or batches >= trainer.num_training_batches:
            return  # accumulated gradients would be lost; or the end of the epoch will be saved
        if trainer.world_size > 1 and trainer.global_step % _STEPS_BETWEEN_AGREEMENTS:
            return
        is_asked = _any(trainer, self.asked_by is not None)
        if is_asked or _any(trainer, time.monotonic() - self.saved_at >= self.seconds):
            self._save(trainer)
        if is_asked:
            _stop(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._save(trainer)
        if _any(trainer, self.asked_by is not None) and trainer.current_epoch + 1 != trainer.max_epochs:
            _stop(trainer)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self._restore_handlers()
        progress = trainer.fit_loop.epoch_loop.batch_progress.current
        between_steps = progress.ready == progress.completed and not progress.ready % trainer.accumulate_grad_batches
        if dead_loaders(exception) and trainer.training and trainer.world_size == 1 and between_steps:
            self._save(trainer)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._restore_handlers()

    def _save(self, trainer: Trainer) -> None:
        trainer.save_checkpoint(self.path)
        self.saved_at = time.monotonic()

    def _listen(self, trainer: Trainer) -> None:
        """Replaces Lightning's signal handlers, which communicate or save at any moment of a step, and would interrupt
        a validation.
        """
        asked_at: list[float] = []

        def note(number: int, _: Any) -> None:
            if self.asked_by is not None:
                is_again = time.monotonic() - asked_at[0] > _SECONDS_BETWEEN_CTRL_CS
                if number == signal.SIGINT and trainer.is_global_zero and is_again:
                    raise KeyboardInterrupt
                return
            self.asked_by = signal.Signals(number)
            asked_at.append(time.monotonic())
            if (launcher := trainer.strategy.launcher) is not None:
                launcher.kill(signal.SIGTERM)  # the processes it started
            if trainer.is_global_zero:
                # Not with the progress bar's console, which may be in the middle of a line.
                os.write(2, b"\nStopping after the current step or validation. Ctrl-C again stops at once.\n")

        for number in STOP_SIGNALS:
            try:
                self._handlers[number] = signal.signal(number, note)
            except ValueError:  # only possible in the main thread
                return

    def _restore_handlers(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}


def exit_code(trainer: Trainer) -> int:
    """The exit code that a shell expects after a stop signal."""
    return 130 if any(file.asked_by == signal.SIGINT for file in _of(trainer)) else 143


def last_saved(trainer: Trainer) -> Path | None:
    """The newest checkpoint of a run to resume from, if one was written."""
    return next((file.path for file in _of(trainer) if file.path.exists()), None)


def seconds_before(trainer: Trainer) -> float:
    """The duration of a run up to the checkpoint that it was resumed from."""
    return sum(file.seconds_before for file in _of(trainer))


def _of(trainer: Trainer) -> list[LastCheckpoint]:
    return [file for file in trainer.checkpoint_callbacks if isinstance(file, LastCheckpoint)]


def _any(trainer: Trainer, decision: bool) -> bool:
    """Whether the decision of any rank is True. All ranks have to call it."""
    return trainer.strategy.reduce_boolean_decision(decision, all=False)


def _stop(trainer: Trainer) -> None:
    """Makes Lightning raise SIGTERMException after the current batch or epoch."""
    request_stop(trainer)
