"""Tables for the terminal."""

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from colorization.metrics import METRICS

console = Console(highlight=False, soft_wrap=True)


def print_scores(scores: Mapping[str, float], title: str) -> None:
    """Each metric of the model beside the all-gray baseline.

    Args:
        scores: the names of `Scores.compute`.
        title: what was scored.
    """
    table = Table(title=title, title_justify="left")
    for heading in ("", "model", "all gray", "difference", "truth"):
        table.add_column(heading, justify="right" if heading else "left")
    for key, label in METRICS.items():
        model, gray = scores[key], scores[f"gray_{key}"]
        truth = scores.get(f"{key}_truth")
        table.add_row(
            label, f"{model:.3f}", f"{gray:.3f}", f"{model - gray:+.3f}", "" if truth is None else f"{truth:.3f}"
        )
    console.print(table)
