"""Looks over a collection of photos before a network learns from it: `colorize-audit data=folder
data.root=photos`. `--help` tells more.
"""

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import numpy as np
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table
from torch.utils.data import DataLoader

from colorization.audit.duplicates import near_duplicates, same_pixels
from colorization.audit.findings import FINDINGS, Examination, Examined, Finding
from colorization.color import ab_bins
from colorization.config.instantiate import instantiate, resolve
from colorization.config.schemas import AuditThresholds
from colorization.data.datamodule import PhotoDataModule, Split
from colorization.data.photos import Photos
from colorization.errors import ConfigError, DataError, did_you_mean, shown
from colorization.figures.abchart import CELLS, cells_of, draw_prior
from colorization.runtime.console import console, progress_bar
from colorization.runtime.files import write_csv, write_text
from colorization.runtime.installation import command_line


@dataclass
class Audit:
    """What an audit has found out.

    Args:
        photos: what was looked at.
        findings: of each photo, by its number.
        cells: pixels in each cell of the ab plane, see `abchart.cells_of`.
        bins: pixels in each of `colorization.color.ab_bins`.
        colored: photos whose pixels were counted.
    """

    photos: Photos
    findings: list[list[Finding]] = field(default_factory=list)
    cells: np.ndarray = field(default_factory=lambda: np.zeros(CELLS * CELLS, dtype=np.int64))
    bins: np.ndarray = field(default_factory=lambda: np.zeros(len(ab_bins()), dtype=np.int64))
    colored: int = 0

    def count(self, kind: str) -> int:
        """How many photos have a finding."""
        return sum(any(finding.kind == kind for finding in found) for found in self.findings)

    def rows(self) -> list[tuple[str, str, str]]:
        """Name, finding and particulars of every finding, in the order of the photos."""
        return [
            (self.photos.name(index), finding.kind, finding.detail)
            for index, found in enumerate(self.findings)
            for finding in found
        ]

    def excluded(self, kinds: Sequence[str]) -> dict[str, str]:
        """Names of the photos with one of these findings, and their findings."""
        return {
            self.photos.name(index): " ".join(finding.kind for finding in found)
            for index, found in enumerate(self.findings)
            if any(finding.kind in kinds for finding in found)
        }


def run(composed: DictConfig) -> None:
    """Reports photos that teach a network nothing or the wrong thing, and writes a list that leaves them out."""
    config = resolve(composed)
    split = check(config)
    thresholds = AuditThresholds(**config["thresholds"])
    data: PhotoDataModule = instantiate(config["data"], "data")
    data.prepare_data()
    photos = data.photos(split)
    if photos is None or len(photos) == 0:
        raise DataError(f"{data} has no {split} photos: choose another split, or add some")
    audit = look_over(photos, thresholds, config["exclude"], data.num_workers)
    run = Path(config["paths"]["run"])
    run.mkdir(parents=True, exist_ok=True)
    excluded = data.excluded_names() | audit.excluded(config["exclude"])
    write(audit, excluded, config, str(data), run)
    print_findings(audit, config["exclude"], f"{len(photos)} photos ({split}) of {data}")
    for name in ("audit.csv", "audit.json", "prior.csv", "prior.png", "exclude.csv"):
        console.print(run / name)
    if excluded:
        console.print(f"exclude.csv names {len(excluded)} photos; train without them with this command:")
        console.print(f"  {command_line('train')} {shlex.join(data_overrides(run / 'exclude.csv'))}", markup=False)


def data_overrides(exclude: Path) -> list[str]:
    """The overrides that choose this run's photos, without those that a list names."""
    given = [text for text in HydraConfig.get().overrides.task if text.lstrip("+").startswith(("data=", "data."))]
    kept = [text for text in given if not text.startswith("data.exclude=")]
    path = str(exclude)
    is_plain = all(character.isalnum() or character in "/._-" for character in path)
    return [*kept, f"data.exclude={path}" if is_plain else f'data.exclude="{path}"']


def check(config: dict[str, Any]) -> Split:
    """The split that is to be looked over.

    Raises:
        ConfigError: it does not exist, or another value can't work.
    """
    for kind in config["exclude"]:
        if kind not in FINDINGS:
            raise ConfigError(f"exclude={kind} is no finding{did_you_mean(kind, FINDINGS)}")
    most = {"near_duplicate": 16}  # more bits are alike by chance
    for key, value in config["thresholds"].items():
        if not 0 <= value <= most.get(key, float("inf")):
            upper = f" and {most[key]} at the most" if key in most else ""
            raise ConfigError(f"thresholds.{key}={value:g} can't work: give 0 or more{upper}")
    splits: tuple[Split, ...] = get_args(Split)
    for split in splits:
        if split == config["split"]:
            return split
    raise ConfigError(f"split={config['split']} does not exist{did_you_mean(config['split'], splits)}")


