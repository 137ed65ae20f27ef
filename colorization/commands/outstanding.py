"""Which pictures of a prediction remain to be coloured: those without an up-to-date result."""

import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from colorization.errors import PictureError
from colorization.film import WITHOUT_PROVENANCE, film_provenance
from colorization.imagefiles import is_film
from colorization.imagefiles.provenance import read_provenance
from colorization.inference.jobs import Job, Remark
from colorization.inference.provenance import Maker, Provenance
from colorization.inference.tally import Tally, attempting
from colorization.runtime.processes import usable_cores


def find_outstanding(jobs: Sequence[Job], maker: Maker, config: dict[str, Any], tally: Tally) -> list[Job]:
    """The remaining jobs. Jobs with an up-to-date result are counted as skipped; jobs whose result exists but was made
    from another picture or with other options have failed.
    """
    if config["overwrite"]:
        return [*jobs]

    def is_done(job: Job) -> bool:
        if not job.target.is_file():
            return False
        film = is_film(job.target)
        if film and job.target.suffix.lower() in WITHOUT_PROVENANCE:
            tally.notes.append(Remark(str(job.source), f"{job.target} exists, and does not say what made it"))
            return True
        difference = maker.provenance(job.source).difference(Provenance.parse(line_in(job.target)))
        if difference is not None:
            raise PictureError(
                f"{job.target} exists and {difference}: give another output, or overwrite=true to colour it again"
            )
        return film or not config["compare"] or job.comparison.is_file()

    with warnings.catch_warnings(), ThreadPoolExecutor(usable_cores(config["batch_size"])) as pool:
        done = tally.sift(jobs, pool.map(attempting(is_done), jobs))
    tally.skipped = sum(done.values())
    return [job for job, is_there in done.items() if not is_there]


def line_in(path: Path) -> str | None:
    """The line about what made a picture or film; None if there is none."""
    if is_film(path):
        return film_provenance(path)
    try:
        return read_provenance(path)
    except PictureError:
        return None
