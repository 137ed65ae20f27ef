"""Finding the files of checkpoints, without PyTorch."""

from pathlib import Path

from colorization.errors import CheckpointError

# Names of the folder and of checkpoints, as in conf/callbacks.
CHECKPOINTS, BEST, LAST = "checkpoints", "best.ckpt", "last.ckpt"
GIVE_ONE = "give the path of a checkpoint or of an exported network"


def newest_first(folder: Path) -> list[Path]:
    """The checkpoints in a folder, newest first."""
    return sorted(folder.glob("[!.]*.ckpt"), key=_date, reverse=True)


def of_newest_run(output_dir: Path) -> list[Path]:
    """The checkpoints of the newest run in a folder, newest first."""
    runs = {path.parent for path in output_dir.glob(f"**/{CHECKPOINTS}/[!.]*.ckpt")}
    return max((newest_first(folder) for folder in runs), key=lambda paths: _date(paths[0]), default=[])


def best_of_newest_run(output_dir: Path, option: str = "checkpoint") -> Path:
    """The best checkpoint of the newest run in a folder; its newest one if there is no best one yet.

    Args:
        output_dir: the folder.
        option: that asks for it, for messages.

    Raises:
        CheckpointError: there is no run.
    """
    found = of_newest_run(output_dir)
    if not found:
        raise CheckpointError(f"{option}=last: there is no checkpoint in {output_dir}: give the path of one")
    best = found[0].with_name(BEST)
    return best if best in found else found[0]


def to_resume(ckpt_path: str, run: Path, output_dir: Path) -> list[Path]:
    """The checkpoints that `ckpt_path` means, newest first; none if `auto` means a new run.

    Args:
        ckpt_path: a path; `last`: those of this run's folder or, without one, of the newest run; or `auto`: those of
            this run's folder.
        run: this run's folder.
        output_dir: the folder of all runs.

    Raises:
        CheckpointError: there is none.
    """
    if ckpt_path not in ("last", "auto"):
        path = Path(ckpt_path).expanduser()
        check_exists(path, "ckpt_path", "give the path of a .ckpt that train.py wrote, or ckpt_path=last")
        return [path]
    found = newest_first(run / CHECKPOINTS)
    if not found and ckpt_path == "last":
        found = of_newest_run(output_dir)
        if not found:
            raise CheckpointError(
                f"ckpt_path=last: there is no checkpoint in {output_dir}: give the path of one, or start from scratch "
                "without ckpt_path"
            )
    return found


def check_exists(path: Path, option: str = "checkpoint", advice: str = GIVE_ONE) -> None:
    """Checks that there is a file of weights.

    Args:
        path: the file.
        option: that names it, for messages.
        advice: the end of the message.

    Raises:
        CheckpointError: there is none.
    """
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise CheckpointError(f"{option} {path} {what}: {advice}")


def _date(path: Path) -> int:
    return path.stat().st_mtime_ns
