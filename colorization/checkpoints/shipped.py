"""What an option `checkpoint` means, and the model that comes with this package."""

from pathlib import Path

from colorization.checkpoints.newest import best_of_newest_run

DEFAULT = "default"
DEFAULT_MODEL = Path(__file__).parent.parent / "models" / "default.safetensors"
# The newest run's best checkpoint. (`ckpt_path=last` is the newest of all, because training resumes from that.)
NEWEST_RUN = "last"


def located(name: str, output_dir: str) -> Path:
    """The path that an option `checkpoint` means.

    Args:
        name: `default` for the shipped model, `last` for the best checkpoint of the newest run, otherwise a path.
        output_dir: the folder that all runs are in.

    Raises:
        CheckpointError: there is no run.
    """
    if name == NEWEST_RUN:
        return best_of_newest_run(Path(output_dir))
    return DEFAULT_MODEL if name == DEFAULT else Path(name).expanduser()
