"""The notebook: its committed outputs, and a run from top to bottom."""

import base64
import csv
import io
import json
import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from PIL import Image

from tests.helpers.runs import CONF

REPOSITORY = CONF.parent
NOTEBOOK = REPOSITORY / "notebooks" / "Image_Colorization_using_Transfer_Learning.ipynb"
MOST_BYTES = 1_500_000
# What the story shows, by cell: the number of pictures.
PICTURES = {
    "photos-shown": 1, "lab": 1, "density": 1, "backbone": 1, "objective": 1, "default-model": 1, "train": 1,
    "evaluate": 1, "sweep": 2, "leaderboard": 1, "save": 1,
}  # fmt: skip
# Nobody listens there: a download fails at once.
NO_NETWORK = "http://127.0.0.1:9"

Cells = dict[str, nbformat.NotebookNode]


def read() -> nbformat.NotebookNode:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    return notebook


def cells_of(notebook: nbformat.NotebookNode) -> Cells:
    return {cell.id: cell for cell in notebook.cells if cell.cell_type == "code"}


def said(cell: nbformat.NotebookNode) -> str:
    """The text that a cell printed or displayed."""
    shown = [output.get("data", {}) for output in cell.outputs]
    texts = [output.get("text", "") for output in cell.outputs]
    return "".join([*texts, *(data.get("text/markdown", data.get("text/plain", "")) for data in shown)])


def pictures_of(cell: nbformat.NotebookNode) -> list[Image.Image]:
    found = [output.get("data", {}) for output in cell.outputs]
    files = [data[kind] for data in found for kind in ("image/png", "image/jpeg") if kind in data]
    return [Image.open(io.BytesIO(base64.b64decode(file))).convert("RGB") for file in files]


def check_outputs(cells: Cells) -> None:
    """Every cell ran, in order and without a warning; the story's pictures are there; the network names a gray cat."""
    assert [cell.execution_count for cell in cells.values()] == list(range(1, len(cells) + 1))
    for name, cell in cells.items():
        for output in cell.outputs:
            assert output.output_type != "error", name
            assert output.get("name") != "stderr", (name, output.get("text"))
        pictures = pictures_of(cell)
        assert len(pictures) == PICTURES.get(name, 0), name
        for picture in pictures:
            assert np.asarray(picture).std() > 10, f"{name}: nearly one colour"
    names = dict(re.findall(r"^\| (\w+) \| ([^|(]+) \(", said(cells["names"]), flags=re.MULTILINE))
    assert "cat" in names["chelsea"]
    assert names["coffee"] in ("espresso", "cup", "coffee mug")
    assert re.search(r"backbone: [\d,]+ weights, 0 of them trained", said(cells["decoder"]))
    last_line = r"epoch (\d+) of \1, step \d+, \d+ s; held-out photos: PSNR [\d.]+ dB, all gray 18\.60 dB"
    assert len(re.findall(last_line, said(cells["train"]))) == 1
    assert len(re.findall(last_line, said(cells["sweep"]))) == 2
    assert "the same colours after loading: True" in said(cells["export"])


def test_the_committed_notebook_has_its_outputs_and_nothing_of_a_machine() -> None:
    text = NOTEBOOK.read_text(encoding="utf-8")
    assert len(text.encode()) < MOST_BYTES
    notebook = read()
    check_outputs(cells_of(notebook))
    printed = "".join(said(cell) for cell in cells_of(notebook).values())
    assert not re.search(r"/(root|home|Users|work|tmp|mnt)/|[A-Z]:\\", printed)
    assert set(re.findall(r"(?<![\w.])/\w+", printed)) <= {"/content"}  # as on Colab


def test_its_links_lead_somewhere() -> None:
    written = "\n".join(cell.source for cell in read().cells if cell.cell_type == "markdown")
    for address in re.findall(r"\]\(([^)]+)\)", written):
        assert (NOTEBOOK.parent / address).exists(), address


@pytest.mark.long
def test_it_runs_from_top_to_bottom_without_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))  # the notebook runs elsewhere
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, NO_NETWORK)
    notebook = read()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    NotebookClient(
        notebook, timeout=1800, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    check_outputs(cells_of(notebook))

    (work,) = (tmp_path / "outputs" / "notebook").iterdir()
    (run,) = work.glob("train-*")
    check_that_it_learned(run)
    (scores,) = work.glob("scores-*/metrics.json")
    compared = json.loads(scores.read_text())["compare"]
    assert [Path(entry["checkpoint"]).name for entry in compared.values()] == ["best.ckpt", "default"]
    for entry in compared.values():
        assert entry["metrics"]["psnr"] > entry["metrics"]["gray_psnr"]
    (sweep,) = work.glob("sweep-*")
    with (sweep / "leaderboard.csv").open(newline="") as file:
        jobs = {row["objective.loss"]: row for row in csv.DictReader(file)}
    assert jobs.keys() == {"mse", "l1"}
    for row in jobs.values():
        assert row["status"] == "done"
        check_that_it_learned(sweep / row["job"])
    assert (sweep / "contact_sheet.png").is_file()
    with Image.open(work / "coloured.png") as coloured:
        assert coloured.size == (451, 300)
        assert np.asarray(coloured.convert("HSV"))[..., 1].mean() > 10  # saturation
    weights = [work / "model" / "model.safetensors", work / "small.safetensors"]
    sizes = [file.stat().st_size for file in weights]
    assert 0.45 < sizes[1] / sizes[0] < 0.55


def check_that_it_learned(run: Path) -> None:
    """The training loss falls by a third at least, and the best network beats gray by a decibel at least."""
    with (run / "metrics.csv").open(newline="") as file:
        losses = [float(row["train/loss"]) for row in csv.DictReader(file) if row["train/loss"]]
    third = len(losses) // 3
    assert np.mean(losses[-third:]) < np.mean(losses[:third]) * 2 / 3
    scores = json.loads((run / "result.json").read_text())["scores"]
    assert scores["val/psnr"] > scores["val/gray_psnr"] + 1
    assert len(list((run / "panels").glob("*.png"))) >= 5
