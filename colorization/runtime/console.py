"""The terminal: one console, one progress bar, and tables for the terminal and as Markdown."""

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator
from typing import IO, Any, TypeVar, cast

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table


class _Output:
    """Standard output, as rich writes to it, whose loss is not that of the program.

    What can't be written there, because nobody reads the pipe any more or the disk is full, goes to standard error, and
    so does all that follows. Characters that the terminal's encoding lacks are escaped.
    """

    def __init__(self) -> None:
        self._pending = ""
        self._broken: IO[str] | None = None

    @property
    def _stream(self) -> IO[str]:
        stream = getattr(sys.stdout, "rich_proxied_file", sys.stdout)  # under a progress bar, rich takes its place
        return sys.stderr if stream is self._broken or stream is None else stream

    @property
    def encoding(self) -> str:
        return getattr(self._stream, "encoding", None) or "utf-8"

    def isatty(self) -> bool:
        # A notebook's output says that it is a terminal, but can't overwrite lines.
        return self._stream.isatty() and not type(self._stream).__module__.startswith("ipykernel")

    def fileno(self) -> int:
        return self._stream.fileno()

    def write(self, text: str) -> int:
        self._pending += text.encode(self.encoding, "backslashreplace").decode(self.encoding)
        return len(text)

    def flush(self) -> None:
        text, self._pending = self._pending, ""
        stream = self._stream
        try:
            stream.write(text)
            stream.flush()
        except OSError:
            self._broken = stream
            silence(stream)
            if stream is not sys.stderr:
                self.write(text)
                self.flush()


def silence(stream: Any) -> None:
    """Lets a stream that can't be written lead nowhere: Python would fail once more when it closes it."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


class _SharedConsole(Console):
    """A console that pickles by name: launchers send a command's main function and its globals to other processes."""

    def __reduce__(self) -> str:
        return "console"


# Plain text also in a notebook, where each line would become an HTML output, and a progress bar would need widgets.
_PLAIN: dict[str, Any] = {"file": cast(IO[str], _Output()), "highlight": False, "force_jupyter": False}
console = _SharedConsole(**_PLAIN, soft_wrap=True)

_Item = TypeVar("_Item")
# A table: its headings, then its rows; the first column is the metric.
Cells = list[list[str]]


def progress_bar() -> Progress:
    """A progress bar with counts and times."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
    )


def tracked(items: Iterable[_Item], description: str) -> Iterator[_Item]:
    """Iterates over items with a progress bar."""
    with progress_bar() as progress:
        yield from progress.track(items, description=description)


def warn(line: str) -> None:
    """Prints a warning, on rank 0 only."""
    from lightning_utilities.core.rank_zero import rank_zero_only  # takes a tenth of a second

    rank_zero_only(console.print)(f"Warning: {line}", markup=False)


def print_table(cells: Cells, title: str) -> None:
    """Prints a table."""
    console.print(title, markup=False)  # as the table's title it would be wrapped at the table's width
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for heading in cells[0]:
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    for row in cells[1:]:
        table.add_row(*row)
    # In a narrow terminal Rich would truncate numbers: a long line is better.
    needed = Measurement.get(console, console.options.update(max_width=10_000), table).maximum
    Console(**_PLAIN, width=max(console.width, needed)).print(table)


def markdown_table(cells: Cells) -> str:
    """A table in Markdown, numbers right-aligned."""
    rule = ["---", *["---:"] * (len(cells[0]) - 1)]
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in (cells[0], rule, *cells[1:])]
    return "\n".join("| " + " | ".join(row) + " |" for row in escaped)
