"""The report of an audit: lists of findings, the prior of the colours, and a table."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from colorization.audit.audit import Audit
from colorization.audit.names import FINDINGS
from colorization.color import ab_bins
from colorization.errors import shown
from colorization.figures.abchart import draw_prior
from colorization.runtime.console import console
from colorization.runtime.files import write_csv, write_text

# The list of photos to leave out.
EXCLUDE = "exclude.csv"


def write_report(audit: Audit, excluded: dict[str, str], config: dict[str, Any], data: str, run: Path) -> list[Path]:
    """Writes the files of an audit into its folder and returns their paths.

    Args:
        audit: the results.
        excluded: names of the photos to leave out, and why.
        config: the configuration of the audit.
        data: the name of the data source.
        run: the output folder, which is created.
    """
    write_csv(run / "audit.csv", ("name", "finding", "detail"), audit.rows())
    write_csv(run / EXCLUDE, ("name", "why"), excluded.items())
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
    return [run / name for name in ("audit.csv", "audit.json", "prior.csv", "prior.png", EXCLUDE)]


def print_findings(audit: Audit, exclude: Sequence[str], title: str) -> None:
    """Prints the number of photos with each finding, with an example."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for heading in ("finding", "photos", "left out"):
        table.add_column(heading, justify="right" if heading == "photos" else "left", no_wrap=True)
    table.add_column("for example", overflow="fold")
    examples: dict[str, str] = {}
    for name, kind, detail in audit.rows():
        examples.setdefault(kind, f"{shown(name)}: {shown(detail)}")
    for kind in FINDINGS:
        row = (kind, str(audit.count(kind)), "yes" if kind in exclude else "no", examples.get(kind, ""))
        table.add_row(*map(escape, row))
    console.print(table)
