"""The audit of photos: what it finds, what it must not find, and that its list leaves out just that."""

import csv
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from colorization.audit.audit import Audit, audit_photos
from colorization.audit.findings import judge_color
from colorization.audit.names import FINDINGS
from colorization.color import ab_bins
from colorization.config.schemas import AuditThresholds
from colorization.data.folder import FolderPhotos
from colorization.data.sample import SampleDataModule
from colorization.data.splits import Split
from colorization.figures.abchart import CELL, CELLS, REACH, cells_of, draw_prior
from colorization.imagefiles import find_pictures
from tests.helpers.photos import compressed, make_folder, make_photo
from tests.helpers.runs import RunScript

AUDIT = "colorization.commands.audit"
Fails = Callable[..., str]


def detailed_photo(width: int, height: int, seed: int = 0) -> Image.Image:
    """A picture with finer structure than `make_photo` has: hashes of those hang on the noise of compression."""
    blobs = np.random.default_rng(seed).integers(0, 256, (16, 20, 3), dtype=np.uint8)
    return Image.fromarray(blobs).resize((width, height), Image.Resampling.BICUBIC)


def sepia(photo: Image.Image) -> Image.Image:
    """A print toned brown: every gray level has its colour."""
    return compressed(ImageOps.colorize(photo.convert("L"), (40, 26, 13), (255, 240, 208)))


def faded(photo: Image.Image) -> Image.Image:
    return ImageEnhance.Color(photo).enhance(0.055)


def ball_on_gray(color: tuple[int, int, int], shaded: bool) -> Image.Image:
    """A photo of one bright thing on a gray ground."""
    levels = np.linspace(40, 220, 160) if shaded else np.full(160, 128)
    ground = Image.fromarray(np.tile(levels.astype(np.uint8), (160, 1))).convert("RGB")
    for step in range(30):
        shade = tuple(round(channel * (0.6 + 0.4 * step / 29)) for channel in color)
        ImageDraw.Draw(ground).ellipse((30 + step, 30 + step, 129 - step, 129 - step), fill=shade)
    return compressed(ground)


def named(audit: Audit, kind: str) -> set[str]:
    return {name for name, found, _ in audit.rows() if found == kind}


