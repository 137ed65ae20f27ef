"""The option `checkpoint`, and the default model of this package."""

import difflib
from pathlib import Path

from colorization.checkpoints.finding import GIVE_ONE, best_of_newest_run, check_exists
from colorization.config.folder import CONF
from colorization.runtime.files import StrPath

DEFAULT = "default"
DEFAULT_MODEL = Path(__file__).parent.parent / "models" / "default.safetensors"
# The best checkpoint of the newest run. (`ckpt_path=last` is the newest checkpoint, from which training resumes.)
NEWEST_RUN = "last"


def located(name: str, output_dir: str, option: str = "checkpoint") -> Path:
    """The path for an option `checkpoint` or `init_from`.

    Args:
        name: `default` for the default model, `last` for the best checkpoint of the newest run, the name of an entry of
            conf/catalogue, or a path.
        output_dir: the folder of all runs.
        option: the option, for messages.

    Raises:
        CheckpointError: there is no run, or no such file.
    """
    if name == NEWEST_RUN:
        return best_of_newest_run(Path(output_dir), option)
    if name == DEFAULT:
        return DEFAULT_MODEL
    path = in_catalogue(name) or Path(name).expanduser()
    names = [DEFAULT, NEWEST_RUN, *(_entries() if option == "checkpoint" else ())]
    if close := difflib.get_close_matches(name, names, n=1):
        advice = f"did you mean {close[0]}?"
    else:
        advice = f"{GIVE_ONE}, or {option}=last for the newest run's best"
    check_exists(path, option, advice)
    return path


def in_catalogue(name: StrPath) -> Path | None:
    """The file of an entry of conf/catalogue; None if there is none of this name, or if a file has it."""
    return None if Path(name).exists() else _entries().get(str(name))


def _entries() -> dict[str, Path]:
    return {path.stem: path for path in (CONF / "catalogue").glob("*.yaml")}
