"""The search space of a study: Hydra's overrides as Optuna's distributions."""

from collections.abc import Iterable, Mapping

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, Transformer
from optuna.distributions import (
    CategoricalChoiceType,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from colorization.errors import ConfigError, first_line

Distribution = CategoricalDistribution | FloatDistribution | IntDistribution


def split(words: Iterable[str], loader: ConfigLoader) -> tuple[dict[str, Distribution], dict[str, str]]:
    """Separates what is searched from what is fixed. Of two overrides with the same key, the later one counts.

    Args:
        words: overrides in Hydra's grammar: `KEY=choice(...)`, `A,B`, `range(...)`, `glob(...)`, `interval(...)`,
            `int(interval(...))`, `tag(log,interval(...))`, are searched; others are fixed.
        loader: of the configuration, for `glob`.

    Returns:
        The distributions by key, and the fixed overrides by key, as they were written.

    Raises:
        ConfigError: a search can't be read.
    """
    space: dict[str, Distribution] = {}
    fixed: dict[str, str] = {}
    for override in OverridesParser.create(loader).parse_overrides(list(words)):
        key = override.get_key_element()
        space.pop(key, None)
        fixed.pop(key, None)
        if override.is_sweep_override():
            try:
                space[key] = _distribution(override)
            except ValueError as error:
                raise ConfigError(f"{override.input_line} can't be searched: {first_line(error)}") from error
        else:
            fixed[key] = str(override.input_line)
    return space, fixed


def examples(space: Mapping[str, Distribution]) -> list[list[str]]:
    """The overrides of as few jobs as have all choices among them, and the lower end of each range."""
    values = {
        key: one.choices if isinstance(one, CategoricalDistribution) else (one.low,) for key, one in space.items()
    }
    count = max(map(len, values.values()), default=0)
    return [[written(key, of_key[job % len(of_key)]) for key, of_key in values.items()] for job in range(count)]


def written(key: str, value: CategoricalChoiceType) -> str:
    """A suggested value as an override."""
    return f"{key}={str(value).lower() if isinstance(value, bool) else value}"


def _distribution(override: Override) -> Distribution:
    value = override.value()
    if isinstance(value, IntervalSweep):
        assert value.start is not None
        assert value.end is not None
        log = "log" in value.tags
        if isinstance(value.start, int) and isinstance(value.end, int):
            return IntDistribution(value.start, value.end, log=log)
        return FloatDistribution(value.start, value.end, log=log)
    choices = list(override.sweep_iterator(Transformer.encode))
    numbers = sorted(choice for choice in choices if isinstance(choice, int | float))
    if not override.is_range_sweep() or len(numbers) < 2:
        return CategoricalDistribution(choices)  # type: ignore[arg-type]
    low, high, step = numbers[0], numbers[-1], numbers[1] - numbers[0]
    if all(isinstance(number, int) for number in numbers):
        return IntDistribution(int(low), int(high), step=int(step))
    return FloatDistribution(low, high, step=step)
