"""Tables for the terminal."""

from collections.abc import Mapping

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from colorization.metrics import METRICS

console = Console(highlight=False, soft_wrap=True)


def print_scores(
    scores: Mapping[str, float], title: str, intervals: Mapping[str, tuple[float, float]] | None = None
) -> None:
    """Each metric of the model beside the all-gray baseline.

    Args:
        scores: the names of `Scores.compute`.
        title: what was scored.
        intervals: for each metric the 95 % interval of the difference between model and baseline.
    """
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    headings = ["", "model", "all gray", "difference", *(["95 % interval"] if intervals else []), "truth"]
    for heading in headings:
        table.add_column(heading, justify="right" if heading else "left", no_wrap=True)
    for key, label in METRICS.items():
        model, gray = scores[key], scores[f"gray_{key}"]
        truth = scores.get(f"{key}_truth")
        low_high = ["{:+.3g} .. {:+.3g}".format(*intervals[key])] if intervals else []
        row = [label, f"{model:.4g}", f"{gray:.4g}", f"{model - gray:+.3g}", *low_high]
        table.add_row(*row, "" if truth is None else f"{truth:.4g}")
    console.print(table)
