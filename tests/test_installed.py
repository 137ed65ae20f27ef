"""The wheel, installed into an environment of its own: every command, away from the repository."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

import colorization
from tests.helpers.photos import make_folder, make_photo
from tests.helpers.runs import CONF, SMALL, TINY

pytestmark = pytest.mark.slow

REPOSITORY = CONF.parent
BUILT_FROM = ("pyproject.toml", "setup.py", "README.md", "LICENSE", "NOTICE", "colorization", "conf", "hydra_plugins")
OWN = "# @package _global_\ndefaults:\n  - override /optimizer: sgd\nseed: 7\n"


@dataclass
class Environment:
    """A virtual environment with the wheel, and an empty folder to work in."""

    scripts: Path
    folder: Path

    def run(self, *words: object, code: int = 0) -> str:
        """Runs a program of the environment; returns what it printed."""
        program, *arguments = map(str, words)
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        done = subprocess.run(
            [self.scripts / program, *arguments],
            cwd=self.folder,
            env=environment | {"HYDRA_FULL_ERROR": "0", "COLUMNS": "200"},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """Only the wheel is installed; the packages that it needs are those of the environment that runs the tests."""
    folder = tmp_path_factory.mktemp("installed")
    source = folder / "source"
    source.mkdir()
    for name in BUILT_FROM:
        copy = shutil.copytree if (REPOSITORY / name).is_dir() else shutil.copyfile
        copy(REPOSITORY / name, source / name)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", folder, source], check=True)
    shutil.rmtree(source)
    (wheel,) = folder.glob("colorization_lightning-*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "env"], check=True)
    paths = sysconfig.get_paths(vars={"base": str(folder / "env"), "platbase": str(folder / "env")})
    scripts, packages = Path(paths["scripts"]), Path(paths["purelib"])
    (packages / "others.pth").write_text(sysconfig.get_path("purelib"))
    install: list[str | Path] = [
        "--python",
        scripts / "python",
        "install",
        "--no-deps",
        "--no-index",
        "--ignore-installed",
        wheel,
    ]
    subprocess.run([*pip, *install], check=True)
    (folder / "work").mkdir()
    return Environment(scripts, folder / "work")


@pytest.fixture(scope="module")
def trained(installed: Environment) -> Path:
    """A checkpoint that `colorize-train` wrote, with an experiment of the user's own."""
    make_folder(installed.folder / "photos")
    own = installed.folder / "own" / "experiment"
    own.mkdir(parents=True)
    (own / "mine.yaml").write_text(OWN)
    options = [*SMALL, *TINY, "data=folder", "data.root=photos", "data.val_share=0.4", "hydra.run.dir=run"]
    printed = installed.run("colorize-train", "--config-dir", "own", "experiment=mine", *options)
    config = yaml.safe_load((installed.folder / "run" / "config.yaml").read_text())
    assert config["seed"] == 7
    assert config["optimizer"]["_target_"] == "torch.optim.SGD"
    checkpoint = installed.folder / "run" / "checkpoints" / "best.ckpt"
    assert f"colorize checkpoint={checkpoint} PICTURE_OR_FOLDER" in " ".join(printed.split())
    return checkpoint


def test_it_is_the_wheel_that_runs(installed: Environment) -> None:
    printed = installed.run("python", "-c", "import colorization; print(colorization.__file__)")
    assert Path(printed.strip()).is_relative_to(installed.scripts.parent)


def test_predict(installed: Environment, trained: Path) -> None:
    make_photo(50, 40).convert("L").save(installed.folder / "old photo.jpg")
    installed.run("colorize", trained, "old photo.jpg", "output=new")
    assert (installed.folder / "new" / "old photo.jpg").is_file()
    installed.run("python", "-m", "colorization", "predict", trained, "old photo.jpg", "output=newer")
    assert (installed.folder / "newer" / "old photo.jpg").is_file()


@pytest.mark.long
def test_evaluate(installed: Environment, trained: Path) -> None:
    options = ["data=folder", "data.root=photos", "data.val_share=0.4", "data.num_workers=0", "metrics=[psnr]"]
    installed.run("colorize-evaluate", trained, *options, "trainer=cpu", "hydra.run.dir=scores")
    assert (installed.folder / "scores" / "metrics.json").is_file()


