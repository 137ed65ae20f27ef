"""The tables of docs/benchmark.md, from docs/leaderboard.json: `python -m benchmarks.leaderboard [RUN ...]`.

Adds evaluations (folders of `colorize-evaluate`) to the file, and writes the tables. To add your network: evaluate it,
run this with `--name` and `--photos`, and open a pull request with both files.
"""

import argparse
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from colorization.metrics.names import METRICS
from colorization.runtime.console import markdown_table

ROOT = Path(__file__).parent.parent
DATA = ROOT / "docs" / "leaderboard.json"
PAGE = ROOT / "docs" / "benchmark.md"
# Columns of both tables, in this order, if any entry has them.
_COLUMNS = [name for name in METRICS if name not in ("auc_rebalanced", "clipped")]
_GRAY = "all gray"
_NEEDED = {
    "measured": {"name", "photos", "pictures", "protocol", "metrics"},
    "published": {"name", "photos", "protocol", "metrics", "source"},
}


def check(entries: Mapping[str, Any]) -> list[str]:
    """What is wrong with the contents of the file: one line each."""
    wrong = [f"{kind} is not a table of this file" for kind in entries.keys() - _NEEDED.keys()]
    protocols = {path.stem for path in (ROOT / "conf" / "protocol").glob("*.yaml")}
    for kind, needed in _NEEDED.items():
        places = [(entry.get("name"), entry.get("photos"), entry.get("protocol")) for entry in entries[kind]]
        for entry, place in zip(entries[kind], places, strict=True):
            what = f"{kind}: {entry.get('name')}"
            wrong += [f"{what} lacks {key}" for key in sorted(needed - entry.keys())]
            wrong += [f"{what}: {key} is not a metric" for key in entry.get("metrics", {}) if key not in METRICS]
            if entry.get("protocol") not in protocols:
                wrong.append(f"{what}: protocol {entry.get('protocol')} is not in conf/protocol")
            if "fid" in entry.get("metrics", {}) and "fid_backend" not in entry:
                wrong.append(f"{what} has a FID without fid_backend")
            if places.count(place) > 1:
                wrong.append(f"{what} is there twice for the same photos and protocol")
    return wrong


def read_run(folder: Path, name: str | None, photos: str) -> list[dict[str, Any]]:
    """The entries of an evaluation: its checkpoints and folders, and gray.

    Args:
        folder: what `colorize-evaluate` wrote.
        name: of the network; None for the labels of the report.
        photos: which photos they are, in words.
    """
    found = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    results = found.get("compare") or {name or "model": found}
    common = {"photos": photos, "pictures": found["pictures"], "protocol": found["protocol"]["name"]}
    common |= {key: found[key] for key in ("fid_backend",) if key in found}
    if "benchmark" in found:
        common["sha256"] = found["benchmark"]["sha256"]
    entries = []
    for label, result in results.items():
        scores = result["metrics"]
        own = {key: round(scores[key], 4) for key in _COLUMNS if key in scores}
        low_high = result["difference_to_gray_95"].get("psnr")
        entries.append({"name": label, **common, "metrics": own})
        if low_high is not None:
            entries[-1]["psnr_difference_to_gray_95"] = [round(bound, 2) for bound in low_high]
    gray = {key: round(scores[f"gray_{key}"], 4) for key in _COLUMNS if f"gray_{key}" in scores}
    return [{"name": _GRAY, **common, "metrics": gray}, *entries]


def add(entries: dict[str, Any], fresh: Iterable[dict[str, Any]]) -> None:
    """Adds measured entries; one of the same name, photos and protocol replaces the one before."""
    for entry in fresh:
        same = [
            i
            for i, other in enumerate(entries["measured"])
            if all(other[key] == entry[key] for key in ("name", "photos", "protocol"))
        ]
        if same:
            entries["measured"][same[0]] = entry
        else:
            entries["measured"].append(entry)


def tables(entries: Mapping[str, Any], kind: str) -> str:
    """The Markdown of one kind: a table for each set of photos and protocol."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for entry in entries[kind]:
        groups.setdefault((entry["photos"], entry["protocol"]), []).append(entry)
    parts = []
    for (photos, protocol), members in groups.items():
        columns = [name for name in _COLUMNS if any(name in entry["metrics"] for entry in members)]
        backends = sorted({entry["fid_backend"] for entry in members if "fid_backend" in entry})
        heads = [f"fid ({', '.join(backends)})" if name == "fid" else name for name in columns]
        last = "source" if kind == "published" else "psnr - gray, 95 %"
        cells = [["", *heads, last]]
        for entry in members:
            values = [f"{entry['metrics'][name]:.4g}" if name in entry["metrics"] else "" for name in columns]
            interval = entry.get("psnr_difference_to_gray_95")
            shown = entry.get("source", "") if interval is None else "{:+.2f} .. {:+.2f}".format(*interval)
            cells.append([entry["name"], *values, shown])
        count = f", {members[0]['pictures']} photos" if kind == "measured" else ""
        checked = f" SHA-256 of the photos: `{members[0]['sha256']}`." if "sha256" in members[0] else ""
        parts.append(f"**{photos}**{count}, `protocol={protocol}`.{checked}\n\n{markdown_table(cells)}")
    return "\n\n".join(parts)


def page(text: str, entries: Mapping[str, Any]) -> str:
    """The page with its tables brought up to date."""
    for kind in _NEEDED:
        begin, end = f"<!-- leaderboard: {kind} -->", f"<!-- end of {kind} -->"
        head, rest = text.split(begin)
        tail = rest.split(end)[1]
        text = f"{head}{begin}\n\n{tables(entries, kind)}\n\n{end}{tail}"
    return text


def main() -> None:
    """Adds, checks and writes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.leaderboard", description=__doc__)
    parser.add_argument("runs", nargs="*", type=Path, help="folders of colorize-evaluate")
    parser.add_argument("--name", help="of the network, for runs of one checkpoint or folder")
    parser.add_argument("--photos", help="which photos they are, in words")
    options = parser.parse_args()
    if options.runs and not options.photos:
        parser.error("--photos is missing: say which photos they are")
    entries = json.loads(DATA.read_text(encoding="utf-8"))
    for run in options.runs:
        measured = read_run(run, options.name, options.photos)
        add(entries, measured)
        print(f"{run}: {', '.join(entry['name'] for entry in measured)}")
    if wrong := check(entries):
        parser.error("; ".join(wrong))
    DATA.write_text(json.dumps(entries, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8"), entries), encoding="utf-8")
    print(f"{DATA} and {PAGE} are up to date")


if __name__ == "__main__":
    main()
