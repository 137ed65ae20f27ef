"""The option `checkpoint`, and the default model of this package."""

from pathlib import Path

from colorization.checkpoints.newest import best_of_newest_run

DEFAULT = "default"
DEFAULT_MODEL = Path(__file__).parent.parent / "models" / "default.safetensors"
# The best checkpoint of the newest run. (`ckpt_path=last` is the newest checkpoint, from which training resumes.)
NEWEST_RUN = "last"


def located(name: str, output_dir: str) -> Path:
    """The path for an option `checkpoint`.

    Args:
        name: `default` for the default model, `last` for the best checkpoint of the newest run, otherwise a path.
        output_dir: the folder of all runs.

    Raises:
        CheckpointError: there is no run.
    """
    if name == NEWEST_RUN:
        return best_of_newest_run(Path(output_dir))
    return DEFAULT_MODEL if name == DEFAULT else Path(name).expanduser()
