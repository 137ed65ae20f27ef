"""The terminal: one console, one progress bar, and tables for the terminal and as Markdown."""

from collections.abc import Iterable, Iterator
from typing import TypeVar

from lightning_utilities.core.rank_zero import rank_zero_only
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.measure import Measurement
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table


class _SharedConsole(Console):
    """A console that pickles by name: launchers send a command's main function and its globals to other processes."""

    def __reduce__(self) -> str:
        return "console"


console = _SharedConsole(highlight=False, soft_wrap=True)

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


@rank_zero_only
def warn(line: str) -> None:
    """Prints a warning, on rank 0 only."""
    console.print(f"Warning: {line}", markup=False)


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
    Console(highlight=False, width=max(console.width, needed)).print(table)


def markdown_table(cells: Cells) -> str:
    """A table in Markdown, numbers right-aligned."""
    rule = ["---", *["---:"] * (len(cells[0]) - 1)]
    escaped = [[cell.replace("|", "\\|") for cell in row] for row in (cells[0], rule, *cells[1:])]
    return "\n".join("| " + " | ".join(row) + " |" for row in escaped)
