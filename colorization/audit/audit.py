"""The audit of a list of photos: findings in each photo, and duplicates."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from torch.utils.data import DataLoader

from colorization.audit.duplicates import near_duplicates, same_pixels
from colorization.audit.findings import Examination, Examined, Finding
from colorization.color import ab_bins
from colorization.config.schemas import AuditThresholds
from colorization.data.photos import Photos
from colorization.figures.abchart import CELLS, cells_of
from colorization.runtime.console import progress_bar


@dataclass
class Audit:
    """The results of an audit.

    Args:
        photos: the audited photos.
        findings: of each photo, by index.
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
        """The number of photos with a finding."""
        return sum(any(finding.kind == kind for finding in found) for found in self.findings)

    def rows(self) -> list[tuple[str, str, str]]:
        """Name, kind and details of every finding, in the order of the photos."""
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


def audit_photos(photos: Photos, thresholds: AuditThresholds, exclude: Sequence[str], num_workers: int) -> Audit:
    """Audits all photos, in one pass over them.

    Args:
        photos: the photos.
        thresholds: the thresholds of findings.
        exclude: findings for which a photo is left out. Of duplicates, the first photo that is not left out for another
            reason stays.
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
        task = progress.add_task("Auditing photos", total=len(photos))
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
    """Adds duplicates to the findings; photos are in the order of preference."""

    def add(kind: str, what: str, found: dict[int, int]) -> None:
        for number, other in found.items():
            name, like = (audit.photos.name(seen[n].index) for n in (number, other))
            if name != like:  # the sample photos are several times in their training split
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
