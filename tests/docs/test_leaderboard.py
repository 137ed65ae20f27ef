"""docs/leaderboard.json and the tables of docs/benchmark.md."""

import copy
import json
from pathlib import Path

import pytest

from benchmarks import leaderboard
from benchmarks.leaderboard import DATA, PAGE, add, check, page, read_run
from tests.helpers.photos import make_folder
from tests.helpers.runs import RunScript


def test_the_page_shows_the_file() -> None:
    entries = json.loads(DATA.read_text(encoding="utf-8"))
    assert check(entries) == []
    text = PAGE.read_text(encoding="utf-8")
    assert page(text, entries) == text, "run: python -m benchmarks.leaderboard"
    for kind in ("measured", "published"):
        for entry in entries[kind]:
            assert f"| {entry['name']} |" in text


def test_what_is_wrong_is_said() -> None:
    entries = json.loads(DATA.read_text(encoding="utf-8"))
    for change, message in (
        ({"protocol": "square"}, "protocol square is not in conf/protocol"),
        ({"metrics": {"pnsr": 20}}, "pnsr is not a metric"),
        ({"metrics": {"fid": 4}, "fid_backend": None}, "has a FID without fid_backend"),
        ({"source": None}, "lacks source"),
    ):
        wrong = copy.deepcopy(entries)
        entry = wrong["published"][0]
        entry |= change
        for key in [key for key, value in change.items() if value is None]:
            del entry[key]
        assert any(message in line for line in check(wrong)), check(wrong)
    entries["published"].append(entries["published"][0])
    assert any("is there twice" in line for line in check(entries))


def test_an_evaluation_is_added(
    tmp_path: Path, photos: Path, run_script: RunScript, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder of pictures, here the photos of other seeds; a second time, it replaces the first."""
    pictures = make_folder(tmp_path / "pictures")
    arguments = [f"predictions=[{pictures}]", "data=folder", f"data.root={photos}", "trainer=cpu"]
    arguments += ["data.num_workers=0", "protocol=native", "metrics=[psnr,colorfulness_abs]"]
    run_script("evaluate", *arguments, f"hydra.run.dir={tmp_path}/e")
    data, shown = tmp_path / "leaderboard.json", tmp_path / "benchmark.md"
    data.write_text(DATA.read_text(encoding="utf-8"))
    shown.write_text(PAGE.read_text(encoding="utf-8"))
    monkeypatch.setattr(leaderboard, "DATA", data)
    monkeypatch.setattr(leaderboard, "PAGE", shown)
    before = len(json.loads(data.read_text())["measured"])
    for _ in range(2):
        monkeypatch.setattr("sys.argv", ["leaderboard", f"{tmp_path}/e", "--name", "mine", "--photos", "made photos"])
        leaderboard.main()
    entries = json.loads(data.read_text())
    assert len(entries["measured"]) == before + 2
    fresh = {entry["name"]: entry for entry in entries["measured"][before:]}
    assert fresh["mine"]["metrics"]["psnr"] == 100
    assert fresh["mine"]["pictures"] == 6
    assert fresh["all gray"]["metrics"]["colorfulness_abs"] < fresh["mine"]["metrics"]["colorfulness_abs"]
    assert "**made photos**, 6 photos, `protocol=native`." in shown.read_text()
    add(entries, read_run(tmp_path / "e", "mine", "made photos"))
    assert len(entries["measured"]) == before + 2
