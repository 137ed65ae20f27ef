"""Configuration: every file composes, every mistake is named, and nothing foreign is built."""

import re
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
import yaml
from hydra.errors import ConfigCompositionException

from colorization.commands.main import COMMANDS
from colorization.config.instantiate import instantiate, parameters, resolve, takes_anything
from colorization.decoders.base import Decoder
from colorization.errors import ConfigError
from tests.helpers.runs import CONF, REQUIRED, SMALL, Compose, RunScript, options

Fails = Callable[..., str]


@pytest.mark.parametrize("group", ["optimizer", "scheduler", "trainer", "objective", "decoder", "backbone"])
def test_every_option_of_every_group_composes(compose_config: Compose, group: str) -> None:
    for option in options(group):
        extra = REQUIRED.get(option, []) if group == "backbone" else []
        assert "_target_" in compose_config(f"{group}={option}", *extra)[group]


@pytest.mark.parametrize("group", ["callbacks", "logger"])
def test_every_callback_and_logger_is_built(compose_config: Compose, group: str) -> None:
    for option in options(group):
        chosen = f"{group}=[default,{option}]" if group == "callbacks" and option != "default" else f"{group}={option}"
        if chosen == "callbacks=default":
            chosen = "callbacks=[default]"
        nodes = compose_config(chosen)[group]
        assert nodes
        for name, node in nodes.items():
            instantiate(node, f"{group}.{name}")


@pytest.mark.parametrize("experiment", options("experiment"))
def test_every_experiment_composes(compose_config: Compose, experiment: str) -> None:
    config = compose_config(f"experiment={experiment}", *REQUIRED.get(experiment, []))
    assert config["trainer"]["max_epochs"] > 0


@pytest.mark.parametrize("experiment", options("experiment"))
def test_every_experiment_says_how_it_is_run_and_what_came_out(experiment: str) -> None:
    header = (CONF / "experiment" / f"{experiment}.yaml").read_text().split("\ndefaults")[0]
    assert f"# python train.py experiment={experiment}" in header
    assert "Hardware" in header
    assert "TO MEASURE" not in header


def test_train_yaml_and_evaluate_yaml_name_every_group() -> None:
    named = {
        script: {
            key
            for entry in yaml.safe_load((CONF / f"{script}.yaml").read_text())["defaults"]
            if isinstance(entry, dict)
            for key in entry
        }
        for script in ("train", "evaluate")
    }
    folders = {path.name for path in CONF.iterdir() if path.is_dir() and path.name not in ("hydra", "catalogue")}
    assert folders - {"protocol", "benchmark", "adapter"} <= named["train"]
    assert {"protocol", "adapter"} <= named["evaluate"]


@pytest.mark.parametrize("script", ["train", "evaluate", "predict"])
@pytest.mark.parametrize("flag", ["--help", "--cfg=job"])
def test_help_and_cfg(run_script: RunScript, capfd: pytest.CaptureFixture[str], script: str, flag: str) -> None:
    if flag == "--help":
        with pytest.raises(SystemExit) as stop:
            run_script(script, flag)
        assert stop.value.code in (0, None)
    else:
        run_script(script, flag)
    printed = capfd.readouterr().out
    if flag == "--help":
        assert ("colorize" if script == "predict" else f"colorize-{script}") in printed
        assert "_loading" not in printed
    else:
        assert "checkpoint: " in printed or "backbone:" in printed


