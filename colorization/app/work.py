"""Colouring what a visitor has uploaded, into the visitor's folder."""

import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from colorization.errors import ColorizationError, TooLargeError, first_line
from colorization.film import color_film, frame_at
from colorization.imagefiles import is_film, save_picture, write_picture
from colorization.imagefiles.picture import Picture
from colorization.imagefiles.saving import on_white, to_8_bits, to_pil
from colorization.inference.colorizer import Colorizer
from colorization.inference.jobs import Remark, Source, distinct_names
from colorization.inference.provenance import Maker

ARCHIVE = "coloured.zip"
# Longer side of what the slider shows, px. Downloads have the full size.
_SHOWN = 1600
# Where in a film the frame is that the slider shows.
_STILL = 1 / 3

# Called with the number of files that are done, their total, and what is going on.
Progress = Callable[[float, int, str], object]


class StoppedError(ColorizationError):
    """The visitor, or the limit of time, has ended a job."""


@dataclass(frozen=True)
class Limits:
    """What a job may take.

    Attributes:
        max_files: the number of files.
        max_pixels: of a picture, or of a film's frame.
        max_seconds: of the whole job. A picture that is being coloured is finished.
    """

    max_files: int
    max_pixels: int
    max_seconds: float


@dataclass(frozen=True)
class Colored:
    """A result.

    Attributes:
        name: of the upload.
        path: the coloured picture or film, at full size.
        before: a small view of the upload for the slider, or of one of its frames.
        after: the same of the result.
    """

    name: str
    path: Path
    before: Path
    after: Path


@dataclass
class Outcome:
    """What became of a job: results, remarks and failures, all results in one file if there are several, and the
    folder that holds everything.
    """

    folder: Path | None = None
    colored: list[Colored] = field(default_factory=list)
    notes: list[Remark] = field(default_factory=list)
    failed: list[Remark] = field(default_factory=list)
    archive: Path | None = None


class Job:
    """Colours files.

    Args:
        colorizer: colours them.
        folder: for the results, in a new folder of each job: browsers would take results of the same name for the
            earlier ones.
        limits: what the job may take.
        is_stopped: whether the visitor wants no more of it.
        progress: see `Progress`.
    """

    def __init__(
        self,
        colorizer: Colorizer,
        folder: Path,
        limits: Limits,
        is_stopped: Callable[[], bool] = lambda: False,
        progress: Progress = lambda *_: None,
    ) -> None:
        self.colorizer, self.limits = colorizer, limits
        self.folder = Path(tempfile.mkdtemp(dir=folder))
        self.maker = Maker(colorizer)
        self.is_stopped, self.progress = is_stopped, progress
        self.end = time.monotonic() + limits.max_seconds

    def run(self, uploads: Sequence[Path]) -> Outcome:
        """Colours uploads one by one; a failure does not end the others.

        Raises:
            ColorizationError: there are none, too many, or they were removed meanwhile.
        """
        if not uploads:
            raise ColorizationError("drop a photo or a film first")
        if len(uploads) > self.limits.max_files:
            raise ColorizationError(
                f"{len(uploads)} files are too many: this page takes {self.limits.max_files} at once"
            )
        for path in uploads:
            if not path.is_file():
                raise ColorizationError(f"{path.name} was removed meanwhile: drop it again")
        outcome = Outcome(self.folder)
        # Names depend on the order of the uploads, not on the folders in which Gradio keeps them.
        sources = [Source(Path(f"/{number}"), path.name) for number, path in enumerate(uploads, 1)]
        for number, (path, name) in enumerate(zip(uploads, distinct_names(sources, "", None), strict=True)):
            try:
                self._check_time()
                outcome.colored.append(self._color(path, name, number, len(uploads), outcome.notes))
            except (ColorizationError, OSError, RuntimeError, MemoryError) as error:  # PyTorch's are RuntimeErrors
                outcome.failed.append(Remark(path.name, self._words(error, path)))
        if len(outcome.colored) > 1:
            outcome.archive = self._pack(outcome.colored)
        return outcome

    def _color(self, path: Path, name: str, number: int, total: int, notes: list[Remark]) -> Colored:
        self.progress(number, total, f"Colouring {path.name}")
        target = self.folder / "results" / name
        views = self.folder / "views" / f"{number}-before.jpg", self.folder / "views" / f"{number}-after.jpg"
        if not is_film(path):
            before = self.maker.read(path, self.limits.max_pixels)
            after = self.colorizer.color(before)
            notes += [Remark(path.name, note) for note in save_picture(after, target)]
        else:

            def frames(done: int, expected: int | None) -> None:
                self._check_time()
                share = min(done / expected, 1) if expected else 0
                self.progress(number + share, total, f"Colouring {path.name}: frame {done} of {expected or 'many'}")

            line = str(self.maker.provenance(path))
            report = color_film(
                self.colorizer, path, target, progress=frames, provenance=line, max_pixels=self.limits.max_pixels
            )
            notes += [Remark(path.name, f"left out: {stream}") for stream in report.left_out]
            before, after = Picture(frame_at(path, _STILL)), Picture(frame_at(target, _STILL))
        for picture, view in zip((before, after), views, strict=True):
            _write_view(picture, view)
        return Colored(path.name, target, *views)

    def _check_time(self) -> None:
        if self.is_stopped():
            raise StoppedError("was stopped")
        if time.monotonic() > self.end:
            raise StoppedError(f"was stopped after {self.limits.max_seconds:g} seconds, the limit of this page")

    def _words(self, error: Exception, path: Path) -> str:
        """What a visitor may know: no folders of this machine, and no options of the command line."""
        if isinstance(error, TooLargeError):
            width, height = error.size
            return f"has {width} x {height} pixels: this page takes up to {self.limits.max_pixels:,}"
        if isinstance(error, ColorizationError):
            return first_line(error).replace(str(path), path.name).replace(f"{self.folder}/results/", "")
        return f"can't be coloured: {getattr(error, 'strerror', None) or first_line(error)}"

    def _pack(self, colored: Sequence[Colored]) -> Path:
        archive = self.folder / "archive" / ARCHIVE
        archive.parent.mkdir()
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as packed:  # pictures and films are compressed already
            for each in colored:
                packed.write(each.path, each.path.relative_to(self.folder / "results"))
        return archive


def _write_view(picture: Picture, path: Path) -> None:
    image = to_pil(to_8_bits(on_white(picture)))
    image.thumbnail((_SHOWN, _SHOWN))
    write_picture(image, path)
