"""The work of `predict.py`: reading, colouring and writing pictures, in batches that overlap."""

import math
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from rich.progress import Progress

from colorization.checkpoints.shipped import located
from colorization.commands.outstanding import find_outstanding
from colorization.errors import ColorizationError, PictureError
from colorization.film import color_film
from colorization.imagefiles import is_film, read_picture, save_picture
from colorization.imagefiles.opening import FORMATS as READ_FORMATS
from colorization.imagefiles.opening import opened, own_limit
from colorization.imagefiles.picture import Picture
from colorization.inference.colorizer import Colorizer
from colorization.inference.jobs import Job, Listing
from colorization.inference.provenance import Maker
from colorization.inference.tally import Tally, attempting
from colorization.runtime.console import progress_bar, silence
from colorization.runtime.files import expand, sweep
from colorization.runtime.processes import Process, this_process, usable_cores, wait_for_all

# Maximum number of pixels in a batch; a larger picture is a batch of its own.
_BATCH_PIXELS = 25_000_000


def color(listing: Listing, config: dict[str, Any]) -> None:
    """Colours pictures, shared among the processes of a launcher, and prints a summary. Exits with 1 if one failed.

    Args:
        listing: the pictures, the inputs without a job, and what folders hold besides.
        config: the resolved configuration.
    """
    process = this_process()
    title = f"Process {process.index + 1} of {process.count}" if process.count > 1 else None
    tally = Tally(expand(config["output"]), title)
    if not process.index:
        tally.failed, tally.left_out = listing.failures, listing.left_out
    try:
        color_files(listing.jobs[process.index :: process.count], config, process, tally)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("repeat the command to resume") from None
    finally:
        tally.print()
    wait_for_all()
    if tally.failed:
        sys.exit(1)


def load(config: dict[str, Any], device: str) -> Colorizer:
    """Loads the network with its options."""
    return Colorizer.from_checkpoint(
        located(config["checkpoint"], config["paths"]["output_dir"]).absolute(),
        device,
        config["resolution"],
        saturation=config["saturation"],
        temperature=config["temperature"],
        vividness=config["vividness"],
        trusted=config["trust"],
        adapter=config["adapter"],
    )


def color_stream(config: dict[str, Any]) -> None:
    """Colours the picture on standard input, and writes only the result to standard output, as PNG by default."""
    colorizer = load(config, config["device"])
    try:
        picture = read_picture(BytesIO(sys.stdin.buffer.read()), config["max_pixels"])
    except PictureError as error:
        raise PictureError(f"standard input {error}") from error
    try:
        save_picture(colorizer.color(picture), sys.stdout.buffer, config["format"] or "png", config["quality"])
        sys.stdout.buffer.flush()
    except OSError as error:
        silence(sys.stdout)
        raise ColorizationError(f"standard output can't be written: {error.strerror or error}") from error


def color_files(jobs: Sequence[Job], config: dict[str, Any], process: Process, tally: Tally) -> None:
    """Colours the remaining pictures and films.

    Raises:
        ColorizationError: the checkpoint can't be used, or the output folder can't be written.
    """
    colorizer = load(config, process.device(config["device"]))
    maker = Maker(colorizer, config["quality"])
    for folder in {job.target.parent for job in jobs}:
        sweep(folder)  # leftovers of killed processes
    left = find_outstanding(jobs, maker, config, tally)
    if not left:
        return
    folder = Path(os.path.commonpath([job.target.parent for job in left]))
    make_writable(folder)

    films = [job for job in left if is_film(job.source)]
    with progress_bar() as progress:
        task = progress.add_task("Colouring", total=len(left))
        for done in color_pictures([job for job in left if job not in films], colorizer, maker, config, tally):
            progress.advance(task, done)
        for job in films:
            result = attempting(color_one_film)(colorizer, maker, job, config, progress)
            tally.count(tally.sift([job], [result]))
            progress.advance(task)