@pytest.mark.parametrize(
    ("override", "parts"),
    [
        ("sed=5", ["sed", "did you mean seed?"]),
        ("backbone.frozn=true", ["backbone.frozn", "did you mean frozen?"]),
        ("+backbone.frozn=true", ["backbone.frozn", "did you mean frozen?"]),
        ("backbone=vgg61", ["backbone=vgg61", "did you mean vgg19 or vgg16?", "resnet18"]),
        ("+sed=5", ["sed is not an option; did you mean seed?"]),
        ("lr=1e-3", ["lr is not an option; did you mean optimizer.lr?"]),
        ("+lr=1e-3", ["did you mean optimizer.lr?"]),
        ("batch_size=8", ["did you mean data.batch_size?"]),
        ("batchsize=8", ["did you mean data.batch_size?"]),
        ("epochs=5", ["did you mean trainer.max_epochs?"]),
        ("trainer.gpus=1", ["trainer.gpus is not an option; did you mean trainer.devices?"]),
        ("optimizer.learning_rate=1", ["did you mean optimizer.lr?"]),
        ("+optimizer.learning_rate=1", ["did you mean lr?"]),
        ("wd=0", ["did you mean optimizer.weight_decay?"]),
        ("--epochs 5", ["--epochs: options have no dashes, write trainer.max_epochs=5"]),
        ("--batch-size=5", ["--batch-size: options have no dashes, write data.batch_size=5"]),
        ("-e 5", ["-e: options have no dashes, write trainer.max_epochs=5"]),
        ("-b 5", ["write data.batch_size=5"]),
        ("-x 5", ["-x is not an option: write KEY=VALUE"]),
        ("--backbone vgg19", ["write backbone=vgg19"]),
        ("trainer.max_steps=5", ["+trainer.max_steps=VALUE"]),
        ("bakbone=vgg16", ["bakbone", "did you mean backbone?"]),
        ("callbacks=[defult]", ["callbacks=defult does not exist; did you mean default?", "early_stopping, ema"]),
        ("+logger=[csvv]", ["logger=csvv does not exist; did you mean csv?"]),
        ("hydra/launcher=jobs", ["hydra/launcher=jobs does not exist"]),
        ("experiment=quikstart", ["experiment=quikstart", "did you mean quickstart?"]),
        ("seed=many", ["seed", "many"]),
        ("data.batch_size=many", ["data.batch_size=many", "valid integer"]),
        ("data.size=1.5", ["data.size=1.5", "valid integer"]),
        ("objective.loss=l3", ["objective.loss=l3", "'mse', 'l1' or 'huber'"]),
        ("trainer.max_epochs=many", ["trainer.max_epochs=many", "valid integer"]),
        ("trainer.precision=12", ["trainer.precision=12: the value should be"]),
        ("trainer.max_epoch=3", ["trainer.max_epoch", "did you mean max_epochs"]),
        ("optimizer.learning_rate=1", ["optimizer.learning_rate is not an option", "lr"]),
        ("data=folder", ["data.root is missing"]),
        ("data=_loading", ["data=_loading does not exist, valid are folder, sample, shards, torchvision"]),
        ("backbone._target_=os.system", ["is not an option of system"]),
        ("decoder._target_=torch.nn.Linear", ["decoder.width is not an option of Linear"]),
        ("data=folder data.root=a(1).jpg", ["data.root=a(1).jpg can't be read: write 'data.root=\"a(1).jpg\"'"]),
        (
            "ckpt_path=nowhere.ckpt",
            ["ckpt_path nowhere.ckpt does not exist: give the path of a .ckpt", "=last"],
        ),
        ("init_from=nowhere.ckpt", ["init_from nowhere.ckpt does not exist: give the path", "init_from=last"]),
        ("init_from=defualt", ["init_from defualt does not exist: did you mean default?"]),
        ("init_from=last", ["init_from=last: there is no checkpoint in"]),
        ("ckpt_path=last", ["ckpt_path=last", "there is no"]),
        ("trainer.accelerator=abacus", ["trainer can't be built as configured", "abacus"]),
        ("trainer.max_epochs=0", ["trainer.max_epochs=0", "give 1 or more"]),
        ("seed=99999999999", ["seed=99999999999", "at most 4294967295"]),
        ("trainer.accelerator=mps", ["trainer.accelerator=mps is not available", "give trainer=auto or trainer=cpu"]),
        ("optimizer.lr=-1", ["optimizer.lr=-1.0 is out of range: give 0 or more"]),
        ("optimizer.lr=nan", ["optimizer.lr=nan is out of range: give 0 or more"]),
        ("optimizer.weight_decay=-1", ["optimizer can't be built as configured", "-1"]),
        ("data.batch_size=0", ["data.batch_size=0 is too small: give 1 or more"]),
        ("data.size=8", ["data.size=8 is too small: give 16 or more"]),
        ("data.num_workers=-1", ["data.num_workers=-1 is too small: give 0 or more"]),
        ("scheduler.warmup=2", ["scheduler.warmup=2"]),
        ("monitor=val/pnsr", ["monitor=val/pnsr", "did you mean val/psnr"]),
        ("trainer.precision=bf16-true", ["trainer.precision=bf16-true", "bf16-mixed"]),
        ("monitor_mode=up", ["monitor_mode=up"]),
        ("data.max_unreadable=25", ["data.max_unreadable=25"]),
        ("callbacks=ema", ["callbacks has no checkpoint", "[default,...]"]),
        ("data.root=photos", ["data.root belongs to data=folder"]),
        ("trainer.fast_dev_run=true", ["+trainer.fast_dev_run=VALUE"]),
        ("data=/some/photos", ["data=/some/photos does not exist"]),
        ("decoder=unet,autoencoder", ["add -m"]),
        ("optimizer.lr=", ["optimizer.lr= is empty"]),
    ],
)
def test_a_mistake_on_the_command_line_gets_one_sentence(
    fails: Fails, tmp_path: Path, override: str, parts: list[str]
) -> None:
    small = [value for value in SMALL if value.split("=")[0] != override.split("=")[0].lstrip("+")]
    small = [value for value in small if not (override.startswith("backbone=") and value.startswith("backbone"))]
    message = fails(
        "train", *small, *override.split(" "), f"paths.output_dir={tmp_path}", f"hydra.run.dir={tmp_path}/r"
    )
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("sed: 5", ["sed", "did you mean seed?"]),
        ("backbone:\n  frozn: true", ["backbone.frozn", "did you mean frozen?"]),
        ("data:\n  siez: 64", ["data.siez", "did you mean size?"]),
        ("seed: many", ["seed", "many"]),
    ],
)
def test_a_mistake_in_yaml_gets_one_sentence(fails: Fails, tmp_path: Path, text: str, parts: list[str]) -> None:
    (tmp_path / "conf" / "experiment").mkdir(parents=True)
    (tmp_path / "conf" / "experiment" / "mine.yaml").write_text(f"# @package _global_\n{text}\n")
    message = fails("train", *SMALL, "experiment=mine", "--config-dir", str(tmp_path / "conf"))
    for part in parts:
        assert part in message


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("seed: 1\nmonitor: [val,", ["line 4: is not valid YAML: expected the node content"]),
        ("seed: 1\nseed: 2", ["line 3: is not valid YAML: found duplicate key seed"]),
        ("seed:1\nmonitor: val/loss", ["line 3: is not valid YAML: mapping values are not allowed here", "space"]),
    ],
)
def test_a_file_that_is_not_yaml_is_named_with_its_line(
    fails: Fails, tmp_path: Path, text: str, parts: list[str]
) -> None:
    (tmp_path / "conf" / "experiment").mkdir(parents=True)
    (tmp_path / "conf" / "experiment" / "mine.yaml").write_text(f"# @package _global_\n{text}\n")
    message = fails("train", "experiment=mine", "--config-dir", "conf")
    for part in ["Error: conf/experiment/mine.yaml, ", *parts]:
        assert part in message


