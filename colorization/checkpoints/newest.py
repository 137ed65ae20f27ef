"""Finding the newest checkpoints of runs."""

from pathlib import Path

from colorization.errors import CheckpointError

# Names of the folder and of checkpoints, as in conf/callbacks.
CHECKPOINTS, BEST, LAST = "checkpoints", "best.ckpt", "last.ckpt"


def newest_first(folder: Path) -> list[Path]:
    """The checkpoints in a folder, newest first."""
    return sorted(folder.glob("[!.]*.ckpt"), key=_date, reverse=True)


def of_newest_run(output_dir: Path) -> list[Path]:
    """The checkpoints of the newest run in a folder, newest first."""
    runs = {path.parent for path in output_dir.glob(f"**/{CHECKPOINTS}/[!.]*.ckpt")}
    return max((newest_first(folder) for folder in runs), key=lambda paths: _date(paths[0]), default=[])


def best_of_newest_run(output_dir: Path) -> Path:
    """The best checkpoint of the newest run in a folder; its newest one if there is no best one yet.

    Raises:
        CheckpointError: there is no run.
    """
    found = of_newest_run(output_dir)
    if not found:
        raise CheckpointError(f"checkpoint=last: there is no checkpoint in {output_dir}: give the path of one")
    best = found[0].with_name(BEST)
    return best if best in found else found[0]


def _date(path: Path) -> int:
    return path.stat().st_mtime_ns