def color_pictures(
    jobs: Sequence[Job], colorizer: Colorizer, maker: Maker, config: dict[str, Any], tally: Tally
) -> Iterator[int]:
    """Colours pictures in batches, and yields the size of each. While one batch is coloured, the next is read and the
    previous one is written; large pictures are processed one by one, to save memory.

    Raises:
        ColorizationError: the output folder can't be written.
    """

    def read(job: Job) -> Picture:
        return maker.read(job.source, config["max_pixels"])

    def write(job: Job, before: Picture, after: Picture) -> list[str]:
        notes: list[str] = []
        if config["compare"]:
            try:
                save_picture(side_by_side(before, after), job.comparison, quality=config["quality"])
            except PictureError as error:
                notes.append(f"no side-by-side view: {error}")
        return notes + save_picture(after, job.target, quality=config["quality"])

    upcoming = batches(jobs, config["batch_size"])
    writing: dict[Job, Future[list[str] | Exception]] = {}

    def start_reading() -> dict[Job, Future[Picture | Exception]]:
        return {job: pool.submit(attempting(read), job) for job in next(upcoming, [])}

    def finish_writing() -> None:
        nonlocal writing
        ended, writing = writing, {}
        results = [future.result() for future in ended.values()]
        tally.count(tally.sift(ended, results))
        if any(isinstance(result, Exception) for result in results):
            make_writable(next(iter(ended)).target.parent)

    # Warning filters are per process: they are restored here, not in the threads.
    with warnings.catch_warnings(), ThreadPoolExecutor(usable_cores(config["batch_size"])) as pool:
        try:
            reading = start_reading()
            while reading:
                before = tally.sift(reading, [future.result() for future in reading.values()])
                done, large = len(reading), sum(math.prod(picture.size) for picture in before.values()) > _BATCH_PIXELS
                reading = {} if large else start_reading()
                after = tally.sift(before, color_batch(colorizer, list(before.values())))
                finish_writing()
                writing = {job: pool.submit(attempting(write), job, before[job], after[job]) for job in after}
                del before, after  # free a large picture before reading the next one
                if large:
                    finish_writing()
                    reading = start_reading()
                yield done
        finally:
            finish_writing()


def color_one_film(
    colorizer: Colorizer, maker: Maker, job: Job, config: dict[str, Any], progress: Progress
) -> list[str]:
    """Colours a film with a progress bar for its frames, and returns remarks."""
    frames = progress.add_task("Frames", total=None)
    try:
        report = color_film(
            colorizer,
            job.source,
            job.target,
            config["batch_size"],
            lambda done, total: progress.update(frames, completed=done, total=total),
            str(maker.provenance(job.source)),
            config["max_pixels"],
        )
    finally:
        progress.remove_task(frames)
    flicker = f"{report.flicker_before:.2f} before and {report.flicker_after:.2f} after stabilization"
    notes = [f"{report.frames} frames; flicker {flicker}, Lab units"]
    notes += [f"left out: {stream}" for stream in report.left_out]
    if config["compare"]:
        notes.append("compare=true is for pictures only")
    return notes


def color_batch(colorizer: Colorizer, pictures: list[Picture]) -> list[Picture | Exception]:
    """Colours a batch or, if that fails, one picture at a time, so that a failure affects only one."""
    colored = attempting(colorizer.color_many)(pictures)
    if isinstance(colored, Exception):
        return [attempting(colorizer.color)(picture) for picture in pictures]
    return [*colored]


def batches(jobs: Sequence[Job], size: int) -> Iterator[list[Job]]:
    """Batches of up to `size` jobs, fewer if pictures are large."""
    batch: list[Job] = []
    pixels = 0
    for job in jobs:
        more = count_pixels(job.source)
        if batch and (len(batch) == size or pixels + more > _BATCH_PIXELS):
            yield batch
            batch, pixels = [], 0
        batch.append(job)
        pixels += more
    if batch:
        yield batch


def count_pixels(path: Path) -> int:
    """The number of pixels of a file; that of a whole batch if it is unknown."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with opened(path) as file, own_limit():
                image = Image.open(file, formats=READ_FORMATS)
                return image.width * image.height
        except Exception:  # Pillow raises any exception on corrupt files; reading will report it
            return _BATCH_PIXELS


def make_writable(folder: Path) -> None:
    """Creates a folder, and checks that it is writable.

    Raises:
        ColorizationError: it is not.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(65536))
    except OSError as error:
        raise ColorizationError(f"output={folder} can't be written: {error.strerror}") from error


def side_by_side(before: Picture, after: Picture) -> Picture:
    """The original picture, with the coloured one to its right."""
    given = before.pixels if before.pixels.ndim == 3 else np.repeat(before.pixels[..., None], 3, axis=2)
    alpha = None if after.alpha is None else np.concatenate([after.alpha] * 2, axis=1)
    return replace(after, pixels=np.concatenate([given, after.pixels], axis=1), alpha=alpha)
