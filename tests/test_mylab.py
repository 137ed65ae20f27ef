"""The worked example of a package of one's own, installed and used by the commands: train, evaluate, predict."""

import importlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import yaml

from colorization import Colorizer
from colorization.commands.main import COMMANDS
from colorization.errors import CheckpointError
from tests.helpers.photos import make_folder, make_photo
from tests.helpers.runs import CONF, SMALL, RunScript

pytestmark = pytest.mark.slow

EXAMPLE = CONF.parent / "examples" / "mylab"
Fails = Callable[..., str]
# It has no option `pretrained`.
TRAINED = [word for word in SMALL if not word.startswith("backbone")] + [
    "backbone=pyramid",
    "decoder.width=16",
    "data=folder",
    "data.val_share=0.4",
]


def train(*words: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["train.py", *TRAINED, *words])
        COMMANDS["train"]()


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """As `pip install examples/mylab` leaves it, in a folder that only these tests see."""
    folder = tmp_path_factory.mktemp("mylab")
    shutil.copytree(EXAMPLE, folder / "source")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    options: list[str | Path] = ["--no-deps", "--no-build-isolation", "--no-index", "--target", folder / "site"]
    subprocess.run([*pip, "install", *options, folder / "source"], check=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder / "site")
        importlib.invalidate_caches()
        yield
    for name in [name for name in sys.modules if name.partition(".")[0] == "mylab"]:
        del sys.modules[name]


@pytest.fixture(scope="module")
def run(installed: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    photos = make_folder(folder / "photos")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        train(f"data.root={photos}", f"hydra.run.dir={folder}/run")
    return folder / "run"


def test_train(run: Path) -> None:
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["backbone"] == {"_target_": "mylab.pyramid.Pyramid", "widths": [16, 32, 64]}


def test_evaluate(run: Path, tmp_path: Path, run_script: RunScript, fails: Fails) -> None:
    words = [f"checkpoint={run}/checkpoints/best.ckpt", "data=folder", f"data.root={run.parent}/photos"]
    words += ["data.val_share=0.4", "data.num_workers=0", "trainer=cpu", "metrics=[psnr]"]
    assert "give trust=[mylab]" in fails("evaluate", *words, f"hydra.run.dir={tmp_path}/refused")
    run_script("evaluate", *words, "trust=[mylab]", f"hydra.run.dir={tmp_path}/scores")
    assert (tmp_path / "scores" / "metrics.json").is_file()


def test_predict(run: Path, tmp_path: Path, run_script: RunScript, fails: Fails) -> None:
    make_photo(50, 40).convert("L").save(tmp_path / "old.jpg")
    words = [f"{run}/checkpoints/best.ckpt", f"{tmp_path}/old.jpg", f"output={tmp_path}/new"]
    message = fails("predict", *words)
    assert "backbone._target_=mylab.pyramid.Pyramid is refused" in message
    assert message.endswith("give trust=[mylab], in Python trusted=['mylab']")
    run_script("predict", *words, "trust=[mylab]")
    assert (tmp_path / "new" / "old.jpg").is_file()


def test_export(run: Path, tmp_path: Path, run_script: RunScript) -> None:
    pytest.importorskip("safetensors")
    run_script("export", f"{run}/checkpoints/best.ckpt", f"{tmp_path}/mine.safetensors", "trust=[mylab]")
    lightness = torch.rand(3, 40, 56)
    colored = [
        Colorizer.from_checkpoint(path, device="cpu", trusted=["mylab"])(lightness)
        for path in (run / "checkpoints" / "best.ckpt", tmp_path / "mine.safetensors")
    ]
    torch.testing.assert_close(*colored)
    with pytest.raises(CheckpointError, match="mylab"):
        Colorizer.from_checkpoint(tmp_path / "mine.safetensors", device="cpu")


def test_a_sweep_s_sheet_shows_it_and_names_what_to_trust(
    installed: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = make_folder(tmp_path / "photos")
    train("-m", "objective=regression,classification", f"data.root={photos}", f"hydra.sweep.dir={tmp_path}/sweep")
    assert (tmp_path / "sweep" / "contact_sheet.png").is_file()
    assert "'trust=[mylab]' PICTURE_OR_FOLDER" in " ".join(capsys.readouterr().out.split())


def test_every_part_of_it_trains_together_and_colours(
    installed: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run_script: RunScript, fails: Fails
) -> None:
    monkeypatch.chdir(tmp_path)
    photos = sorted(path for path in make_folder(tmp_path / "photos", 11).rglob("*") if path.is_file())
    (tmp_path / "photos.txt").write_text("".join(f"{photo}\n" for photo in photos))
    parts = ["backbone=pyramid", "decoder=sum", "objective=chroma", "+objective/term@objective.terms.smooth=smooth"]
    small = [word for word in SMALL if not word.startswith("backbone")]
    words = [*small, *parts, "data=listed", "data.file=photos.txt", f"hydra.run.dir={tmp_path}/run"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["train.py", *words])
        COMMANDS["train"]()
    losses = (tmp_path / "run" / "metrics.csv").read_text().splitlines()[0]
    assert "train/smooth" in losses
    config = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    named = {config[group]["_target_"] for group in ("backbone", "decoder", "objective", "data")}
    assert named == {
        "mylab.pyramid.Pyramid",
        "mylab.sum.Sum",
        "mylab.chroma.ChromaWeighted",
        "mylab.listed.ListedDataModule",
    }
    make_photo(50, 40).convert("L").save("old.jpg")
    run_script("predict", f"{tmp_path}/run/checkpoints/last.ckpt", "old.jpg", "output=new", "trust=[mylab]")
    assert (tmp_path / "new" / "old.jpg").is_file()
    monkeypatch.chdir(tmp_path / "photos")  # where the list is not
    words[-1] = f"hydra.run.dir={tmp_path}/other"
    assert "data.file=photos.txt does not exist" in fails("train", *words)


def test_its_decoder_takes_any_size(installed: None) -> None:
    decoder = importlib.import_module("mylab.sum").Sum((4, 8), (2, 4), 2, width=8)
    assert decoder([torch.rand(1, 4, 20, 24), torch.rand(1, 8, 10, 12)]).shape == (1, 2, 40, 48)
