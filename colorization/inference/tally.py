"""The summary of a prediction."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from colorization.errors import PictureError, first_line, shown
from colorization.inference.jobs import Job, Remark
from colorization.runtime.console import console

_Result = TypeVar("_Result")


@dataclass
class Tally:
    """Counts pictures.

    Args:
        output: the output folder.
        title: the title of the table.
    """

    output: Path
    title: str | None = None
    colored: int = 0
    skipped: int = 0
    failed: list[Remark] = field(default_factory=list)
    notes: list[Remark] = field(default_factory=list)
    left_out: str = ""

    def sift(self, jobs: Iterable[Job], results: Iterable[_Result | Exception]) -> dict[Job, _Result]:
        """Records failures, and returns the other jobs with their results."""
        good: dict[Job, _Result] = {}
        for job, result in zip(jobs, results, strict=True):
            if isinstance(result, Exception):
                self.failed.append(Remark(str(job.source), first_line(result)))
            else:
                good[job] = result
        return good

    def count(self, written: Mapping[Job, Sequence[str]]) -> None:
        """Counts written pictures, with remarks about what could not be kept."""
        self.colored += len(written)
        self.notes += [Remark(str(job.source), note) for job, notes in written.items() for note in notes]

    def print(self) -> None:
        """Prints a table of counts, and a line for what was left out, and for each remark and failure; nothing if there
        were no pictures.
        """
        if not (self.colored or self.skipped or self.failed):
            return
        table = Table(title=self.title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
        table.add_column("")
        table.add_column("pictures", justify="right")
        table.add_column("")
        table.add_row("coloured", str(self.colored), f"into {escape(shown(str(self.output)))}")
        if self.skipped:
            table.add_row("skipped", str(self.skipped), "they exist already; overwrite=true colours them again")
        if self.failed:
            table.add_row("failed", str(len(self.failed)), "see below")
        console.print(table)
        if self.left_out:
            console.print(f"left out: {shown(self.left_out)}", markup=False, soft_wrap=True)
        for word, lines in (("note", self.notes), ("failed", self.failed)):
            for line in lines:
                console.print(f"{word}: {shown(line.name)}: {shown(line.text)}", markup=False)


def attempting(function: Callable[..., _Result]) -> Callable[..., _Result | Exception]:
    """Wraps a function, so that it returns exceptions about a picture instead of raising them."""

    def attempt(*arguments: Any) -> _Result | Exception:
        try:
            return function(*arguments)
        except (PictureError, OSError, RuntimeError, MemoryError) as error:  # PyTorch's are RuntimeErrors
            return error

    return attempt
