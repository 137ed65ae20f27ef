"""Cleaning up after refused runs: Hydra creates a run's folder before any option is checked."""

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from colorization.runtime.processes import this_process


@contextmanager
def no_empty_folder(config: DictConfig) -> Iterator[None]:
    """Removes the folder of a run that has written nothing, and empty parent folders.

    Args:
        config: of the run; parent folders are removed up to `paths.output_dir`.
    """
    try:
        yield
    finally:
        hydra = HydraConfig.get()
        # Without Hydra's own subfolder, the folder belongs to the user or to another rank.
        if hydra.mode is RunMode.RUN and hydra.output_subdir is not None and this_process().index == 0:
            _remove_unused(
                Path(hydra.runtime.output_dir), hydra.output_subdir, Path(config.paths.output_dir).absolute()
            )


def _remove_unused(run: Path, hydras: str, output_dir: Path) -> None:
    handlers = [handler for handler in logging.getLogger().handlers if isinstance(handler, logging.FileHandler)]
    logs = {Path(handler.baseFilename): handler for handler in handlers}
    files = [path for path in run.iterdir() if path.name != hydras] if run.is_dir() else [run]
    if any(path not in logs or path.stat().st_size for path in files):
        return
    for path in files:
        logging.getLogger().removeHandler(logs[path])
        logs[path].close()
        path.unlink()
    shutil.rmtree(run / hydras, ignore_errors=True)
    kept = {Path.cwd(), *Path.cwd().parents}
    with suppress(OSError):  # not empty
        for folder in (run, *run.parents):
            if folder in kept or (folder != run and not folder.is_relative_to(output_dir)):
                break
            folder.rmdir()
