"""The leaderboard of a sweep: its runs in one table, the best first."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from colorization.checkpoints.network import PARTS, packages_needed
from colorization.config.instantiate import packages_named
from colorization.config.resolvers import better
from colorization.imagefiles import write_picture
from colorization.metrics.names import CHEAP
from colorization.metrics.tables import heading
from colorization.runtime.console import Cells, console, markdown_table, print_table
from colorization.runtime.files import write_csv, write_text
from colorization.runtime.installation import predict_command
from colorization.sweeps.jobs import refuse_failures
from colorization.sweeps.results import Job, differing_keys, find_jobs
from colorization.sweeps.sheet import make_sheet

# Sorts runs whose losses can't be compared.
_OF_ANY_OBJECTIVE = "val/psnr"


class Leaderboard:
    """The runs of a sweep in order.

    They are sorted by the metric that the first run monitors. If that is the loss, and the objectives differ, they are
    sorted by PSNR: losses of different objectives can't be compared.

    Args:
        jobs: the runs, as returned by `find_jobs`.

    Attributes:
        jobs: first the runs with a value of the metric, the best first; then the others.
        keys: the options that differ between runs.
        metric: the logged name of the metric that sorts the runs; None if no run has scores.
        notes: caveats for the reader.
    """

    def __init__(self, jobs: Sequence[Job]) -> None:
        self.keys = differing_keys(jobs)
        self.notes: list[str] = []
        self.metric, more_is_better = self._choose_metric([job for job in jobs if job.scores])
        values = {job.name: job.scores[self.metric] for job in jobs if self.metric and self.metric in job.scores}
        ranked = sorted((job for job in jobs if job.name in values), key=lambda job: values[job.name])
        if more_is_better:
            ranked.reverse()
        self.ranks = {job.name: rank for rank, job in enumerate(ranked, start=1)}
        self.jobs = ranked + [job for job in jobs if job.name not in self.ranks]

    def _choose_metric(self, scored: Sequence[Job]) -> tuple[str | None, bool]:
        results = [job.result for job in scored if job.result is not None]
        if not results:
            return None, False
        if len({result.photos for result in results}) > 1:
            self.notes.append("The jobs were scored on different photos or at different sizes: compare with care.")
        if len({result.monitor for result in results}) > 1:
            self.notes.append(f"The jobs monitor different metrics; they are sorted by that of job {scored[0].name}.")
        if results[0].monitor == "val/loss":
            objectives = [job.config()["objective"] for job in scored]
            if any(other != objectives[0] for other in objectives):
                self.notes.append(
                    "The jobs are sorted by PSNR, because losses of different objectives can't be compared. Each job's "
                    f"best checkpoint is still the one with the lowest loss, unless monitor={_OF_ANY_OBJECTIVE}."
                )
                return _OF_ANY_OBJECTIVE, better(_OF_ANY_OBJECTIVE) == "max"
        return results[0].monitor, results[0].mode == "max"

    def title(self) -> str:
        """The title of the table."""
        photos = next((job.result.photos for job in self.jobs if job.result and job.scores), None)
        if photos is None:
            return "No job has scores"
        return f"Best checkpoints on {photos}, sorted by {self.metric}; difference to gray in brackets"

    def cells(self) -> Cells:
        """The table, with the difference to the all-gray baseline in brackets."""
        own = [self.metric] if self.metric and self.metric.removeprefix("val/") not in CHEAP else []
        table = [["", "job", *self.keys, *own, *map(heading, CHEAP), "time"]]
        for job in self.jobs:
            rank = str(self.ranks.get(job.name, "failed" if job.error else ""))
            rank += " (pruned)" if job.status == "pruned" else ""
            options = [_shortened(job.overrides.get(key, "")) for key in self.keys]
            scores = [_number(job, name) for name in own] + [_beside_gray(job, key) for key in CHEAP]
            time = str(timedelta(seconds=round(job.result.seconds))) if job.result else ""
            table.append([rank, job.name, *options, *scores, time])
        return table

    def rows(self) -> list[dict[str, Any]]:
        """The rows of the CSV file, with all digits."""
        rows = []
        for job in self.jobs:
            row: dict[str, Any] = {"rank": self.ranks.get(job.name, ""), "job": job.name}
            row |= {"status": job.status}
            row |= {key: job.overrides.get(key, "") for key in self.keys}
            row |= {"sorted_by": self.metric or "", "value": job.scores.get(self.metric or "", "")}
            row |= {"loss": job.scores.get("val/loss", "")}
            for key in CHEAP:
                row |= {name: job.scores.get(f"val/{name}", "") for name in (key, f"gray_{key}")}
                difference = _difference_to_gray(job, key)
                row |= {f"{key}_difference_to_gray": "" if difference is None else difference}
            row |= {"seconds": job.result.seconds if job.result else ""}
            row |= {"photos": job.result.photos if job.result else ""}
            row |= {"checkpoint": f"{job.name}/{job.result.checkpoint}" if job.result and job.checkpoint else ""}
            row |= {"overrides": " ".join(f"{key}={value}" for key, value in job.overrides.items())}
            rows.append({**row, "error": job.error or ""})
        return rows

    def column_title(self, job: Job) -> str:
        """The title above a job's pictures: rank, options and PSNR, one line each."""
        options = [(key, _shortened(job.overrides[key])) for key in self.keys if key in job.overrides]
        # `vgg16` needs no key before it, `3` does.
        lines = [
            value if "." not in key and value.isidentifier() else f"{key.rpartition('.')[2]}={value}"
            for key, value in options
        ]
        rank = f"{self.ranks[job.name]}. " if job.name in self.ranks else ""
        score = f", {job.scores['val/psnr']:.2f} dB" if "val/psnr" in job.scores else ""
        return "\n".join((f"{rank}job {job.name}{score}", *lines))

    def failures(self) -> list[str]:
        """A line for each job that failed."""
        return [f"job {job.name} failed: {job.error}" for job in self.jobs if job.error is not None]