@pytest.mark.long
def test_export(installed: Environment, trained: Path) -> None:
    pytest.importorskip("safetensors")
    installed.run("colorize-export", trained, "small.safetensors")
    assert (installed.folder / "small.safetensors").is_file()


@pytest.mark.long
def test_audit(installed: Environment) -> None:
    make_folder(installed.folder / "audited")
    printed = installed.run(
        "colorize-audit", "data=folder", "data.root=audited", "data.num_workers=0", "hydra.run.dir=audit"
    )
    assert (installed.folder / "audit" / "audit.csv").is_file()
    assert "  colorize-train data=folder data.root=audited" in printed


@pytest.mark.long
def test_prepare(installed: Environment) -> None:
    make_folder(installed.folder / "packed")
    installed.run("colorize-prepare", "packed", "shards", "size=32", "num_workers=0")
    assert json.loads((installed.folder / "shards" / "manifest.json").read_text())["photos"] == 6


@pytest.mark.parametrize("name", ["train", "evaluate", "predict", "export", "audit", "prepare", "app"])
def test_help_and_version(installed: Environment, name: str) -> None:
    command = "colorize" if name == "predict" else f"colorize-{name}"
    assert f"\n  {command} " in installed.run(command, "--help")
    assert installed.run(command, "--version") == f"colorization {colorization.__version__}\n"


def test_the_module_knows_all_commands(installed: Environment) -> None:
    assert "python -m colorization {train,evaluate,predict" in installed.run("python", "-m", "colorization", "--help")
    assert "did you mean train?" in installed.run("python", "-m", "colorization", "trian", code=1)
    assert "\n  python -m colorization audit " in installed.run("python", "-m", "colorization", "audit", "--help")
    version = installed.run("python", "-m", "colorization", "--version")
    assert version == f"colorization {colorization.__version__}\n"


def test_a_root_of_the_user_s_own(installed: Environment) -> None:
    """Hydra's flags work: a folder beside conf/, another root in it, and a folder in conf/'s place."""
    own = installed.folder / "roots"
    own.mkdir()
    (own / "mine.yaml").write_text("defaults: [predict, _self_]\nsaturation: 1.25\n")
    words = ["colorize", "--config-dir", "roots", "--config-name", "mine", "a.ckpt", "b.jpg", "--cfg", "job"]
    assert "saturation: 1.25" in installed.run(*words)
    (own / "predict.yaml").write_text("defaults: [predict_schema]\ncheckpoint: a.ckpt\ninput: [b.jpg]\nsuffix: _own\n")
    assert "suffix: _own" in installed.run("colorize", "--config-path", own, "--cfg", "job")


def test_a_search_finds_its_sweeper(installed: Environment) -> None:
    words = ["colorize-train", "sweep=optuna", "hydra.sweeper.n_jobs=0", "hydra.sweep.dir=study"]
    assert "Error: hydra.sweeper.n_jobs=0 is too few" in installed.run(*words, code=1)


def test_hints_name_where_the_wheel_came_from(installed: Environment) -> None:
    program = "from colorization.runtime.installation import install_hint; print(install_hint('film'))"
    hint = installed.run("python", "-c", program).strip()
    wheel = next(installed.folder.parent.glob("*.whl"))
    assert hint.replace('"', "'") == f"pip install 'colorization-lightning[film] @ {wheel.as_uri()}'"


@pytest.mark.long
@pytest.mark.skipif(sys.platform == "win32", reason="Lightning can't start an installed command again there")
@pytest.mark.parametrize("words", [["colorize-train"], ["python", "-m", "colorization", "train"]])
def test_lightning_starts_the_other_processes(installed: Environment, words: list[str]) -> None:
    make_folder(installed.folder / words[0])
    options = [*SMALL, *TINY, "data=folder", f"data.root={words[0]}", "data.val_share=0.4", "backbone.frozen=true"]
    several = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", f"hydra.run.dir=several/{words[0]}"]
    installed.run(*words, *options, *several)
    assert (installed.folder / "several" / words[0] / "checkpoints" / "last.ckpt").is_file()
