"""Colours pictures: `python predict.py checkpoint=PATH input=FILE_OR_FOLDER`. `--help` lists the options."""

import sys
from pathlib import Path

from omegaconf import DictConfig
from rich.progress import track

from colorization.cli import script
from colorization.config import resolve
from colorization.errors import ColorizationError, ConfigError, PictureError
from colorization.imagefiles import find_pictures, open_picture, write_picture
from colorization.inference import Colorizer
from colorization.report import console


@script("predict")
def main(composed: DictConfig) -> None:
    """Colours a picture or all pictures below a folder; one that can't be coloured does not stop the others."""
    config = resolve(composed)
    output = Path(config["output"]).expanduser()
    jobs = list_jobs(Path(config["input"]).expanduser(), output)
    colorizer = Colorizer.from_checkpoint(config["checkpoint"], config["device"], config["resolution"])
    failed: list[str] = []
    skipped = 0
    for source, target in track(jobs, "Colouring", console=console):
        if target.exists() and not config["overwrite"]:
            skipped += 1
            continue
        try:
            write_picture(colorizer(open_picture(source)), target)
        except PictureError as error:
            failed.append(f"{source} {error}")
    console.print(f"{len(jobs) - len(failed) - skipped} coloured into {output}")
    if skipped:
        console.print(f"{skipped} left as they are, because they were there already (overwrite=true makes them anew)")
    for line in failed:
        console.print(f"failed: {line}")
    if failed:
        sys.exit(1)


def list_jobs(source: Path, output: Path) -> list[tuple[Path, Path]]:
    """Pairs of a picture and where its coloured copy goes: under the same name in the output folder.

    Raises:
        ColorizationError: there is nothing to colour, or the copy would take the original's place.
    """
    if output.exists() and not output.is_dir():
        raise ConfigError(f"output={output} is a file: give a folder")
    if source.is_dir():
        names = find_pictures(source)
        if source.resolve() in output.resolve().parents:  # what was coloured before is no input
            names = [name for name in names if output.resolve() not in (source / name).resolve().parents]
        jobs = [(source / name, output / name) for name in names]
        if not jobs:
            raise ColorizationError(f"input={source} holds no pictures: give a picture or a folder of pictures")
    elif source.is_file():
        jobs = [(source, output / source.name)]
    else:
        raise ColorizationError(f"input={source} does not exist: give a picture or a folder of pictures")
    if any(target.resolve() == origin.resolve() for origin, target in jobs):
        raise ConfigError(f"output={output} would overwrite the input: give another folder")
    return jobs


if __name__ == "__main__":
    main()