def close_sweep(folder: Path, trusted: Sequence[str] | None = None) -> None:
    """Prints the leaderboard of all runs in a folder, and writes `leaderboard.csv`, `leaderboard.md` and, if any job
    has a checkpoint, `contact_sheet.png` into it.

    Args:
        folder: what the runs are in.
        trusted: packages whose networks and data the runs may name besides ours; None: what they name, because their
            configurations have just been written by the user's own command.

    Raises:
        SweepError: jobs failed. Everything has been written.
        ColorizationError: the photos or a checkpoint of the contact sheet can't be read. The leaderboard has been
            written.
    """
    jobs = find_jobs(folder)
    if not jobs:
        return
    board = Leaderboard(jobs)
    shown = [job for job in board.jobs if job.checkpoint is not None]
    rows = board.rows()
    write_csv(folder / "leaderboard.csv", rows[0], (row.values() for row in rows))
    write_text(folder / "leaderboard.md", _markdown(board, shown))
    print_table(board.cells(), board.title())
    for line in (*board.notes, *board.failures()):
        console.print(line, markup=False)
    console.print(f"leaderboard    {folder / 'leaderboard.md'}", markup=False)
    if shown:
        needed = {job.name: packages_needed(job.config()) for job in shown}
        if trusted is None:
            trusted = packages_named([job.config()[group] for job in shown for group in ("data", *PARTS)])
        sheet = make_sheet(shown, [board.column_title(job) for job in shown], trusted)
        write_picture(sheet, folder / "contact_sheet.png")
        console.print(f"contact sheet  {folder / 'contact_sheet.png'}", markup=False)
        console.print("colour pictures with the best network:")
        assert shown[0].checkpoint is not None
        console.print(f"  {predict_command(shown[0].checkpoint, needed[shown[0].name])}", markup=False)
    refuse_failures(jobs, folder / "leaderboard.md")


def _markdown(board: Leaderboard, shown: Sequence[Job]) -> str:
    parts = ["# Leaderboard", board.title() + ".", markdown_table(board.cells())]
    if lines := [*board.notes, *board.failures()]:
        parts.append("\n".join(f"- {line}" for line in lines))
    if shown:
        parts.append("![The same held-out photos, coloured by each job](contact_sheet.png)")
    return "\n\n".join(parts) + "\n"


def _number(job: Job, name: str) -> str:
    return f"{job.scores[name]:.4g}" if name in job.scores else ""


def _beside_gray(job: Job, key: str) -> str:
    difference = _difference_to_gray(job, key)
    return "" if difference is None else f"{job.scores[f'val/{key}']:.4g} ({difference:+.3g})"


def _difference_to_gray(job: Job, key: str) -> float | None:
    value, gray = (job.scores.get(f"val/{name}") for name in (key, f"gray_{key}"))
    return None if value is None or gray is None else value - gray


def _shortened(value: str) -> str:
    """An option's value, rounded to four digits if it is a number."""
    try:
        return f"{float(value):.4g}" if len(value) > 6 else value
    except ValueError:
        return value