def look(folder: Path, exclude: tuple[str, ...] = FINDINGS, num_workers: int = 0) -> Audit:
    return audit_photos(FolderPhotos(folder, find_pictures(folder)), AuditThresholds(), exclude, num_workers)


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """A folder with six good photos and one of everything that an audit finds."""
    folder = tmp_path / "mixed"
    folder.mkdir()
    for index in range(6):
        detailed_photo(120, 96, seed=index).save(folder / f"good {index}.png")
    detailed_photo(50, 200, seed=10).save(folder / "tiny.png")
    detailed_photo(120, 96, seed=11).convert("L").save(folder / "gray.png")
    detailed_photo(120, 96, seed=12).convert("L").convert("RGB").save(folder / "gray as rgb.jpg")
    sepia(detailed_photo(120, 96, seed=13)).save(folder / "toned.png")
    faded(detailed_photo(120, 96, seed=14)).save(folder / "faded.png")
    whole = (folder / "good 0.png").read_bytes()
    (folder / "cut off.png").write_bytes(whole[: len(whole) // 2])
    (folder / "text.jpg").write_text("not a picture")
    detailed_photo(120, 96, seed=1).save(folder / "z, another form\nof good 1.tif")
    compressed(detailed_photo(120, 96, seed=2), 90).resize((100, 80)).save(folder / "small good 2.jpg")
    return folder


EXPECTED = {
    "unreadable": {"cut off.png", "text.jpg"},
    "tiny": {"tiny.png"},
    "gray": {"gray.png", "gray as rgb.jpg"},
    "sepia": {"toned.png"},
    "low_color": {"faded.png"},
    "duplicate": {"z, another form\nof good 1.tif"},
    "near_duplicate": {"small good 2.jpg"},
}


def test_every_finding_is_found_and_nothing_else(mixed: Path) -> None:
    audit = look(mixed)
    assert {kind: named(audit, kind) for kind in FINDINGS} == EXPECTED
    details = {name: detail for name, _, detail in audit.rows()}
    assert "truncated" in details["cut off.png"] or "can't be decoded" in details["cut off.png"]
    assert details["tiny.png"] == "50 x 200 px"
    assert details["z, another form\nof good 1.tif"] == "same pixels as good 1.png"
    assert audit.colored == 6 + 5  # neither the two gray nor the two unreadable ones
    assert audit.bins.sum() == audit.cells.sum() == 11 * 32 * 32


def test_loader_processes_change_nothing(mixed: Path) -> None:
    alone, shared = (look(mixed, num_workers=number) for number in (0, 2))
    assert alone.findings == shared.findings
    assert np.array_equal(alone.cells, shared.cells)
    assert np.array_equal(alone.bins, shared.bins)


@pytest.mark.parametrize("seed", range(8))
def test_toned_photos_are_sepia_and_photos_are_not(seed: int) -> None:
    photo = make_photo(160, 128, seed=seed)
    found = judge_color(sepia(photo), AuditThresholds())
    assert found is not None
    assert found.kind == "sepia"
    assert judge_color(compressed(photo), AuditThresholds()) is None
    warm = Image.fromarray((np.asarray(photo) * (1.0, 0.75, 0.5)).astype(np.uint8))  # lamplight
    assert judge_color(compressed(warm), AuditThresholds()) is None


@pytest.mark.parametrize("shaded", [False, True])
@pytest.mark.parametrize("color", [(255, 140, 20), (200, 60, 40), (120, 80, 40)])
def test_one_coloured_thing_on_gray_is_not_sepia(color: tuple[int, int, int], shaded: bool) -> None:
    assert judge_color(ball_on_gray(color, shaded), AuditThresholds()) is None


def test_a_cold_tone_is_not_sepia() -> None:
    blue = ImageOps.colorize(make_photo(160, 128).convert("L"), (10, 20, 60), (220, 235, 255))
    assert judge_color(blue, AuditThresholds()) is None


def test_thresholds_decide() -> None:
    pale = faded(make_photo(160, 128))
    assert judge_color(pale, AuditThresholds(low_color=0)) is None
    found = judge_color(make_photo(160, 128), AuditThresholds(low_color=500))
    assert found is not None
    assert found.kind == "low_color"
    assert judge_color(sepia(make_photo(160, 128)), AuditThresholds(sepia=0)) is None


def test_of_photos_alike_the_first_stays_that_stays_otherwise(tmp_path: Path) -> None:
    """A gray copy whose name comes first must not push the colour photo onto the list."""
    photo = detailed_photo(120, 96)
    photo.convert("L").convert("RGB").save(tmp_path / "a gray copy.png")
    photo.reduce(2).save(tmp_path / "b tiny copy.png")
    photo.save(tmp_path / "c.png")
    photo.save(tmp_path / "d.png")
    audit = look(tmp_path)
    assert set(audit.excluded(FINDINGS)) == {"a gray copy.png", "b tiny copy.png", "d.png"}
    assert audit.excluded(["duplicate"]).keys() == {"d.png"}
    kept_tiny = look(tmp_path, exclude=("gray", "duplicate", "near_duplicate"))
    assert ("c.png", "near_duplicate", "nearly the same as b tiny copy.png") in kept_tiny.rows()


def test_flat_pictures_are_not_all_alike(tmp_path: Path) -> None:
    for index, color in enumerate(((200, 30, 30), (30, 200, 30), (200, 31, 30))):
        Image.new("RGB", (80, 80), color).save(tmp_path / f"{index}.png")
    assert not named(look(tmp_path), "near_duplicate")


def test_cells_and_chart(tmp_path: Path) -> None:
    assert cells_of(np.array([[-REACH, REACH], [-REACH, REACH]])).tolist() == [0, CELLS * CELLS - 1]
    counts = np.zeros(CELLS * CELLS, dtype=np.int64)
    counts[cells_of(np.array([[40], [60]]))] = 1000
    counts[cells_of(np.array([[-40], [-20]]))] = 1
    draw_prior(counts, "Two colours", tmp_path / "prior.png")
    chart = np.asarray(Image.open(tmp_path / "prior.png"), dtype=int).sum(axis=-1)
    left, top, side = 70, 60, 6
    shade = {}
    for a, b in ((40, 60), (-40, -20)):
        x, y = left + (a + REACH) // CELL * side + side // 2, top + (REACH - b) // CELL * side - side // 2
        shade[a, b] = chart[y, x]
    assert shade[40, 60] == chart[top + 1 : top + CELLS * side, left + 1 : left + CELLS * side].min()
    assert shade[40, 60] < shade[-40, -20] < 3 * 255


def test_audit_then_training_without_what_it_found(mixed: Path, tmp_path: Path, run_script: RunScript) -> None:
    from colorization.data.folder import FolderDataModule

    arguments = ["data=folder", f"data.root={mixed}", "data.num_workers=0", "data.val_share=0.4"]
    run_script(AUDIT, *arguments, f"hydra.run.dir={tmp_path}/audit")
    found: dict[str, set[str]] = {}
    for row in table(tmp_path / "audit" / "audit.csv"):
        found.setdefault(row["finding"], set()).add(row["name"])
    assert found == EXPECTED
    summary = json.loads((tmp_path / "audit" / "audit.json").read_text())
    assert summary["findings"] == {kind: len(names) for kind, names in EXPECTED.items()}
    assert (summary["pictures"], summary["excluded"]) == (15, 9)
    shares = [float(row["share"]) for row in table(tmp_path / "audit" / "prior.csv")]
    assert len(shares) == len(ab_bins())
    assert sum(shares) == pytest.approx(1, abs=1e-4)

    options = {"root": str(mixed), "val_share": 0.4, "size": 32, "batch_size": 2}
    before, after = (
        FolderDataModule(**options, exclude=exclude)  # type: ignore[arg-type]
        for exclude in (None, str(tmp_path / "audit" / "exclude.csv"))
    )
    for split in get_args(Split)[:2]:
        lists = [data.photos(split) for data in (before, after)]
        old, new = ([photos.name(i) for i in range(len(photos))] for photos in lists if photos is not None)
        assert new == [name for name in old if name.startswith("good")]
        assert new
    # Audited again, nothing is found, and the list still holds the excluded photos.
    again = f"data.exclude={tmp_path}/audit/exclude.csv"
    run_script(AUDIT, *arguments, again, f"hydra.run.dir={tmp_path}/again")
    assert json.loads((tmp_path / "again" / "audit.json").read_text())["pictures"] == 6
    assert not table(tmp_path / "again" / "audit.csv")
    lists_of_names = [{row["name"] for row in table(tmp_path / run / "exclude.csv")} for run in ("audit", "again")]
    assert lists_of_names[0] == lists_of_names[1]


def test_exclude_says_which_findings_count(mixed: Path, tmp_path: Path, run_script: RunScript) -> None:
    arguments = ["data=folder", f"data.root={mixed}", "data.num_workers=0", f"hydra.run.dir={tmp_path}/audit"]
    run_script(AUDIT, *arguments, "exclude=[gray,tiny]", "thresholds.tiny=97")
    names = {row["name"] for row in table(tmp_path / "audit" / "exclude.csv")}
    readable = {path.name for path in mixed.iterdir()} - EXPECTED["unreadable"]
    assert names == readable


def test_the_printed_training_command_runs(
    mixed: Path, tmp_path: Path, run_script: RunScript, capsys: pytest.CaptureFixture[str]
) -> None:
    import shlex

    run = tmp_path / "an audit, (1)"
    run_script(AUDIT, "data=folder", f"data.root={mixed}", "data.num_workers=0", f'hydra.run.dir="{run}"')
    command = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("  colorize-train "))
    run_script("train", *shlex.split(command)[1:], "--cfg", "job", "--package", "data")
    # YAML folds long lines at spaces.
    assert f"exclude: {run}/exclude.csv" in " ".join(capsys.readouterr().out.split())


def make_source(source: str, folder: Path) -> list[str]:
    """Photos for a source, with one gray one and one that is there twice; the options that choose it."""
    make_folder(folder, 4)
    for file in folder.rglob("*.png"):
        Image.open(file).resize((96, 80)).save(file)
    make_photo(96, 80, seed=50).convert("L").save(folder / "x.png")
    (folder / "y.png").write_bytes((folder / "photo 0.png").read_bytes())
    if source == "shards":
        with tarfile.open(folder.parent / "photos.tar", "w") as tar:
            tar.add(folder, "photos")
        return ["data=shards", f"data.root={folder.parent}"]
    if source == "torchvision":
        for split in ("train", "val"):
            for synset in ("n01440764", "n02102040"):
                (folder / "imagenette2-320" / split / synset).mkdir(parents=True)
        here = folder / "imagenette2-320" / "train" / "n01440764"
        for number, file in enumerate(sorted(folder.rglob("*.png"))):
            Image.open(file).convert("RGB").save(here / f"{number}.JPEG", format="JPEG")
        for number, other in enumerate(("train/n02102040", "val/n01440764", "val/n02102040")):
            make_photo(96, 80, seed=60 + number).save(folder / "imagenette2-320" / other / "0.JPEG", format="JPEG")
        return ["data=torchvision", f"data.root={folder}"]
    return ["data=folder", f"data.root={folder}"]


@pytest.mark.parametrize("source", ["folder", "shards", "torchvision"])
def test_every_source(tmp_path: Path, run_script: RunScript, source: str) -> None:
    options = make_source(source, tmp_path / "photos")
    run_script(AUDIT, *options, "data.num_workers=0", f"hydra.run.dir={tmp_path}/audit")
    counts = json.loads((tmp_path / "audit" / "audit.json").read_text())["findings"]
    assert (counts["gray"], counts["duplicate"]) == (1, 1)
    assert sum(counts.values()) == 2
    exclude = f"data.exclude={tmp_path}/audit/exclude.csv"
    run_script(AUDIT, *options, exclude, "data.num_workers=0", f"hydra.run.dir={tmp_path}/again")
    assert not table(tmp_path / "again" / "audit.csv")


def test_the_sample_s_repeats_are_no_duplicates() -> None:
    photos = SampleDataModule(repeats=2, size=32, batch_size=2).photos("train")
    assert photos is not None
    assert not named(audit_photos(photos, AuditThresholds(), FINDINGS, 0), "duplicate")


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["exclude=[sepiaa]"], ["exclude=sepiaa", "did you mean sepia?"]),
        (["split=trian"], ["split=trian", "did you mean train?"]),
        (["split=test"], ["data=sample has no test photos: give split=all"]),
        (["thresholds.tiny=-1"], ["thresholds.tiny=-1", "0 or more"]),
        (["thresholds.near_duplicate=40"], ["thresholds.near_duplicate=40", "at most 16"]),
        (["thresholds.tinny=3"], ["thresholds.tinny", "did you mean tiny?"]),
        (["data=folder"], ["data.root is missing"]),
        (["data.exclude=nowhere.csv"], ["data.exclude=nowhere.csv", "No such file"]),
    ],
)
def test_a_mistake_gets_one_sentence(fails: Fails, tmp_path: Path, arguments: list[str], parts: list[str]) -> None:
    message = fails(AUDIT, *arguments, f"hydra.run.dir={tmp_path}/audit")
    for part in parts:
        assert part in message


def test_help(run_script: RunScript, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        run_script(AUDIT, "--help")
    assert stop.value.code in (0, None)
    printed = capfd.readouterr().out
    for word in ("colorize-audit", *FINDINGS, "thresholds.sepia"):
        assert word in printed
