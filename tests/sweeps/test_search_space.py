"""Hydra's overrides as Optuna's distributions."""

import hydra
import pytest
from hydra.core.config_loader import ConfigLoader
from hydra.core.global_hydra import GlobalHydra
from optuna.distributions import (
    BaseDistribution,
    CategoricalChoiceType,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from colorization.errors import ConfigError
from colorization.sweeps.search_space import examples, split, written
from tests.helpers.runs import CONF


@pytest.fixture
def loader() -> ConfigLoader:
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        return GlobalHydra.instance().config_loader()


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("a=1,2.5,x", CategoricalDistribution((1, 2.5, "x"))),
        ("a=null,true,'x y'", CategoricalDistribution(("null", True, "'x y'"))),
        ("a=choice([1,2],[3])", CategoricalDistribution(("[1,2]", "[3]"))),
        ("a=interval(1,8)", FloatDistribution(1, 8)),
        ("a=int(interval(1,8))", IntDistribution(1, 8)),
        ("a=tag(log,interval(1e-5,1e-2))", FloatDistribution(1e-5, 1e-2, log=True)),
        ("a=tag(log,int(interval(1,64)))", IntDistribution(1, 64, log=True)),
        ("a=range(4)", IntDistribution(0, 3)),
        ("a=range(1,10,4)", IntDistribution(1, 9, step=4)),  # as in Hydra: the end is no value
        ("a=range(5,0,-2)", IntDistribution(1, 5, step=2)),
        ("a=range(0.0,1.0,0.25)", FloatDistribution(0, 0.75, step=0.25)),
        ("a=shuffle(range(0,40,10))", IntDistribution(0, 30, step=10)),
        ("optimizer=glob(adam*)", CategoricalDistribution(("adam", "adamw"))),
        ("+a@b=1,2", CategoricalDistribution((1, 2))),
    ],
)
def test_a_search_is_a_distribution(loader: ConfigLoader, word: str, expected: BaseDistribution) -> None:
    space, fixed = split([word], loader)
    assert fixed == {}
    assert space == {word.partition("=")[0]: expected}


def test_what_is_typed_later_counts_and_what_is_fixed_stays_as_typed(loader: ConfigLoader) -> None:
    words = ["a=1,2", "b=interval(0,1)", "a='x y'", "~c", "d=[1,2]", "e=5", "e=1,2"]
    space, fixed = split(words, loader)
    assert set(space) == {"b", "e"}
    assert fixed == {"a": "a='x y'", "~c": "~c", "d": "d=[1,2]"}


@pytest.mark.parametrize("word", ["a=interval(8,1)", "a=tag(log,interval(0,1))"])
def test_a_search_that_can_t_be_is_one_sentence(loader: ConfigLoader, word: str) -> None:
    with pytest.raises(ConfigError, match="can't be searched"):
        split([word], loader)


def test_values_are_written_in_hydra_s_grammar() -> None:
    values: list[CategoricalChoiceType] = ["null", True, False, 1, 1e-05, "'x y'"]
    expected = ["a=null", "a=true", "a=false", "a=1", "a=1e-05", "a='x y'"]
    assert [written("a", value) for value in values] == expected


def test_examples_have_every_choice(loader: ConfigLoader) -> None:
    space, _ = split(["a=1,x", "b=interval(2,3)", "c=5,6,7"], loader)
    assert examples(space) == [["a=1", "b=2.0", "c=5"], ["a=x", "b=2.0", "c=6"], ["a=1", "b=2.0", "c=7"]]
    assert examples({}) == []
