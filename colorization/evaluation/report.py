"""The report of an evaluation: tables, files and pictures."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from colorization.evaluation.bootstrap import GRAY, TRUTH, difference_intervals, means
from colorization.evaluation.scoring import Evaluation, ShownPicture
from colorization.figures.panels import make_titled_grid
from colorization.imagefiles import write_picture
from colorization.metrics.names import METRICS
from colorization.metrics.tables import paired_table, score_table
from colorization.runtime.console import Cells, console, markdown_table, print_table
from colorization.runtime.files import write_csv, write_text


class EvaluationReport:
    """The report of a finished evaluation.

    Args:
        evaluation: its scores.
        metrics: the keys of `METRICS` to report.
        title: photos and protocol.
        notes: lines about metrics and photos that were left out.

    Attributes:
        results: by label of a candidate, its entry in `metrics.json`.
    """

    def __init__(self, evaluation: Evaluation, metrics: Sequence[str], title: str, notes: Sequence[str]) -> None:
        assert evaluation.pictures is not None
        self.evaluation = evaluation
        self.pictures = evaluation.pictures
        self.title = title
        self.notes = notes
        self.results = self._summarize(metrics)
        self.first, *self.others = self.results

    def _summarize(self, metrics: Sequence[str]) -> dict[str, dict[str, Any]]:
        first, *others = labels = [candidate.label for candidate in self.evaluation.candidates]
        found = {label: means(self.pictures, label) for label in (GRAY, TRUTH, *labels)}
        for label, distance in self.evaluation.fids.items():
            found[label]["fid"] = distance
        pairs = [(label, GRAY) for label in labels] + [(label, first) for label in others]
        intervals = difference_intervals(self.pictures, pairs) if len(self.pictures.names) > 1 else {}
        kept = [key for key in METRICS if key in metrics and key in found[first]]

        def of_pair(one: str, other: str) -> dict[str, Any]:
            found_ones = intervals.get((one, other), {})
            return {key: found_ones[key] for key in kept if key in found_ones}

        results: dict[str, dict[str, Any]] = {}
        for candidate in self.evaluation.candidates:
            label = candidate.label
            scores = {name: found[who][key] for key in kept for name, who in ((key, label), (f"gray_{key}", GRAY))}
            scores |= {f"{key}_truth": found[TRUTH][key] for key in kept if key in found[TRUTH]}
            results[label] = {
                **candidate.facts,
                "metrics": scores,
                "difference_to_gray_95": of_pair(label, GRAY),
            }
            if label != first:
                results[label]["difference_to_first"] = {key: found[label][key] - found[first][key] for key in kept}
                results[label]["difference_to_first_95"] = of_pair(label, first)
        return results

    def tables(self) -> list[tuple[str, Cells]]:
        """Titles and tables: each candidate compared with gray, and the others with the first."""
        return [
            (title, [[self._named(first), *rest] for first, *rest in cells]) for title, cells in self._unnamed_tables()
        ]

    def _named(self, metric: str) -> str:
        """A metric's name in tables: the values of FID depend on the backend."""
        fid = self.evaluation.fid
        return f"fid ({fid.backend})" if metric == "fid" and fid is not None else metric

    def _unnamed_tables(self) -> list[tuple[str, Cells]]:
        tables = [
            (
                candidate.title,
                score_table(result["metrics"], result["difference_to_gray_95"], candidate.label),
            )
            for candidate, result in zip(self.evaluation.candidates, self.results.values(), strict=True)
        ]
        if self.others:
            paired = {
                label: (self.results[label]["difference_to_first"], self.results[label]["difference_to_first_95"])
                for label in self.others
            }
            cells = paired_table(self.first, paired, self.results[self.first]["metrics"])
            tables.append((f"Paired differences to {self.first}", cells))
        return tables

    def extremes(self) -> dict[str, list[dict[str, Any]]]:
        """The worst, median and best pictures by name, with their difference in PSNR."""
        gains = self.evaluation.gains()
        return {
            kind: [
                {"name": self.pictures.names[shown.index], "psnr_difference": float(gains[shown.index])}
                for shown in chosen
            ]
            for kind, chosen in self.evaluation.extremes.items()
        }

    def _extreme_lines(self) -> list[str]:
        against = f"the PSNR of {self.first}" if self.others else "gray's PSNR"
        return [
            f"{kind}: {picture['name']}, {picture['psnr_difference']:+.2f} dB against {against}"
            for kind, chosen in self.extremes().items()
            for picture in chosen
        ]

    def print(self) -> None:
        """Prints tables and notes."""
        console.print(self.title)
        for subtitle, cells in self.tables():
            print_table(cells, subtitle)
        for line in (*self._extreme_lines(), *self.notes):
            console.print(line, markup=False)

    def write(self, folder: Path, facts: Mapping[str, Any]) -> list[Path]:
        """Writes all files into a folder and returns their paths.

        Args:
            folder: created if it does not exist.
            facts: further entries of `metrics.json`.
        """
        scores = {"compare": self.results} if self.others else self.results[self.first]
        summary = _without_nan({**facts, **scores, "extremes": self.extremes()})
        text = json.dumps(summary, indent=2, ensure_ascii=False)
        write_text(folder / "metrics.json", text + "\n")
        write_text(folder / "report.md", self._markdown())
        for name, rows in (("metrics.csv", self._metric_rows()), ("pictures.csv", self._picture_rows())):
            write_csv(folder / name, rows[0], (row.values() for row in rows))
        names = [self.pictures.names[shown.index] for shown in self.evaluation.first]
        self._write_grid(folder / "panel.png", self.evaluation.first, names)
        extremes = [shown for chosen in self.evaluation.extremes.values() for shown in chosen]
        self._write_grid(folder / "extremes.png", extremes, self._extreme_lines())
        files = ("report.md", "metrics.json", "metrics.csv", "pictures.csv", "panel.png", "extremes.png")
        return [folder / name for name in files]

    def _metric_rows(self) -> list[dict[str, Any]]:
        rows = []
        paths = {candidate.label: candidate.path for candidate in self.evaluation.candidates}
        for label, result in self.results.items():
            scores = result["metrics"]
            for key in (key for key in METRICS if key in scores):
                low, high = result["difference_to_gray_95"].get(key, ("", ""))
                row = {"path": paths[label], "label": label, "metric": self._named(key), "value": scores[key]}
                row |= {"gray": scores[f"gray_{key}"], "truth": scores.get(f"{key}_truth", "")}
                row |= {"difference_to_gray": scores[key] - scores[f"gray_{key}"], "low_95": low, "high_95": high}
                if self.others:
                    low, high = result.get("difference_to_first_95", {}).get(key, ("", ""))
                    difference = result.get("difference_to_first", {}).get(key, "")
                    row |= {"difference_to_first": difference, "first_low_95": low, "first_high_95": high}
                rows.append(row)
        return rows

    def _picture_rows(self) -> list[dict[str, Any]]:
        kept = self.results[self.first]["metrics"]
        scores = self.pictures.scores
        columns: dict[str, Any] = {"name": self.pictures.names}
        for label in self.results:
            prefix = f"{label}: " if self.others else ""
            columns |= {f"{prefix}{key}": values for key, values in scores[label].items() if key in kept}
        columns |= {f"gray_{key}": values for key, values in scores[GRAY].items() if key in kept}
        columns |= {f"{key}_truth": values for key, values in scores[TRUTH].items() if f"{key}_truth" in kept}
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]

    def _write_grid(self, path: Path, shown: Sequence[ShownPicture], captions: Sequence[str]) -> None:
        titles = ["gray", *self.results, "truth"]
        write_picture(make_titled_grid([picture.columns for picture in shown], titles, captions), path)

    def _markdown(self) -> str:
        parts = [f"# {self.title}"]
        for subtitle, cells in self.tables():
            parts += [f"## {subtitle}", markdown_table(cells)]
        parts += [
            "Each interval is the 95 % interval of the difference before it, by paired bootstrap over pictures. Scores "
            "of other protocols or other pictures can't be compared with these.",
            "\n".join(f"- {line}" for line in (*self._extreme_lines(), *self.notes)),
            "![first pictures](panel.png)",
            "![worst, median and best pictures](extremes.png)",
        ]
        return "\n\n".join(parts) + "\n"


def _without_nan(value: Any) -> Any:
    """A value for JSON, which has neither NaN nor infinity: they become null."""
    if isinstance(value, Mapping):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
