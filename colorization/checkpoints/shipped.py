"""The option `checkpoint`, and the default model of this package."""

from pathlib import Path

from colorization.checkpoints.finding import best_of_newest_run
from colorization.config.folder import CONF
from colorization.runtime.files import StrPath

DEFAULT = "default"
DEFAULT_MODEL = Path(__file__).parent.parent / "models" / "default.safetensors"
# The best checkpoint of the newest run. (`ckpt_path=last` is the newest checkpoint, from which training resumes.)
NEWEST_RUN = "last"


def located(name: str, output_dir: str) -> Path:
    """The path for an option `checkpoint`.

    Args:
        name: `default` for the default model, `last` for the best checkpoint of the newest run, the name of an entry of
            conf/catalogue, or a path.
        output_dir: the folder of all runs.

    Raises:
        CheckpointError: there is no run.
    """
    if name == NEWEST_RUN:
        return best_of_newest_run(Path(output_dir))
    return DEFAULT_MODEL if name == DEFAULT else in_catalogue(name) or Path(name).expanduser()


def in_catalogue(name: StrPath) -> Path | None:
    """The file of an entry of conf/catalogue; None if there is none of this name, or if a file has it."""
    entries = {path.stem: path for path in (CONF / "catalogue").glob("*.yaml")}
    return None if Path(name).exists() else entries.get(str(name))
