"""Tables of scores: a model compared with the all-gray baseline, or checkpoints compared with each other."""

from collections.abc import Mapping

from colorization.metrics.names import METRICS
from colorization.runtime.console import Cells

Intervals = Mapping[str, tuple[float, float]]


def score_table(scores: Mapping[str, float], intervals: Intervals | None = None, model: str = "model") -> Cells:
    """Each metric of the model beside the all-gray baseline.

    Args:
        scores: by metric, with the prefix `gray_` for the baseline and the suffix `_truth` for the truth.
        intervals: for each metric the 95 % interval of the difference between model and baseline.
        model: the heading of its column.
    """
    cells = [["", model, "all gray", "difference", *(["95 % interval"] if intervals else []), "truth"]]
    for key in METRICS:
        if key not in scores:
            continue
        value, gray, truth = scores[key], scores[f"gray_{key}"], scores.get(f"{key}_truth")
        low_high = [_interval(intervals, key)] if intervals else []
        difference = f"{value - gray:+.3g}"
        cells.append(
            [
                heading(key),
                _number(value),
                _number(gray),
                difference,
                *low_high,
                "" if truth is None else _number(truth),
            ]
        )
    return cells


def paired_table(
    first: str, others: Mapping[str, tuple[Mapping[str, float], Intervals]], scores: Mapping[str, float]
) -> Cells:
    """Each metric of the first checkpoint, and by how much each of the others differs from it.

    Args:
        first: its label.
        others: by label, the differences and, if there are any, their 95 % intervals.
        scores: the first checkpoint's.
    """
    cells = [["", first, *(column for label in others for column in (f"{label}, difference", "95 % interval"))]]
    for key in METRICS:
        if key in scores:
            columns = [
                text
                for found, intervals in others.values()
                for text in (f"{found[key]:+.3g}", _interval(intervals, key))
            ]
            cells.append([heading(key), _number(scores[key]), *columns])
    return cells


def heading(metric: str) -> str:
    """A metric's name with its unit."""
    return f"{metric} (dB)" if metric == "psnr" else metric


def _number(value: float) -> str:
    return f"{value:.4g}"


def _interval(intervals: Intervals, key: str) -> str:
    return "{:+.3g} .. {:+.3g}".format(*intervals[key]) if key in intervals else ""
