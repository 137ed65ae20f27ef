"""Rebuilds the leaderboard of all runs in a folder: `python -m colorization.sweeps outputs/multirun/DATE_TIME`."""

import argparse
from pathlib import Path

from colorization.config.mistakes import one_sentence
from colorization.errors import ConfigError
from colorization.sweeps.leaderboard import close_sweep
from colorization.sweeps.results import find_jobs


def main() -> None:
    """Writes leaderboard and contact sheet, as at the end of a multirun."""
    with one_sentence():
        parser = argparse.ArgumentParser(prog="python -m colorization.sweeps", description=__doc__)
        parser.add_argument("folder", type=Path, help="the folder of a multirun, or any folder that contains runs")
        parser.add_argument("--trust", action="append", default=[], metavar="PACKAGE", help="its networks may be built")
        arguments = parser.parse_args()
        folder = arguments.folder
        if not find_jobs(folder):
            raise ConfigError(f"{folder} contains no training runs: give the folder of a sweep")
        close_sweep(folder, arguments.trust)


if __name__ == "__main__":
    main()