def look_over(photos: Photos, thresholds: AuditThresholds, exclude: Sequence[str], num_workers: int) -> Audit:
    """Goes once over all photos.

    Args:
        photos: what to look at.
        thresholds: what counts as a finding.
        exclude: findings for which a photo is left out. Of photos that are alike, the first that stays otherwise is
            the one that is no duplicate.
        num_workers: loader processes.
    """
    audit = Audit(photos)
    loader = DataLoader(
        Examination(photos, thresholds, ab_bins()),
        batch_size=16,
        collate_fn=list,
        num_workers=num_workers,
    )
    seen: list[Examined] = []
    with progress_bar() as progress:
        task = progress.add_task("Looking at photos", total=len(photos))
        for batch in loader:
            for examined in batch:
                if examined.ab is not None:
                    audit.cells += np.bincount(cells_of(examined.ab), minlength=len(audit.cells))
                    audit.bins += examined.counts
                    audit.colored += 1
                examined.ab = examined.counts = None
                seen.append(examined)
            progress.advance(task, len(batch))
    audit.findings = [examined.findings for examined in seen]
    seen.sort(key=lambda examined: any(finding.kind in exclude for finding in examined.findings))
    _compare(seen, audit, thresholds.near_duplicate)
    return audit


def _compare(seen: Sequence[Examined], audit: Audit, most: int) -> None:
    """Adds duplicates to the findings, of photos in the order of preference."""

    def add(kind: str, what: str, found: dict[int, int]) -> None:
        for number, other in found.items():
            name, like = (audit.photos.name(seen[n].index) for n in (number, other))
            if name != like:  # the sample photos are in its training split several times
                seen[number].findings.append(Finding(kind, f"{what} {like}"))

    doubles = same_pixels([examined.digest for examined in seen])
    add("duplicate", "same pixels as", doubles)
    readable = [examined for number, examined in enumerate(seen) if examined.hash is not None and number not in doubles]
    numbers = {examined.index: number for number, examined in enumerate(seen)}
    if readable:
        appearances = np.stack([examined.appearance for examined in readable if examined.appearance is not None])
        near = near_duplicates([examined.hash for examined in readable], appearances, most)
        add(
            "near_duplicate",
            "nearly the same as",
            {numbers[readable[one].index]: numbers[readable[two].index] for one, two in near.items()},
        )


def write(audit: Audit, excluded: dict[str, str], config: dict[str, Any], data: str, run: Path) -> None:
    """Writes the files of an audit into its folder."""
    write_csv(run / "audit.csv", ("name", "finding", "detail"), audit.rows())
    write_csv(run / "exclude.csv", ("name", "why"), excluded.items())
    shares = audit.bins / max(audit.bins.sum(), 1)
    write_csv(
        run / "prior.csv",
        ("a", "b", "share"),
        ((f"{a:g}", f"{b:g}", f"{share:.6g}") for (a, b), share in zip(ab_bins().tolist(), shares, strict=True)),
    )
    draw_prior(audit.cells, f"Colours of {audit.colored} photos, CIE Lab", run / "prior.png")
    summary = {
        "data": data,
        "split": config["split"],
        "pictures": len(audit.findings),
        "with_color": audit.colored,
        "findings": {kind: audit.count(kind) for kind in FINDINGS},
        "thresholds": config["thresholds"],
        "exclude": config["exclude"],
        "excluded": len(excluded),
    }
    write_text(run / "audit.json", json.dumps(summary, indent=2, ensure_ascii=False) + "\n")


def print_findings(audit: Audit, exclude: Sequence[str], title: str) -> None:
    """The closing table: how many photos have each finding, with an example."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for heading in ("finding", "photos", "left out"):
        table.add_column(heading, justify="right" if heading == "photos" else "left", no_wrap=True)
    table.add_column("for instance", overflow="fold")
    examples: dict[str, str] = {}
    for name, kind, detail in audit.rows():
        examples.setdefault(kind, f"{shown(name)}: {shown(detail)}")
    for kind in FINDINGS:
        row = (kind, str(audit.count(kind)), "yes" if kind in exclude else "no", examples.get(kind, ""))
        table.add_row(*map(escape, row))
    console.print(table)