def test_a_folder_in_the_place_of_a_source(fails: Fails, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    assert "data=photos is a folder: give data=folder data.root=photos" in fails("train", "data=photos")
    assert "give for example data=folder data.root=FOLDER" in fails("train", "photos")


@pytest.mark.parametrize("command", ["evaluate", "predict", "export", "audit", "prepare", "app"])
def test_options_have_no_dashes_on_any_command(fails: Fails, command: str) -> None:
    assert "write foo='a b'" in fails(command, "--foo", "a b")


def test_the_other_commands_know_options_by_other_names(fails: Fails) -> None:
    assert "write data.batch_size=3" in fails("evaluate", "--bs", "3")
    assert "did you mean data.batch_size?" in fails("evaluate", "batch_size=3")
    assert "data.batch_size belongs to a source of photos" in fails("evaluate", "data.batch_size=3")
    assert "write data.num_workers=3" in fails("audit", "--workers", "3")
    assert "did you mean data.num_workers?" in fails("audit", "workers=3")


@pytest.mark.parametrize("command", ["evaluate", "predict", "app"])
def test_a_checkpoint_that_does_not_exist(fails: Fails, tmp_path: Path, command: str) -> None:
    (tmp_path / "photo.jpg").touch()
    words = {"evaluate": ["data=sample"], "predict": ["photo.jpg"], "app": []}[command]
    message = fails(command, *words, "checkpoint=ddcolor_tini")
    assert message == "Error: checkpoint ddcolor_tini does not exist: did you mean ddcolor_tiny?"
    message = fails(command, *words, "checkpoint=trained.ckpt")
    assert "trained.ckpt does not exist: give the path of a checkpoint" in message
    assert "checkpoint=last" in message


def test_full_error_shows_the_traceback(run_script: RunScript, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py", "sed=5"])
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(ConfigCompositionException, match="Could not override 'sed'"):
        COMMANDS["train"]()


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("nowhere_at_all.nets.Mine", "there is no package nowhere_at_all: install it, or put PYTHONPATH=FOLDER"),
        ("colorization.nowhere", "does not exist: look in colorization$"),
        ("colorization.network.TrainedNetwrk", r"not exist; did you mean colorization\.network\.TrainedNetwork\?$"),
        ("colorization.decoder.Pyramid", r"not exist; did you mean colorization\.decoders\?$"),
        ("colorization.config", "neither a class nor a function"),
        (5, "is not a name"),
    ],
)
def test_what_one_s_own_yaml_names_in_vain(target: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        instantiate({"_target_": target}, "backbone")


def test_one_s_own_yaml_may_name_any_package() -> None:
    node = {"_target_": "fractions.Fraction", "numerator": 1, "denominator": {"_target_": "builtins.int", "x": 2}}
    with pytest.raises(ConfigError, match="can't be built as configured"):  # int takes no x
        instantiate(node, "objective")
    assert instantiate({**node, "denominator": 2}, "objective") == Fraction(1, 2)


@pytest.mark.parametrize(
    ("target", "trust"),
    [
        ("os.system", ""),
        ("subprocess.Popen", ""),
        ("colorization.config.instantiate.sys.exit", ""),
        (
            "skimage.io.imread",
            "; if you trust the package skimage and this file, give trust=[skimage], in Python trusted=['skimage']",
        ),
        (5, ""),
    ],
)
def test_a_file_s_configuration_names_what_is_allowed_only(target: object, trust: str) -> None:
    objective = {"_target_": "colorization.objectives.regression.Regression"}
    for node in ({"_target_": target}, {**objective, "loss": {"_target_": target}}):
        with pytest.raises(ConfigError, match=rf"only colorization may be named here{re.escape(trust)}$"):
            instantiate(node, "objective", ("colorization",))


def test_a_class_that_takes_any_option_is_given_it() -> None:
    class Loose:
        def __init__(self, width: int, **options: int) -> None:
            self.options = options

    class Strict(Decoder):
        def __init__(self, width: int, **options: int) -> None: ...

    assert takes_anything(Loose)
    assert not takes_anything(Strict)
    assert takes_anything(dict)


def test_options_of_the_base_class_count_where_a_class_passes_them_on() -> None:
    from colorization.data.folder import FolderDataModule

    accepted = parameters(FolderDataModule)
    assert {"root", "val_share", "size", "batch_size", "max_unreadable"} <= accepted.keys()
    assert "loading" not in accepted


def test_resolved_values_have_the_types_of_the_signature(compose_config: Compose) -> None:
    from omegaconf import OmegaConf

    node = {"_target_": "colorization.decoders.unet.UNetDecoder", "width": "64"}
    assert resolve(OmegaConf.create({"decoder": node}))["decoder"]["width"] == 64
