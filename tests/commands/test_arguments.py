"""The words on predict.py's command line."""

import random
from pathlib import Path

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from colorization.commands.arguments import quoted
from colorization.commands.main import predict, train
from colorization.errors import ConfigError
from tests.helpers.names import ODD_NAMES
from tests.helpers.runs import RunScript


def values(overrides: list[str]) -> dict[str, object]:
    """What Hydra and OmegaConf make of overrides."""
    parsed = OverridesParser.create().parse_overrides(overrides)
    config = OmegaConf.create()
    for override in parsed:
        OmegaConf.update(config, override.key_or_group, override.value())
    container = OmegaConf.to_container(config, resolve=True)
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_name_that_exists_is_a_picture_whatever_it_is(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    assert values(predict.grammar.to_overrides([name, "resolution=64"])) == {"input": [name], "resolution": 64}


@pytest.mark.parametrize("name", ODD_NAMES)
def test_after_two_dashes_all_are_pictures_and_values_of_paths_are_literal(name: str) -> None:
    assert values(predict.grammar.to_overrides(["--", name, "--", "-"])) == {"input": [name, "--", "-"]}
    words = [f"{key}={name}" for key in ("checkpoint", "output", "suffix")]
    literal = dict.fromkeys(("checkpoint", "output", "suffix"), None if name == "null" else name)
    if name == "null":  # no value, as everywhere in a configuration
        assert values(predict.grammar.to_overrides(words)) == literal
    else:
        inputs = ["a"] if name == "[a]" else [name]
        assert values(predict.grammar.to_overrides([*words, f"input={name}"])) == {**literal, "input": inputs}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["a.jpg", "b c.jpg"], ["input=['a.jpg','b c.jpg']"]),
        (["input=a", "b", "input=c"], ["input=['a','b','c']"]),
        (["input=[a.jpg,'b, c.jpg',\"d]\",1]"], ["input=['a.jpg','b, c.jpg','d]','1']"]),
        (["input=[a.jpg"], ["input=['[a.jpg']"]),
        (["input=[a,(]"], ["input=['[a,(]']"]),
        (["-"], ["input=['-']"]),
        (["input=-"], ["input=['-']"]),
        (["photos/*.jpg", "input=**/[0-9]?.png"], ["input=['photos/*.jpg','**/[0-9]?.png']"]),
        (["resolution=64", "x", "overwrite=true"], ["resolution=64", "overwrite=true", "input=['x']"]),
        (["x", "--cfg", "job"], ["--cfg", "job", "input=['x']"]),
        (["x", "-cd", "folder", "hydra.verbose=true"], ["-cd", "folder", "hydra.verbose=true", "input=['x']"]),
        (["--help"], ["--help"]),
        (["best.ckpt", "a.jpg"], ["checkpoint='best.ckpt'", "input=['a.jpg']"]),
        (["a.jpg", "b c.safetensors"], ["checkpoint='b c.safetensors'", "input=['a.jpg']"]),
        (["checkpoint=a.ckpt", "b.ckpt"], ["checkpoint='a.ckpt'", "input=['b.ckpt']"]),
        (["~temperature", "++resolution=5"], ["~temperature", "++resolution=5"]),
        (["~/photos", "overwrite"], ["input=['~/photos','overwrite']"]),
        (["suffix=null", "output=x y"], ["suffix=null", "output='x y'"]),
        ([], []),
    ],
)
def test_words(tmp_path: Path, words: list[str], expected: list[str]) -> None:
    (tmp_path / "folder").mkdir()
    assert predict.grammar.to_overrides(words) == expected


def test_a_pattern_in_brackets_is_a_pattern_if_it_finds_something(tmp_path: Path) -> None:
    assert predict.grammar.to_overrides(["input=[ab]"]) == ["input=['ab']"]
    (tmp_path / "b").touch()
    assert predict.grammar.to_overrides(["input=[ab]"]) == ["input=['[ab]']"]
    assert predict.grammar.to_overrides(["input=[b]"]) == ["input=['[b]']"]


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["ouput=x"], ["ouput is not an option", "did you mean output"]),
        (["ouput=a (1), [b"], ["ouput is not an option", "did you mean output"]),
        (["+overwrit=true"], ["did you mean overwrite?"]),
        (["batch-size=3"], ["did you mean batch_size?"]),
        (["final=2.jpg"], ["final=2.jpg: there is no such file"]),
        (["--output", "x"], ["--output: options have no dashes, write output=x"]),
        (["--output"], ["write output=VALUE"]),
        (["--output=x y"], ["options have no dashes, write output='x y'"]),
        (["--overwrite", "x.jpg"], ["write overwrite=true"]),
        (["--bs", "4"], ["write batch_size=4"]),
        (["--device", "--overwrite"], ["write device=VALUE"]),
        (["-o", "x", "a.jpg"], ["-o: options have no dashes, write output=x or overwrite=true"]),
        (["-p", "80", "a.jpg"], ["-p is not an option: write KEY=VALUE, --help lists the keys"]),
        (["-d", "cpu"], ["write device=cpu"]),
        (["-d"], ["write device=VALUE"]),
        (["-q=90"], ["write quality=90"]),
        (["-z", "1"], ["-z is not an option: write KEY=VALUE, --help lists the keys"]),
        (["bs=4"], ["bs is not an option; did you mean batch_size?"]),
        (["input="], ["input= is empty"]),
        (["a.jpg", ""], ["input= is empty"]),
        (["a.ckpt", "b.ckpt", "c.jpg"], ["a.ckpt and b.ckpt are both checkpoints"]),
    ],
)
def test_mistakes(words: list[str], parts: list[str]) -> None:
    with pytest.raises(ConfigError) as mistake:
        predict.grammar.to_overrides(words)
    for part in parts:
        assert part in str(mistake.value)
    assert "paths" not in str(mistake.value)


def test_a_value_that_is_a_file_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "photos (1), [a]").mkdir()
    overrides = train.grammar.to_overrides(["data.root=photos (1), [a]", "backbone=vgg16", "seed=1,2", "data.x=[a,b]"])
    assert values(overrides[:1]) == {"data": {"root": "photos (1), [a]"}}
    assert overrides[1:] == ["backbone=vgg16", "seed=1,2", "data.x=[a,b]"]


def test_any_string_comes_through_quotes_unchanged() -> None:
    generator = random.Random(0)
    pieces = [*"ab'\"\\${}[](),= ~:\n\t\udc80é+-#|?*", "${", "\\${", "\\\\", "null", "true", "\r"]
    strings = ["".join(generator.choices(pieces, k=generator.randint(1, 9))) for _ in range(300)]
    overrides = [f"input=[{','.join(map(quoted, strings))}]"]
    assert values(overrides) == {"input": strings}
    for string in strings[:100]:
        assert values([f"output={quoted(string)}"]) == {"output": string}


def test_they_reach_the_configuration(run_script: RunScript, capsys: pytest.CaptureFixture[str]) -> None:
    run_script("predict", "checkpoint=a ${b}, c.ckpt", "x, y.jpg", "resolution=64", "--cfg", "job", "--resolve")
    config = yaml.safe_load(capsys.readouterr().out)
    assert (config["checkpoint"], config["input"], config["resolution"]) == ("a ${b}, c.ckpt", ["x, y.jpg"], 64)
